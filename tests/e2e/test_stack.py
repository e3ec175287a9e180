"""The local stack as a person uses it: the deployed functions work, its processes end with it, and the next run has its
data.
"""

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kombu
import pytest
from botocore.exceptions import ClientError

from localstack.paths import ROOT
from localstack.programs import by_name
from tests.support.runtime_api import Function
from tests.support.stack import PROGRAMS, RUNS, Stack, sample, stack_command, stack_environment, until
from tools.bench.function import lambda_environment

# The event of the rule that starts an ingest of Buildbot.
BUILDBOT = b'{"build_system": "buildbot"}'
SIGNING_KEY = "signing-key.json"
# In the folder of the data.
ERLANG_PID = "running/broker/broker.pid"

# The emulator checks its rules every ten seconds, and waits a minute after it first sees one: up to 80 seconds.
SCHEDULE_SECONDS = 100
FORWARD_SECONDS = 20
# Too short to install or build anything.
AT_ONCE_SECONDS = 10
# Within this time all processes of a killed stack end.
ENDING_SECONDS = 5


def is_alive(pid: int) -> bool:
    """Whether a process runs. A zombie does not: in a container no process may collect its exit code."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip() != "" and not shown.stdout.startswith("Z")


@pytest.mark.xdist_group("running-stack")
class RunningStack(unittest.TestCase):
    stack: Stack
    source: Path
    ingests_before: int
    # How many ingests the tests have started.
    started_ingests = 0

    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.source = sample(folder)
        cls.stack = Stack(cls.source, "--schedule", "* * * * ? *", name="running-stack", forwards=True)
        cls.addClassCleanup(cls.stack.stop)
        cls.ingests_before = len(cls.stack.items("ingest"))

    def assert_forbidden(self, *calls: Callable[[], object]) -> None:
        for number, forbidden in enumerate(calls):
            with self.subTest(number), self.assertRaises(ClientError) as refused:
                forbidden()
            self.assertRegex(refused.exception.response["Error"]["Code"], "AccessDenied")

    def test_the_deployed_function_published_a_list_for_try(self) -> None:
        [current] = [item for item in self.stack.items("project#try") if item["sk"] == "current"]

        self.assertGreaterEqual(current["generation"], 1)

    def test_the_command_line_lists_the_jobs_of_try(self) -> None:
        shown = self.stack.in_shell(*by_name(PROGRAMS.show("try", "--json")))

        self.assertEqual(shown.returncode, 0, shown.stderr)
        jobs = json.loads(shown.stdout)["results"]
        self.assertGreater(len(jobs), 0)
        self.assertIn(" try ", jobs[0]["ref_data_name"])

    def test_the_api_has_a_log_that_is_counted(self) -> None:
        [api] = self.stack.client("apigatewayv2").get_apis()["Items"]
        [stage] = self.stack.client("apigatewayv2").get_stages(ApiId=api["ApiId"])["Items"]
        group = stage["AccessLogSettings"]["DestinationArn"].split(":log-group:")[1].removesuffix(":*")

        self.assertEqual(group, "/aws/vendedlogs/runnable-jobs-api")
        counted = self.stack.client("logs").describe_metric_filters(logGroupName=group)["metricFilters"]
        self.assertEqual([one["metricTransformations"][0]["metricName"] for one in counted], ["Incidents"] * 2)

    def test_taskcluster_and_treeherder_know_the_same_decision_task(self) -> None:
        env = self.stack.env
        path = f"/api/project/try/push/decisiontask/?push_ids={env['PUSH_ID']}"
        found = self.stack.ask("GET", path, base="TREEHERDER_URL").json()
        task = self.stack.ask("GET", f"/api/queue/v1/task/{env['DECISION_TASK_ID']}", base="TASKCLUSTER_URL").json()

        self.assertEqual(found, {env["PUSH_ID"]: {"id": env["DECISION_TASK_ID"], "run": "0"}})
        push = self.stack.ask("GET", f"/api/project/try/push/{env['PUSH_ID']}/", base="TREEHERDER_URL").json()
        self.assertIn(f".try.{push['revision']}.", task["routes"][0])
        self.assertIn(env["DECISION_TASK_ID"], self.stack.taskcluster().requests("api")[-1]["path"])

    def test_the_raw_source_is_archived(self) -> None:
        archived = self.stack.client("s3").list_objects_v2(
            Bucket=self.stack.env["ARCHIVE_BUCKET"], Prefix="allthethings/"
        )

        self.assertEqual(archived["KeyCount"], 1)

    def test_an_unchanged_source_is_reported_unchanged(self) -> None:
        type(self).started_ingests += 1
        answer = self.stack.client("lambda").invoke(FunctionName=self.stack.env["ETL_FUNCTION"], Payload=BUILDBOT)

        report = json.loads(answer["Payload"].read())
        self.assertNotIn("FunctionError", answer, report)
        self.assertEqual(report["outcome"], "unchanged")

    # The jobs and the trigger function may write lists of pushes, and no other items of the catalog; the sweep and the
    # forward function may delete locks of pushes, and no other items of the requests. The emulator does not know the
    # conditions on partition keys that say so; tests/unit/test_template.py checks that they are there.

    def test_the_jobs_function_may_read_the_catalog_and_keep_lists_of_pushes_and_do_nothing_else(self) -> None:
        key = {"pk": {"S": "project#try"}, "sk": {"S": "current"}}
        catalog, bucket = self.stack.env["CATALOG_TABLE"], self.stack.env["ARCHIVE_BUCKET"]
        role = self.stack.as_role_of(self.stack.env["JOBS_FUNCTION"])
        dynamodb, s3 = self.stack.client("dynamodb", **role), self.stack.client("s3", **role)

        self.assertIn("Item", dynamodb.get_item(TableName=catalog, Key=key))
        of_push = {"pk": {"S": "graph#fN1SbArXTPSVFNUvaOlinQ"}, "sk": {"S": "list#x#index#000"}}
        dynamodb.put_item(TableName=catalog, Item=of_push)
        dynamodb.batch_write_item(RequestItems={catalog: [{"PutRequest": {"Item": of_push}}]})
        self.assert_forbidden(
            lambda: dynamodb.update_item(TableName=catalog, Key=key),
            lambda: dynamodb.delete_item(TableName=catalog, Key=key),
            lambda: dynamodb.scan(TableName=catalog),
            lambda: dynamodb.get_item(TableName=self.stack.env["REQUESTS_TABLE"], Key=key),
            lambda: s3.list_objects_v2(Bucket=bucket),
            lambda: s3.put_object(Bucket=bucket, Key="allthethings/x", Body=b""),
        )

    def test_the_trigger_function_may_not_change_or_scan_the_catalog_or_receive_from_the_queue(self) -> None:
        key = {"pk": {"S": "project#try"}, "sk": {"S": "current"}}
        catalog, requests, queue = (self.stack.env[name] for name in ("CATALOG_TABLE", "REQUESTS_TABLE", "QUEUE_URL"))
        role = self.stack.as_role_of(self.stack.env["TRIGGER_FUNCTION"])
        dynamodb, sqs = self.stack.client("dynamodb", **role), self.stack.client("sqs", **role)

        self.assertIn("Item", dynamodb.get_item(TableName=catalog, Key=key))
        for index, attribute in (("by_push", "push"), ("by_requester", "requester")):
            found = self.query(dynamodb, index, attribute)
            self.assertEqual(found["Count"], 0)
        self.assert_forbidden(
            lambda: dynamodb.update_item(TableName=catalog, Key=key),
            lambda: dynamodb.delete_item(TableName=catalog, Key=key),
            lambda: dynamodb.scan(TableName=catalog),
            lambda: dynamodb.scan(TableName=requests),
            lambda: self.query(dynamodb, "open", "open"),
            lambda: self.query(dynamodb, None, "pk"),
            lambda: sqs.receive_message(QueueUrl=queue),
            lambda: sqs.purge_queue(QueueUrl=queue),
            lambda: sqs.send_message(QueueUrl=self.stack.env["DEAD_LETTER_QUEUE_URL"], MessageBody="{}"),
        )

    def test_the_sweep_function_may_not_read_the_catalog_or_receive_from_the_queue(self) -> None:
        key = {"pk": {"S": "request#x"}, "sk": {"S": "head"}}
        catalog, requests, queue = (self.stack.env[name] for name in ("CATALOG_TABLE", "REQUESTS_TABLE", "QUEUE_URL"))
        role = self.stack.as_role_of(self.stack.env["SWEEP_FUNCTION"])
        dynamodb, sqs = self.stack.client("dynamodb", **role), self.stack.client("sqs", **role)

        self.assertNotIn("Item", dynamodb.get_item(TableName=requests, Key=key))
        self.assertEqual(self.query(dynamodb, "open", "open")["Count"], 0)
        self.assert_forbidden(
            lambda: dynamodb.get_item(TableName=catalog, Key=key),
            lambda: dynamodb.update_item(TableName=catalog, Key=key),
            lambda: dynamodb.scan(TableName=requests),
            lambda: self.query(dynamodb, "by_push", "push"),
            lambda: self.query(dynamodb, "by_requester", "requester"),
            lambda: sqs.receive_message(QueueUrl=queue),
        )

    def test_the_forward_function_may_read_its_parameters_and_may_not_list_or_queue_requests(self) -> None:
        key = {"pk": {"S": "request#x"}, "sk": {"S": "head"}}
        catalog, requests, queue = (self.stack.env[name] for name in ("CATALOG_TABLE", "REQUESTS_TABLE", "QUEUE_URL"))
        other = "/runnable-jobs/other"
        self.stack.client("ssm").put_parameter(Name=other, Value="{}", Type="SecureString")
        role = self.stack.as_role_of(self.stack.env["FORWARD_FUNCTION"])
        dynamodb, sqs, parameters = (self.stack.client(name, **role) for name in ("dynamodb", "sqs", "ssm"))
        pulse = self.stack.env["RUNNABLE_JOBS_PULSE_PARAMETER"]

        self.assertNotIn("Item", dynamodb.get_item(TableName=requests, Key=key))
        account = json.loads(parameters.get_parameter(Name=pulse, WithDecryption=True)["Parameter"]["Value"])
        self.assertEqual(account.keys(), {"username", "password"})
        taskcluster = self.stack.env["RUNNABLE_JOBS_TASKCLUSTER_PARAMETER"]
        client = json.loads(parameters.get_parameter(Name=taskcluster, WithDecryption=True)["Parameter"]["Value"])
        self.assertEqual(client.keys(), {"clientId", "accessToken"})
        self.assertEqual(self.query(dynamodb, "open", "open")["Count"], 0)
        self.assert_forbidden(
            lambda: parameters.get_parameter(Name=other, WithDecryption=True),
            lambda: parameters.put_parameter(Name=pulse, Value="{}", Overwrite=True),
            lambda: dynamodb.get_item(TableName=catalog, Key=key),
            lambda: dynamodb.update_item(TableName=catalog, Key=key),
            lambda: dynamodb.scan(TableName=requests),
            lambda: self.query(dynamodb, "by_push", "push"),
            lambda: self.query(dynamodb, "by_requester", "requester"),
            lambda: sqs.send_message(QueueUrl=queue, MessageBody="{}"),
            lambda: sqs.purge_queue(QueueUrl=queue),
        )

    def incident(self, name: str, sent: bytes = b'{"Records": []}', **settings: str) -> tuple[dict, dict]:
        """The answer of a function, run here with its own settings and with these, and its line with an incident."""
        environment = lambda_environment(self.stack, f"{name.upper()}_FUNCTION") | settings
        with tempfile.NamedTemporaryFile() as log:
            with Function(PROGRAMS.function(name), environment, sent, log) as function:
                answer = json.loads(function.answered()[0])
            lines = [json.loads(line) for line in Path(log.name).read_text().splitlines()]
        [line] = [line for line in lines if "incident" in line]
        named = [one["Name"] for one in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
        self.assertIn("Incidents", named)
        self.assertEqual((line["Incidents"], line["level"]), (1.0, "ERROR"))
        return answer, line

    def test_a_password_that_cannot_be_read_is_an_incident(self) -> None:
        for name, reason in (("/runnable-jobs/other", "AccessDenied"), ("not-there", "AccessDenied")):
            with self.subTest(name):
                answer, line = self.incident("forward", RUNNABLE_JOBS_PULSE_PARAMETER=name)

                self.assertRegex(answer["errorMessage"], f"^reading a parameter of Parameter Store: {reason}")
                self.assertNotIn(name, answer["errorMessage"].partition("on resource")[0])
                self.assertEqual((line["incident"], line["error"]), ("A function fails", answer["errorMessage"]))

    def test_a_refused_and_a_failed_ingest_are_incidents(self) -> None:
        type(self).started_ingests += 2
        with tempfile.NamedTemporaryFile(suffix=".json") as broken:
            broken.write(b"{}")
            broken.flush()
            _, line = self.incident("etl", RUNNABLE_JOBS_SOURCE=broken.name, RUNNABLE_JOBS_TASKCLUSTER_URL="")
        found = (line["incident"], line["outcome"], line["IngestRefused"])
        self.assertEqual(found, ("An ingest was refused", "refused", 1))

        nowhere = "http://127.0.0.1:9/"
        _, line = self.incident("etl", RUNNABLE_JOBS_SOURCE=nowhere, RUNNABLE_JOBS_TASKCLUSTER_URL="")
        self.assertEqual((line["incident"], line["outcome"], line["IngestFailed"]), ("A function fails", "failed", 1))

        # Of Taskcluster alone: its report is not among those of Buildbot.
        answer, line = self.incident("etl", RUNNABLE_JOBS_SOURCE="", RUNNABLE_JOBS_TASKCLUSTER_URL=nowhere)
        self.assertEqual(line["build_system"], "taskcluster")
        found = (line["incident"], line["outcome"], line["TaskclusterIngestFailed"])
        self.assertEqual(found, ("Ingests of Taskcluster", "failed", 1))
        for project in json.loads(self.stack.env["RUNNABLE_JOBS_TASKCLUSTER_PROJECTS"]):
            self.assertIn(f"{project}: Taskcluster: ", answer["errorMessage"])

    def test_a_round_of_following_that_fails_is_an_incident(self) -> None:
        answer, line = self.incident("forward", b'{"follow": true}', RUNNABLE_JOBS_REQUESTS_TABLE="not-there")

        self.assertEqual((answer["failed"], answer["followed"]), (1, 0))
        self.assertEqual((line["incident"], line["error"]), ("Jobs are not followed", answer["error"]))

    def test_a_sweep_that_fails_and_dead_letters_are_incidents(self) -> None:
        answer, line = self.incident("sweep", RUNNABLE_JOBS_REQUESTS_TABLE="not-there")
        self.assertEqual((line["incident"], line["error"]), ("The sweep fails", answer["errorMessage"]))

        sqs, letters = self.stack.client("sqs"), self.stack.env["DEAD_LETTER_QUEUE_URL"]
        sqs.send_message(QueueUrl=letters, MessageBody="{}")
        answer, line = self.incident("sweep")
        self.assertEqual((line["incident"], line["dead_letters"], answer["dead_letters"]), ("Dead letters", 1, 1))
        [message] = sqs.receive_message(QueueUrl=letters)["Messages"]
        sqs.delete_message(QueueUrl=letters, ReceiptHandle=message["ReceiptHandle"])

    def test_the_page_to_open_first_shows_a_push_with_runs_of_jobs_that_are_listed(self) -> None:
        env = self.stack.env
        self.assertEqual(env["PAGE_URL"], f"{env['BASE_URL']}/")
        self.assertIn(f"\nPage: {env['PAGE_URL']}?project=try&push={env['BUSY_PUSH_ID']}\n", self.stack.printed())
        for project in json.loads(env["RUNNABLE_JOBS_TASKCLUSTER_PROJECTS"]):
            path = f"/api/project/{project}/jobs/?push_id={env['BUSY_PUSH_ID']}&count=2000"
            runs = self.stack.ask("GET", path, base="TREEHERDER_URL").json()["results"]
            names = {job["job_type_name"] if job["task_id"] else job["ref_data_name"] for job in runs}
            listed = {job["ref_data_name"] for job in self.stack.jobs(project)}
            self.assertGreater(len(runs), 200)
            self.assertGreater(len(names & listed), 150)
            self.assertLess(len(names - listed), 10)

    def test_the_listener_shows_forwarded_messages_and_their_jobs_run_in_treeherder(self) -> None:
        name = self.stack.builds()[0]
        token = self.stack.token("--email", "someone@mozilla.com")
        path = f"/api/project/try/push/{self.stack.env['PUSH_ID']}/trigger_runnable_jobs/"

        answer = self.stack.ask(
            "POST",
            path,
            json.dumps({"requested_jobs": [name]}).encode(),
            "TRIGGER_BASE_URL",
            Authorization=f"Bearer {token}",
            Content_Type="application/json",
        )
        self.assertEqual(answer.status, 202, answer.body)

        until(lambda: f'"{name}"' in (self.stack.run / "pulse.log").read_text())
        self.assertRegex(self.stack.printed(), rf'(?m)^pulse: \{{.*"{re.escape(name)}"')
        path = f"/api/project/try/jobs/?push_id={self.stack.env['PUSH_ID']}&build_system_type=buildbot&result=success"
        ended = until(lambda: self.stack.ask("GET", path, base="TREEHERDER_URL").json()["results"])
        self.assertEqual([job["ref_data_name"] for job in ended], [name])

    def query(self, dynamodb: Any, index: str | None, attribute: str) -> dict:
        """Query the requests table, or one of its indexes, for an item that does not exist."""
        return dynamodb.query(
            TableName=self.stack.env["REQUESTS_TABLE"],
            **({"IndexName": index} if index else {}),
            KeyConditionExpression="#a = :v",
            ExpressionAttributeNames={"#a": attribute},
            ExpressionAttributeValues={":v": {"S": "nothing"}},
        )

    def test_only_the_owner_can_read_the_signing_key_and_a_token_is_printed_alone(self) -> None:
        self.assertEqual(stat.S_IMODE((self.stack.run / SIGNING_KEY).stat().st_mode), 0o600)
        for who in (("--email", "someone@mozilla.com"), ("--service", "treeherder")):
            self.assertRegex(self.stack.token(*who), r"^[\w-]+\.[\w-]+\.[\w-]+$")

    def test_a_second_run_in_this_checkout_is_refused(self) -> None:
        second = subprocess.run(
            stack_command(self.source, "--once"),
            cwd=ROOT,
            env=stack_environment(self.stack.name),
            capture_output=True,
            text=True,
            check=False,
        )

        self.assertEqual(second.returncode, 1)
        self.assertIn("one runs in this checkout already", second.stderr)

    # Last, because the other tests run while it is not yet due.
    def test_the_schedule_starts_an_ingest_by_itself(self) -> None:
        expected = self.ingests_before + self.started_ingests

        until(lambda: len(self.stack.items("ingest")) > expected, SCHEDULE_SECONDS)


@pytest.mark.xdist_group("kept-stack")
class KeptStack(unittest.TestCase):
    """After a stack ended none of its processes runs, and the next one has its data."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.data = self.folder / "data"
        self.source = sample(self.folder)

    def start(self, *options: str) -> Stack:
        # Without a listener of its own: forwarded messages stay in the queue that the test binds.
        stack = Stack(self.source, "--no-listener", *options, name="kept-stack", forwards=True, data=self.data)
        self.addCleanup(lambda: stack.process.poll() is not None or stack.stop())
        return stack

    def request(self, stack: Stack, job: int) -> str:
        """Trigger one of the jobs of `try` that need no other; returns the request's address."""
        name = stack.builds()[job]
        path = f"/api/project/try/push/{stack.env['PUSH_ID']}/trigger_runnable_jobs/"
        answer = stack.ask(
            "POST",
            path,
            json.dumps({"requested_jobs": [name]}).encode(),
            "TRIGGER_BASE_URL",
            Content_Type="application/json",
            Authorization=self.authorization(stack),
        )
        self.assertEqual((answer.status, answer.json()["state"]), (202, "queued"), answer.body)
        return answer.json()["status_url"]

    def authorization(self, stack: Stack) -> str:
        return f"Bearer {stack.token('--email', 'someone@mozilla.com')}"

    def state(self, stack: Stack, request: str) -> str:
        signed_in = self.authorization(stack)
        return stack.ask("GET", request, base="TRIGGER_BASE_URL", Authorization=signed_in).json()["state"]

    def wait_until_forwarded(self, stack: Stack, request: str) -> None:
        until(lambda: self.state(stack, request) == "forwarded", FORWARD_SECONDS)

    def code(self, stack: Stack, function: str) -> str:
        return stack.client("lambda").get_function_configuration(FunctionName=stack.env[function])["CodeSha256"]

    def test_a_stack_has_the_data_of_the_last_one_and_the_changes_of_a_killed_one_are_lost(self) -> None:
        first = self.start()
        queue = f"queue/listener/{uuid.uuid4()}"
        with kombu.Connection(first.env["AMQP_URL"]) as broker:
            exchange = kombu.Exchange(
                f"exchange/{first.env['PULSE_NAMESPACE']}/v1/resultset-runnable-job-actions", "topic", passive=True
            )
            kombu.Queue(queue, exchange, "#", channel=broker.default_channel).declare()
        forwarded = self.request(first, 0)
        self.wait_until_forwarded(first, forwarded)
        first.set_forwarding(False)
        queued = self.request(first, 1)
        trigger_code, jobs_code = (self.code(first, name) for name in ("TRIGGER_FUNCTION", "JOBS_FUNCTION"))
        archived = self.archived(first)
        self.assert_ends(first)

        # A new build is another program that does the same.
        built = self.folder / "jobs-function"
        built.write_bytes(PROGRAMS.function("jobs").read_bytes() + b"\n")
        built.chmod(0o755)
        second = self.start("--function", f"jobs={built}")
        self.assertNotEqual(self.code(second, "JOBS_FUNCTION"), jobs_code)
        self.assertEqual(self.code(second, "TRIGGER_FUNCTION"), trigger_code)
        self.assertEqual(self.reports(second), ["published", "unchanged"])
        self.assertEqual(self.archived(second), archived)
        self.assertEqual([self.state(second, request) for request in (forwarded, queued)], ["forwarded", "queued"])
        second.set_forwarding(True)
        self.wait_until_forwarded(second, queued)
        with kombu.Connection(second.env["AMQP_URL"]) as broker:
            self.assertEqual(broker.default_channel.queue_declare(queue, passive=True).message_count, 2)
        self.assert_nothing_runs_after_a_kill(second)

        # Another program has its port now: this one, or a server that was faster.
        [port] = (int(kept.read_text()) for kept in self.data.glob("kept-*/emulator/port"))
        self.occupy(port)
        third = self.start()
        self.assertNotEqual(urllib.parse.urlsplit(third.env["AWS_ENDPOINT_URL"]).port, port)
        self.assertEqual(self.reports(third), ["published", "unchanged"])
        self.assertEqual([self.state(third, request) for request in (forwarded, queued)], ["forwarded", "queued"])
        self.request(third, 2)
        self.assertIn("The last run did not end by itself", third.printed())

    def occupy(self, port: int) -> None:
        """Listen on a port until the test ends, unless another server does. Connections may use it for a moment."""

        def is_listened_on() -> bool:
            try:
                self.enterContext(socket.create_server(("127.0.0.1", port)))
            except OSError:
                with socket.socket() as other:
                    return other.connect_ex(("127.0.0.1", port)) == 0
            return True

        until(is_listened_on)

    def reports(self, stack: Stack) -> list[str]:
        return [json.loads(item["report"])["outcome"] for item in stack.items("ingest")]

    def archived(self, stack: Stack) -> list[str]:
        found = stack.client("s3").list_objects_v2(Bucket=stack.env["ARCHIVE_BUCKET"], Prefix="allthethings/")
        return [item["Key"] for item in found["Contents"]]

    def assert_ends(self, stack: Stack) -> None:
        """Ctrl-C ends it, and leaves nothing but its data."""
        erlang = int((self.data / ERLANG_PID).read_text())

        code = stack.stop()

        self.assertEqual(code, 0, stack.printed())
        assert_nothing_is_left(self, stack.run)
        self.assertEqual(stack.services.keys(), {"emulator", "treeherder", "taskcluster", "broker", "openid"})
        # The emulator and the functions that it started are one process group; so are the broker and its helpers.
        for name, group in stack.services.items():
            with self.subTest(name), self.assertRaises(ProcessLookupError):
                os.killpg(group, 0)
        self.assertFalse(is_alive(erlang))
        with self.assertRaises(subprocess.CalledProcessError) as refused:
            stack.token("--email", "someone@mozilla.com")
        self.assertIn("make run", refused.exception.stderr)

    def assert_nothing_runs_after_a_kill(self, stack: Stack) -> None:
        for stale in (stack.stack_env, stack.run / SIGNING_KEY, *stack.run.glob("*.pid")):
            self.addCleanup(stale.unlink, missing_ok=True)
        left = set(stack.services.values()) | {int((self.data / ERLANG_PID).read_text())}

        stack.process.kill()
        stack.process.wait()

        deadline = time.monotonic() + ENDING_SECONDS
        while left := {pid for pid in left if is_alive(pid)}:
            self.assertLess(time.monotonic(), deadline, f"{left} of {stack.services}")
            time.sleep(0.1)


@pytest.mark.xdist_group("failing-stack")
class FailingStack(unittest.TestCase):
    """A failure names the part that failed, and its log."""

    name = "failing-stack"

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def error_of(self, *options: str, source: Path | None = None, **variables: str) -> str:
        """The error of a run that cannot succeed; it leaves nothing behind."""
        command = stack_command(source or sample(self.folder), "--once", "--data", str(self.folder / "data"), *options)
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT, env=stack_environment(self.name) | variables
        )
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count("error: "), 1, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        assert_nothing_is_left(self, RUNS / self.name)
        self.assertEqual(list(self.folder.glob("data/*")), [])
        return done.stderr

    def test_a_refused_source_fails_with_the_reason(self) -> None:
        source = self.folder / "empty.json"
        source.write_text('{"builders": {}, "schedulers": {}}')

        said = self.error_of(source=source)

        self.assertRegex(said, r"error: ETL function: .*builders")
        self.assertIn("etl-function.log", said)

    def test_a_binary_that_does_not_start_is_named(self) -> None:
        broken = self.folder / "broken"
        broken.write_text("#!/bin/sh\necho there is no configuration >&2\nexit 3\n")
        broken.chmod(0o755)

        said = self.error_of("--function", f"trigger={broken}")

        self.assertRegex(said, r"error: trigger function: (.|\n)*there is no configuration")
        self.assertIn("trigger-function.log", said)

    def test_where_erlang_is_missing_the_broker_says_so(self) -> None:
        programs = self.folder / "bin"
        programs.mkdir()
        for name in ("sh", "uname"):
            found = shutil.which(name)
            assert found, name
            (programs / name).symlink_to(found)

        said = self.error_of(PATH=str(programs))

        self.assertRegex(said, r"error: broker: ")
        self.assertRegex(said, r"epmd|RabbitMQ is not installed")

    def test_a_missing_docker_is_reported_before_anything_else(self) -> None:
        begun = time.monotonic()

        said = self.error_of("--docker", DOCKER_HOST=f"unix://{self.folder}/missing.sock")

        self.assertRegex(said, r"error: Docker: `docker version` fails: .+")
        self.assertLess(time.monotonic() - begun, AT_ONCE_SECONDS)


def assert_nothing_is_left(test: unittest.TestCase, run: Path) -> None:
    """No file in the folder of a stack says that it runs."""
    test.assertFalse((run / "stack.env").exists())
    test.assertFalse((run / SIGNING_KEY).exists())
    test.assertEqual(list(run.glob("*.pid")), [])
