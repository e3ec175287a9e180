"""The HTTP API against its promises: Treeherder's list of 2015-2019, its front end, and the OpenAPI document."""

import gzip
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import unittest
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localstack.fakes.treeherder import PUSH_IDS
from localstack.paths import ROOT
from tests.support.served import Served
from tests.support.sources import KNOWN_JOBS
from tests.support.stack import ANSWER_SECONDS, LOCALSTACK, PROGRAMS, Stack

HERE = Path(__file__).resolve().parent
# The person and the job in the document's examples; the job needs no other job.
SOMEONE = "someone@mozilla.com"
BUILD = "Linux x86-64 try build"
# The person who uses the page. No other test uses up what they may request.
PRESSER = "presser@mozilla.com"
# Schemathesis requests more than a person may.
LIMITS = {"requests_per_minute": 1_000_000, "jobs_per_hour": 4_000_000_000}
# Requests for schemathesis to ask about: some wait to be forwarded, the others have failed.
WAITING, FAILED = 4, 20
CONFIGURATION = HERE / "schemathesis.toml"
# The phases of schemathesis: those that test operations one by one, and all of them.
SINGLE_PHASES = "examples,coverage,fuzzing"
ALL_PHASES = f"{SINGLE_PHASES},stateful"

# A Buildbot job as Treeherder listed it: the type of each field, or its value if that is always the same.
TREEHERDER = {
    "build_platform_id": int,
    "build_platform": str,
    "build_os": str,
    "build_architecture": str,
    "machine_platform_id": int,
    "platform": str,
    "machine_platform_os": str,
    "machine_platform_architecture": str,
    "job_group_id": int,
    "job_group_name": str,
    "job_group_symbol": str,
    "job_group_description": "",
    "job_type_id": int,
    "job_type_name": str,
    "job_type_symbol": str,
    "job_type_description": "",
    "option_collection_hash": str,
    "ref_data_name": str,
    "build_system_type": "buildbot",
    "platform_option": str,
    "job_coalesced_to_guid": None,
    "state": "runnable",
    "result": "runnable",
}
EXAMPLE_TASK = "Ab-_9fIzT8aXVvV2yWqhGQ"
# The fields that this API adds.
ADDED = {"upstream"}
# The fields of a Taskcluster job: those that Treeherder's page made of a task graph, and two that this API adds.
TASKCLUSTER = {
    "build_platform",
    "platform",
    "job_group_name",
    "job_group_symbol",
    "job_type_name",
    "job_type_symbol",
    "ref_data_name",
    "build_system_type",
    "platform_option",
    "state",
    "result",
    "tier",
    "upstream",
}
# The fields that an id stands for.
IDS = {
    "build_platform_id": ("build_os", "build_platform", "build_architecture"),
    "machine_platform_id": ("machine_platform_os", "platform", "machine_platform_architecture"),
    "job_group_id": ("job_group_name", "job_group_symbol"),
    "job_type_id": ("job_type_name", "job_type_symbol"),
}
# The largest possible database key of Treeherder.
MAX_ID = 2**31 - 1
# Clients keep hashes and ids: these must never change.
HASHES = {
    "opt": "102210fe594ee9b33d82058545b1ed14f4c8206e",
    "debug": "32faaecac742100f7753f0c1d0aa0add01b4046b",
}
STABLE_IDS: dict[str, dict[tuple[str, ...], int]] = {
    "machine_platform_id": {("linux", "linux64", "x86_64"): 1069929268},
    "job_group_id": {("Mochitest e10s", "M-e10s"): 1640635223, ("unknown", "?"): 107877265},
    "job_type_id": {("Mochitest e10s", "3"): 554906112},
}


def of_build_system(served: dict, build_system: str) -> list[dict]:
    """The jobs of a list that this build system runs."""
    return [job for job in served["results"] if job["build_system_type"] == build_system]


def example_bodies(document: dict, operation: dict) -> list:
    """The example of an operation's body, and the same with the example of each of its properties."""
    if "requestBody" not in operation:
        return [None]
    name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
    schema = document["components"]["schemas"][name]
    parts = [{name: part["example"]} for name, part in schema["properties"].items() if "example" in part]
    return [schema["example"] | part for part in ({}, *parts)]


@pytest.fixture(scope="class", autouse=True)
def _served(request: pytest.FixtureRequest, stack_behind: Callable[[str], Stack]) -> Iterator[None]:
    stack = request.cls.stack = stack_behind(request.cls.front)
    # The lists do not change here: to ask the store again and again would only take time.
    settings = {"RUNNABLE_JOBS_FRESH_SECONDS": "3600", "RUNNABLE_JOBS_TRIGGER_LIMITS": json.dumps(LIMITS)}
    request.cls.api = Served(PROGRAMS.serve(), stack.env | settings, stack.run / "contract.log")
    request.cls.token = stack.token("--email", SOMEONE)
    # The decision task of the documented examples.
    stack.taskcluster().add_decision_task("try", task_id=EXAMPLE_TASK)
    yield
    request.cls.api.stop()


class Contract(unittest.TestCase):
    """The functions on ports beside a stack, and requests to them."""

    # The stacks of both fronts are used, so that both halves of the contract can be tested at the same time.
    front: str
    stack: Stack
    # The API on a port, without the overhead of a call through Lambda.
    api: Served
    token: str
    numbers = itertools.count(1)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status and the JSON of an answer; fails at an error."""
        headers = {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        sent = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.api.url + path, sent, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=ANSWER_SECONDS) as answer:
                text = answer.read()
                is_json = answer.headers.get_content_type() == "application/json"
                return answer.status, json.loads(text) if is_json else text
        except urllib.error.HTTPError as error:
            self.fail(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}")

    def get(self, path: str) -> Any:
        """The answer to a GET."""
        return self.ask("GET", path)[1]

    def make_request(self) -> str:
        """Trigger a job that exists and one that does not; returns the id of the request."""
        path = f"/api/project/try/push/{PUSH_IDS[0]}/trigger_runnable_jobs/"
        # A different name each time: the same request twice in a minute would get the first one's answer.
        body = {"requested_jobs": [BUILD, f"{BUILD} {next(self.numbers)}"]}
        return self.ask("POST", path, body)[1]["request_id"]

    def make_failed_request(self) -> str:
        """The same, but its job has failed: it can be retried."""
        request = self.make_request()
        head = {"pk": f"request#{request}", "sk": "head"}
        table = self.stack.requests
        # It is small, so its head has the jobs.
        packed = table.get_item(Key=head)["Item"]["data"].value
        failed = [
            job | {"state": "failed"} if job["state"] == "accepted" else job
            for job in json.loads(gzip.decompress(packed))
        ]
        table.update_item(
            Key=head,
            UpdateExpression="SET #state = :failed, #jobs = :counts, #data = :data ADD #version :one REMOVE #open",
            ExpressionAttributeNames={f"#{name}": name for name in ("state", "jobs", "data", "version", "open")},
            ExpressionAttributeValues={
                ":failed": "failed",
                ":counts": {"failed": 1, "rejected": 1},
                ":data": gzip.compress(json.dumps(failed).encode()),
                ":one": 1,
            },
        )
        return request

    def lists(self) -> dict[str, dict]:
        """Every project's list."""
        projects = [project["name"] for project in self.get("/api/projects/")["projects"]]
        self.assertGreater(len(projects), 10)
        return {project: self.get(f"/api/project/{project}/runnable_jobs/") for project in projects}

    def assert_succeeds(self, command: list, env: dict[str, str]) -> None:
        done = subprocess.run(
            command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode != 0:
            self.fail(f"ended with code {done.returncode}; the functions' logs are in {self.stack.run}\n{done.stdout}")

    def assert_does_what_its_description_says(self, phases: str, *operations: str) -> None:
        """Check the API against these operations of the document, with these phases of schemathesis."""
        install = [*LOCALSTACK, "install", HERE / "schemathesis.txt"]
        self.assert_succeeds(install, dict(os.environ))
        requests = [self.make_request() for _ in range(WAITING)]
        requests += [self.make_failed_request() for _ in range(FAILED)]
        # It names the file with the requests, which is beside it.
        configuration = Path(shutil.copy(CONFIGURATION, self.stack.run))
        (self.stack.run / "contract-requests.txt").write_text("".join(f'"{request}"\n' for request in requests))
        reports = self.stack.run / "schemathesis"
        shutil.rmtree(reports, ignore_errors=True)
        command = [
            ROOT / ".venv-schemathesis" / "bin" / "schemathesis",
            "--config-file",
            configuration,
            "run",
            f"{self.api.url}/api/openapi.json",
            "--url",
            self.api.url,
            *operations,
            "--checks",
            "all",
            "--phases",
            phases,
            "--report",
            "json",
            "--report-dir",
            reports,
            "--no-color",
        ]
        # Without the settings of a person's own runs.
        env = {name: value for name, value in os.environ.items() if not name.startswith("SCHEMATHESIS_")}

        self.assert_succeeds(command, env | {"TOKEN": self.token, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"})


@pytest.mark.xdist_group("HttpApi")
class TriggerContract(Contract):
    front = "HttpApi"

    def test_treeherders_front_end_shows_the_list_and_triggers_jobs_of_the_deployed_functions(self) -> None:
        node = shutil.which("node")
        self.assertIsNotNone(node, "node is needed (20 or newer)")

        token = self.stack.token("--email", PRESSER)
        env = self.stack.env | {"KNOWN_JOBS": str(KNOWN_JOBS), "PROJECT": "try", "TOKEN": token}
        self.assert_succeeds([node, "--test", HERE / "client.test.mjs"], env)

    def test_the_served_api_answers_like_the_deployed_functions(self) -> None:
        request = self.make_request()
        for base, path in (
            ("BASE_URL", "/api/project/try/runnable_jobs/"),
            ("BASE_URL", "/api/openapi.json"),
            ("TRIGGER_BASE_URL", f"/api/project/try/trigger_requests/{request}/"),
            ("TRIGGER_BASE_URL", "/api/trigger_requests/?requester=me&count=1"),
        ):
            with self.subTest(path):
                deployed = self.stack.ask("GET", path, base=base, Authorization=f"Bearer {self.token}")
                self.assertEqual(self.ask("GET", path), (deployed.status, deployed.json()))

    def test_each_operation_of_the_trigger_function_follows_its_description(self) -> None:
        self.assert_does_what_its_description_says(SINGLE_PHASES, "--include-tag", "Trigger")

    def test_sequences_of_operations_of_the_trigger_function_follow_their_description(self) -> None:
        self.assert_does_what_its_description_says("stateful", "--include-tag", "Trigger")

    def test_the_documented_examples_work(self) -> None:
        document = self.get("/api/openapi.json")
        asked = 0
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                for body in example_bodies(document, operation):
                    for address in self.example_addresses(path, operation.get("parameters", [])):
                        with self.subTest(f"{method} {address}", body=body):
                            status, _ = self.ask(method.upper(), address, body)
                            self.assertEqual(status, {"get": 200, "post": 202}[method])
                        asked += 1
        self.assertGreater(asked, 15)

    def example_addresses(self, path: str, parameters: list[dict]) -> list[str]:
        """An operation's address with the documented examples: without optional parameters, with each, and with all."""
        for one in parameters:
            if one["in"] == "path":
                # The id of a request is known only once it exists.
                value = self.make_failed_request() if one["name"] == "request_id" else str(one["example"])
                path = path.replace(f"{{{one['name']}}}", urllib.parse.quote(value, safe=""))
        self.assertNotIn("{", path, "a parameter of this path has no example")
        shown = [one for one in parameters if one["in"] == "query" and "example" in one]
        always = [one for one in shown if one["required"]]
        sometimes = [one for one in shown if not one["required"]]
        addresses = []
        for more in ([], *([one] for one in sometimes), sometimes):
            values = [(one["name"], one["example"]) for one in always + more]
            query = [(name, ",".join(value) if isinstance(value, list) else value) for name, value in values]
            addresses.append(f"{path}?{urllib.parse.urlencode(query)}" if query else path)
        return list(dict.fromkeys(addresses))


@pytest.mark.xdist_group("FunctionUrl")
class ListsContract(Contract):
    front = "FunctionUrl"

    def test_the_jobs_function_follows_its_description(self) -> None:
        self.assert_does_what_its_description_says(ALL_PHASES, "--exclude-tag", "Trigger")

    def test_a_list_has_treeherders_shape(self) -> None:
        for project, served in self.lists().items():
            with self.subTest(project):
                jobs = served["results"]
                names = [job["ref_data_name"] for job in jobs]

                self.assertEqual(set(served), {"meta", "results"})
                self.assertEqual(served["meta"], {"repository": project, "offset": 0, "count": len(jobs)})
                self.assertGreater(len(jobs), 0)
                self.assertEqual(names, sorted(set(names), key=str.encode))

    def test_every_field_of_a_job_is_as_treeherder_had_it(self) -> None:
        for project, served in self.lists().items():
            names = {job["ref_data_name"] for job in served["results"]}
            for job in of_build_system(served, "buildbot"):
                name = job["ref_data_name"]
                self.assertEqual(set(job), set(TREEHERDER) | ADDED, name)
                for field, expected in TREEHERDER.items():
                    if isinstance(expected, type):
                        self.assertIs(type(job[field]), expected, f"{field} of {name} in {project}")
                        self.assertTrue(job[field], f"{field} of {name} in {project} is empty")
                    else:
                        self.assertEqual(job[field], expected, f"{field} of {name} in {project}")
                self.assertNotEqual(job["upstream"], name)
                self.assertIn(job["upstream"], names | {None}, name)
                if " talos " not in name and " test " not in name:
                    self.assertIsNone(job["upstream"], name)

    def test_a_taskcluster_job_has_what_treeherders_page_showed_of_it(self) -> None:
        for project, served in self.lists().items():
            for job in of_build_system(served, "taskcluster"):
                label = job["ref_data_name"]
                self.assertEqual((set(job), job["job_type_name"]), (TASKCLUSTER, label), project)
                self.assertEqual((job["state"], job["result"]), ("runnable", "runnable"), label)
                self.assertIn(job["tier"], (1, 2, 3), label)
                self.assertTrue(job["job_type_symbol"] and job["platform_option"], label)
                # The build need not be in the list: Taskgraph's rule leaves out what Treeherder does not show.
                self.assertNotIn(job["upstream"], ("", label), label)

    def test_options_are_hashed_as_treeherder_hashed_them(self) -> None:
        hashes = {}
        for served in self.lists().values():
            for job in of_build_system(served, "buildbot"):
                names = sorted(job["platform_option"].split(" "))
                expected = hashlib.sha1("".join(names).encode()).hexdigest()
                self.assertEqual(job["option_collection_hash"], expected, job["ref_data_name"])
                hashes[job["platform_option"]] = expected
        self.assertEqual(hashes, hashes | HASHES)

    def test_ids_are_stable_and_stand_for_what_they_name(self) -> None:
        lists = self.lists().values()
        jobs = list(itertools.chain.from_iterable(of_build_system(served, "buildbot") for served in lists))
        for id_field, fields in IDS.items():
            with self.subTest(id_field):
                ids: dict[tuple[str, ...], int] = {}
                for job in jobs:
                    named = tuple(job[field] for field in fields)
                    self.assertEqual(ids.setdefault(named, job[id_field]), job[id_field], named)
                    self.assertTrue(1 <= job[id_field] <= MAX_ID, job[id_field])
                self.assertEqual(len(set(ids.values())), len(ids), "two have the same id")
                self.assertEqual(ids, ids | STABLE_IDS.get(id_field, {}))
        for job in jobs:
            self.assertEqual(job["build_platform_id"], job["machine_platform_id"], job["ref_data_name"])

    def test_known_jobs_are_what_treeherder_showed(self) -> None:
        served = {job["ref_data_name"]: job for job in self.get("/api/project/try/runnable_jobs/")["results"]}
        for job in json.loads(KNOWN_JOBS.read_text()):
            name = job["ref_data_name"]
            self.assertEqual(served[name] | job, served[name])
