"""The HTTP API against what was promised: Treeherder's list of 2015-2019, its front end, and the OpenAPI document."""

import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import own_environment
from running_stack import ROOT, START_SECONDS, STOP_SECONDS, Stack, sample

TESTS = Path(__file__).resolve().parent
JOBS = Path(os.environ.get("JOBS_BIN", ROOT / "target/debug/jobs")).absolute()
# What the served function logged, a line a request. It stays when the tests have ended.
JOBS_LOG = ROOT / ".run" / "contract-jobs.log"
# What schemathesis found and did, for programs.
REPORTS = ROOT / ".run" / "schemathesis"
# Jobs as Treeherder itself showed them. They are added to the sample.
KNOWN_JOBS = TESTS / "known_jobs.json"
# Schedulers name a build by its short name and what they do with it.
TRIGGERS = {
    "Linux x86-64 try build": "linux-x86-64-try-build-opt-unittest",
    "Linux x86-64 try asan build": "linux-x86-64-try-asan-build-opt-unittest",
}

# A job of Buildbot as Treeherder listed it: the type of each field or, where it is always the same, the value.
TREEHERDER = {
    "build_platform_id": int, "build_platform": str, "build_os": str, "build_architecture": str,
    "machine_platform_id": int, "platform": str, "machine_platform_os": str, "machine_platform_architecture": str,
    "job_group_id": int, "job_group_name": str, "job_group_symbol": str, "job_group_description": "",
    "job_type_id": int, "job_type_name": str, "job_type_symbol": str, "job_type_description": "",
    "option_collection_hash": str, "ref_data_name": str, "build_system_type": "buildbot", "platform_option": str,
    "job_coalesced_to_guid": None, "state": "runnable", "result": "runnable",
}
# What this API adds.
ADDED = {"upstream"}
# Which fields an id stands for.
IDS = {
    "build_platform_id": ("build_os", "build_platform", "build_architecture"),
    "machine_platform_id": ("machine_platform_os", "platform", "machine_platform_architecture"),
    "job_group_id": ("job_group_name", "job_group_symbol"),
    "job_type_id": ("job_type_name", "job_type_symbol"),
}
# The largest that a database key of Treeherder could be.
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


class Served:
    """`jobs --listen` in the background: the function as it is deployed, without what a call through Lambda takes."""

    def __init__(self, env: dict[str, str]) -> None:
        # What is looked at here does not change; asking the store again and again would only take time.
        command = [JOBS, "--listen", "127.0.0.1:0", "--fresh", "3600"]
        with open(JOBS_LOG, "w") as log:
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not (address := re.search(r"Serving (http://[^/]+)/", JOBS_LOG.read_text())):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"{JOBS} does not serve; its log, {JOBS_LOG}:\n{JOBS_LOG.read_text()}")
            time.sleep(0.05)
        self.url = address[1]

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        self.process.wait(STOP_SECONDS)


def source(folder: Path) -> Path:
    """The sample, and in it the known jobs."""
    path = sample(folder)
    dump = json.loads(path.read_text())
    for job in json.loads(KNOWN_JOBS.read_text()):
        name = job["ref_data_name"]
        short = re.sub(r"[^a-z0-9]+", "-", name.lower())
        directory = "test" if re.search(r" (test|talos) ", name) else short
        properties = {"branch": "try", "platform": job["platform"], "product": "firefox", "repo_path": "try",
                      "slavebuilddir": directory}
        dump["builders"].setdefault(name, {
            "properties": properties, "shortname": short, "slavebuilddir": directory, "slavepool": "known"})
        if job["upstream"]:
            dump["schedulers"][f"tests-known-{short}"] = {
                "downstream": [name], "triggered_by": [TRIGGERS[job["upstream"]]]}
    path.write_text(json.dumps(dump))
    return path


class Contract(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.stack = Stack(source(folder))
        cls.addClassCleanup(cls.stack.output.close)
        cls.addClassCleanup(cls.stack.stop)
        cls.served = Served(cls.stack.env)
        cls.addClassCleanup(cls.served.stop)

    def get(self, path: str) -> Any:
        """The JSON that the served function answers with; nothing but 200 is expected."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.served.url + path, timeout=START_SECONDS) as answer:
            return json.load(answer)

    def lists(self) -> dict[str, dict]:
        """Every project's list."""
        projects = [project["name"] for project in self.get("/api/projects/")["projects"]]
        self.assertGreater(len(projects), 10)
        return {project: self.get(f"/api/project/{project}/runnable_jobs/") for project in projects}

    def assert_succeeds(self, command: list, log: Path, env: dict[str, str]) -> None:
        done = subprocess.run(
            command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            self.fail(f"ended with code {done.returncode}; the function's log: {log}\n{done.stdout}")

    def test_treeherders_front_end_shows_the_list_of_the_deployed_function(self) -> None:
        node = shutil.which("node")
        self.assertIsNotNone(node, "node is needed (20 or newer)")

        env = self.stack.env | {"KNOWN_JOBS": str(KNOWN_JOBS), "PROJECT": "try"}
        log = ROOT / ".run" / "jobs-function.log"
        self.assert_succeeds([node, "--test", TESTS / "client.test.mjs"], log, env)

    def test_the_served_function_answers_as_the_deployed_one(self) -> None:
        for path in ("/api/project/try/runnable_jobs/", "/api/openapi.json"):
            with self.subTest(path):
                self.assertEqual(self.get(path), self.stack.ask("GET", path).json())

    def test_the_function_does_what_its_description_says_and_nothing_else(self) -> None:
        schemathesis = own_environment.made_from(TESTS / "schemathesis.txt") / "schemathesis"
        shutil.rmtree(REPORTS, ignore_errors=True)
        command = [
            schemathesis, "--config-file", TESTS / "schemathesis.toml", "run", f"{self.served.url}/api/openapi.json",
            "--url", self.served.url, "--checks", "all", "--phases", "examples,coverage,fuzzing,stateful",
            "--report", "json", "--report-dir", REPORTS, "--no-color",
        ]
        # What a person set for runs of their own stays out.
        env = {name: value for name, value in os.environ.items() if not name.startswith("SCHEMATHESIS_")}

        self.assert_succeeds(command, JOBS_LOG, env | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"})

    def test_the_documented_examples_work(self) -> None:
        asked = 0
        for path, operations in self.get("/api/openapi.json")["paths"].items():
            parameters = operations["get"].get("parameters", [])
            examples = {
                place: [(one["name"], one["example"]) for one in parameters if one["in"] == place and "example" in one]
                for place in ("path", "query")
            }
            for name, value in examples["path"]:
                path = path.replace(f"{{{name}}}", urllib.parse.quote(value, safe=""))
            self.assertNotIn("{", path, "a part of this path has no example")
            queries = [[], *([one] for one in examples["query"]), examples["query"]]
            for query in queries:
                query = [(name, ",".join(value) if isinstance(value, list) else value) for name, value in query]
                url = f"{path}?{urllib.parse.urlencode(query)}" if query else path
                with self.subTest(url):
                    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                    with opener.open(self.served.url + url, timeout=START_SECONDS) as answer:
                        self.assertEqual(answer.status, 200)
                asked += 1
        self.assertGreater(asked, 8)

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
            for job in served["results"]:
                with self.subTest(project=project, job=job["ref_data_name"]):
                    self.assertEqual(set(job), set(TREEHERDER) | ADDED)
                    for field, expected in TREEHERDER.items():
                        if isinstance(expected, type):
                            self.assertIs(type(job[field]), expected, field)
                            self.assertTrue(job[field], f"{field} is empty")
                        else:
                            self.assertEqual(job[field], expected, field)
                    self.assertNotEqual(job["upstream"], job["ref_data_name"])
                    self.assertIn(job["upstream"], names | {None})
                    if " talos " not in job["ref_data_name"] and " test " not in job["ref_data_name"]:
                        self.assertIsNone(job["upstream"])

    def test_options_are_hashed_as_treeherder_hashed_them(self) -> None:
        hashes = {}
        for served in self.lists().values():
            for job in served["results"]:
                names = sorted(job["platform_option"].split(" "))
                expected = hashlib.sha1("".join(names).encode()).hexdigest()
                self.assertEqual(job["option_collection_hash"], expected, job["ref_data_name"])
                hashes[job["platform_option"]] = expected
        self.assertEqual(hashes, hashes | HASHES)

    def test_ids_are_stable_and_stand_for_what_they_name(self) -> None:
        jobs = list(itertools.chain.from_iterable(served["results"] for served in self.lists().values()))
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
            with self.subTest(job["ref_data_name"]):
                self.assertEqual(served[job["ref_data_name"]] | job, served[job["ref_data_name"]])


if __name__ == "__main__":
    unittest.main()
