"""The local stack as a person uses it: what `stack.py run` deploys works, what it started ends with it, and its data is
there the next time.
"""

import contextlib
import io
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest
import uuid
from collections.abc import Callable
from pathlib import Path

import kombu
from botocore.exceptions import ClientError

from running_stack import JOBS_FUNCTION, ROOT, RUN, START_SECONDS, STACK_ENV, Stack, in_stack, sample, stack_command

sys.path.append(str(ROOT / "localstack"))
from child import ended  # noqa: E402
from kept import Data  # noqa: E402

SIGNING_KEY = RUN / "signing-key.pem"
PULSE_LOG = RUN / "pulse.log"
# In the folder of the data.
ERLANG_PID = "running/broker/broker.pid"

# The emulator looks at its rules every ten seconds, and first notes when it saw one: up to 80 seconds pass.
SCHEDULE_SECONDS = 100
FORWARD_SECONDS = 20
# Long before anything could have been installed or built.
AT_ONCE_SECONDS = 10
# Within this, all that a killed stack started has noticed that it is gone.
ENDING_SECONDS = 5


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that ended and that nobody asked about (a container's init may not) does not."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip() != "" and not shown.stdout.startswith("Z")


class RunningStack(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.source = sample(folder)
        cls.stack = Stack(cls.source, "--schedule", "* * * * ? *", forwards=True)
        cls.addClassCleanup(cls.stack.output.close)
        cls.addClassCleanup(cls.stack.stop)

    def assert_forbidden(self, *calls: Callable[[], object]) -> None:
        for number, forbidden in enumerate(calls):
            with self.subTest(number), self.assertRaises(ClientError) as refused:
                forbidden()
            self.assertRegex(refused.exception.response["Error"]["Code"], "AccessDenied")

    def test_the_deployed_function_published_a_list_for_try(self) -> None:
        [current] = [item for item in self.stack.items("project#try") if item["sk"] == "current"]

        self.assertGreaterEqual(current["generation"], 1)

    def test_the_command_line_lists_the_jobs_of_try(self) -> None:
        shown = in_stack("etl", "show", "try", "--json")

        self.assertEqual(shown.returncode, 0, shown.stderr)
        jobs = json.loads(shown.stdout)["results"]
        self.assertGreater(len(jobs), 0)
        self.assertIn(" try ", jobs[0]["ref_data_name"])

    def test_the_api_has_a_log_that_is_counted(self) -> None:
        [api] = self.stack.client("apigatewayv2").get_apis()["Items"]
        [stage] = self.stack.client("apigatewayv2").get_stages(ApiId=api["ApiId"])["Items"]
        group = stage["AccessLogSettings"]["DestinationArn"].split(":log-group:")[1].removesuffix(":*")

        self.assertEqual(group, "/aws/vendedlogs/runnable-jobs-api")
        [counted] = self.stack.client("logs").describe_metric_filters(logGroupName=group)["metricFilters"]
        self.assertEqual(counted["metricTransformations"][0]["metricName"], "ApiRefused")

    def test_the_raw_source_is_archived(self) -> None:
        archived = self.stack.client("s3").list_objects_v2(
            Bucket=self.stack.env["ARCHIVE_BUCKET"], Prefix="allthethings/")

        self.assertEqual(archived["KeyCount"], 1)

    def test_an_unchanged_source_is_reported_unchanged(self) -> None:
        answer = self.stack.client("lambda").invoke(FunctionName=self.stack.env["ETL_FUNCTION"], Payload=b"{}")

        report = json.loads(answer["Payload"].read())
        self.assertNotIn("FunctionError", answer, report)
        self.assertEqual(report["outcome"], "unchanged")

    def test_the_schedule_fires_an_ingest_by_itself(self) -> None:
        before = len(self.stack.items("ingest"))

        deadline = time.monotonic() + SCHEDULE_SECONDS
        while len(self.stack.items("ingest")) == before:
            self.assertLess(time.monotonic(), deadline, "no ingest came by itself")
            time.sleep(1)

    def test_the_jobs_function_may_read_the_catalog_and_do_nothing_else(self) -> None:
        key = {"pk": {"S": "project#try"}, "sk": {"S": "current"}}
        catalog, bucket = self.stack.env["CATALOG_TABLE"], self.stack.env["ARCHIVE_BUCKET"]
        role = self.stack.as_role_of(self.stack.env["JOBS_FUNCTION"])
        dynamodb, s3 = self.stack.client("dynamodb", **role), self.stack.client("s3", **role)

        self.assertIn("Item", dynamodb.get_item(TableName=catalog, Key=key))
        self.assert_forbidden(
            lambda: dynamodb.put_item(TableName=catalog, Item=key),
            lambda: dynamodb.update_item(TableName=catalog, Key=key),
            lambda: dynamodb.delete_item(TableName=catalog, Key=key),
            lambda: dynamodb.batch_write_item(RequestItems={catalog: [{"DeleteRequest": {"Key": key}}]}),
            lambda: dynamodb.scan(TableName=catalog),
            lambda: dynamodb.get_item(TableName=self.stack.env["REQUESTS_TABLE"], Key=key),
            lambda: s3.list_objects_v2(Bucket=bucket),
            lambda: s3.put_object(Bucket=bucket, Key="allthethings/x", Body=b""),
        )

    def test_the_trigger_function_may_not_write_or_scan_the_catalog_nor_take_from_the_queue(self) -> None:
        key = {"pk": {"S": "project#try"}, "sk": {"S": "current"}}
        catalog, requests, queue = (self.stack.env[name] for name in ("CATALOG_TABLE", "REQUESTS_TABLE", "QUEUE_URL"))
        role = self.stack.as_role_of(self.stack.env["TRIGGER_FUNCTION"])
        dynamodb, sqs = self.stack.client("dynamodb", **role), self.stack.client("sqs", **role)

        self.assertIn("Item", dynamodb.get_item(TableName=catalog, Key=key))
        for index, attribute in (("by_push", "push"), ("by_requester", "requester")):
            found = self.query(dynamodb, index, attribute)
            self.assertEqual(found["Count"], 0)
        self.assert_forbidden(
            lambda: dynamodb.put_item(TableName=catalog, Item=key),
            lambda: dynamodb.update_item(TableName=catalog, Key=key),
            lambda: dynamodb.delete_item(TableName=catalog, Key=key),
            lambda: dynamodb.batch_write_item(RequestItems={catalog: [{"DeleteRequest": {"Key": key}}]}),
            lambda: dynamodb.scan(TableName=catalog),
            lambda: dynamodb.scan(TableName=requests),
            lambda: self.query(dynamodb, "open", "open"),
            lambda: self.query(dynamodb, None, "pk"),
            lambda: sqs.receive_message(QueueUrl=queue),
            lambda: sqs.purge_queue(QueueUrl=queue),
            lambda: sqs.send_message(QueueUrl=self.stack.env["DEAD_LETTER_QUEUE_URL"], MessageBody="{}"),
        )

    def test_the_sweep_function_may_not_read_the_catalog_nor_take_from_the_queue(self) -> None:
        key = {"pk": {"S": "request#x"}, "sk": {"S": "head"}}
        catalog, requests, queue = (self.stack.env[name] for name in ("CATALOG_TABLE", "REQUESTS_TABLE", "QUEUE_URL"))
        role = self.stack.as_role_of(self.stack.env["SWEEP_FUNCTION"])
        dynamodb, sqs = self.stack.client("dynamodb", **role), self.stack.client("sqs", **role)

        self.assertNotIn("Item", dynamodb.get_item(TableName=requests, Key=key))
        self.assertEqual(self.query(dynamodb, "open", "open")["Count"], 0)
        self.assert_forbidden(
            lambda: dynamodb.get_item(TableName=catalog, Key=key),
            lambda: dynamodb.scan(TableName=requests),
            lambda: dynamodb.delete_item(TableName=requests, Key=key),
            lambda: self.query(dynamodb, "by_push", "push"),
            lambda: self.query(dynamodb, "by_requester", "requester"),
            lambda: sqs.receive_message(QueueUrl=queue),
        )

    def test_the_forward_function_may_read_one_secret_and_may_not_list_requests_nor_queue_any(self) -> None:
        key = {"pk": {"S": "request#x"}, "sk": {"S": "head"}}
        catalog, requests, queue = (self.stack.env[name] for name in ("CATALOG_TABLE", "REQUESTS_TABLE", "QUEUE_URL"))
        other = self.stack.client("secretsmanager").create_secret(Name="runnable-jobs/other", SecretString="{}")["ARN"]
        role = self.stack.as_role_of(self.stack.env["FORWARD_FUNCTION"])
        dynamodb, sqs, secrets = (self.stack.client(name, **role) for name in ("dynamodb", "sqs", "secretsmanager"))
        pulse = self.stack.env["RUNNABLE_JOBS_PULSE_SECRET"]

        self.assertNotIn("Item", dynamodb.get_item(TableName=requests, Key=key))
        account = json.loads(secrets.get_secret_value(SecretId=pulse)["SecretString"])
        self.assertEqual(account.keys(), {"username", "password"})
        self.assert_forbidden(
            lambda: secrets.get_secret_value(SecretId=other),
            lambda: secrets.put_secret_value(SecretId=pulse, SecretString="{}"),
            lambda: dynamodb.get_item(TableName=catalog, Key=key),
            lambda: dynamodb.scan(TableName=requests),
            lambda: dynamodb.delete_item(TableName=requests, Key=key),
            lambda: self.query(dynamodb, "open", "open"),
            lambda: self.query(dynamodb, "by_push", "push"),
            lambda: sqs.send_message(QueueUrl=queue, MessageBody="{}"),
            lambda: sqs.purge_queue(QueueUrl=queue),
        )

    def test_what_is_forwarded_is_shown_by_the_listener(self) -> None:
        jobs = self.stack.ask("GET", "/api/project/try/runnable_jobs/").json()["results"]
        names = iter([job["ref_data_name"] for job in jobs if not job["upstream"]])
        token = self.stack.token("--email", "someone@mozilla.com")
        path = f"/api/project/try/push/{self.stack.env['PUSH_ID']}/trigger_runnable_jobs/"

        # More than one: where the exchange is not there before the first request, the listener misses that one.
        deadline, asked = time.monotonic() + START_SECONDS, ""
        while not asked or f'"{asked}"' not in PULSE_LOG.read_text():
            self.assertLess(time.monotonic(), deadline, PULSE_LOG.read_text())
            asked = next(names)
            answer = self.stack.ask(
                "POST", path, json.dumps({"requested_jobs": [asked]}).encode(), "TRIGGER_BASE_URL",
                Authorization=f"Bearer {token}", Content_Type="application/json")
            self.assertEqual(answer.status, 202, answer.body)
            time.sleep(3)
        self.stack.output.seek(0)
        self.assertRegex(self.stack.output.read(), rf'(?m)^pulse: \{{.*"{re.escape(asked)}"')

    def query(self, dynamodb, index: str | None, attribute: str) -> dict:
        """Ask the requests table, or one of its indexes, for what is not there."""
        return dynamodb.query(
            TableName=self.stack.env["REQUESTS_TABLE"], **({"IndexName": index} if index else {}),
            KeyConditionExpression="#a = :v", ExpressionAttributeNames={"#a": attribute},
            ExpressionAttributeValues={":v": {"S": "nothing"}})

    def test_the_key_that_signs_in_is_its_owners_alone_and_tokens_are_printed_alone(self) -> None:
        self.assertEqual(stat.S_IMODE(SIGNING_KEY.stat().st_mode), 0o600)
        for who in (("--email", "someone@mozilla.com"), ("--service", "treeherder")):
            self.assertRegex(self.stack.token(*who), r"^[\w-]+\.[\w-]+\.[\w-]+$")

    def test_a_second_run_in_this_checkout_is_refused(self) -> None:
        second = subprocess.run(
            stack_command(self.source, "--once"), capture_output=True, text=True, check=False)

        self.assertEqual(second.returncode, 1)
        self.assertIn("one runs in this checkout already", second.stderr)


class KeptStack(unittest.TestCase):
    """What is there after a stack ended: nothing that runs, and its data for the next one."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.data = self.folder / "data"
        self.source = sample(self.folder)

    def start(self, *options: str) -> Stack:
        # Without a listener of its own: what is forwarded stays in the queue that the test binds.
        stack = Stack(self.source, "--no-listener", *options, forwards=True, data=self.data)
        self.addCleanup(stack.output.close)
        self.addCleanup(lambda: stack.process.poll() is not None or stack.stop())
        return stack

    def request(self, stack: Stack, job: int) -> str:
        """Ask for one of the jobs of `try` that need no other; returns the request's address."""
        jobs = stack.ask("GET", "/api/project/try/runnable_jobs/").json()["results"]
        name = [job["ref_data_name"] for job in jobs if not job["upstream"]][job]
        path = f"/api/project/try/push/{stack.env['PUSH_ID']}/trigger_runnable_jobs/"
        answer = stack.ask(
            "POST", path, json.dumps({"requested_jobs": [name]}).encode(), "TRIGGER_BASE_URL",
            Content_Type="application/json", **self.signed_in(stack))
        self.assertEqual((answer.status, answer.json()["state"]), (202, "queued"), answer.body)
        return answer.json()["status_url"]

    def signed_in(self, stack: Stack) -> dict[str, str]:
        return {"Authorization": f"Bearer {stack.token('--email', 'someone@mozilla.com')}"}

    def state(self, stack: Stack, request: str) -> str:
        return stack.ask("GET", request, base="TRIGGER_BASE_URL", **self.signed_in(stack)).json()["state"]

    def wait_until_forwarded(self, stack: Stack, request: str) -> None:
        deadline = time.monotonic() + FORWARD_SECONDS
        while (state := self.state(stack, request)) != "forwarded":
            self.assertLess(time.monotonic(), deadline, state)
            time.sleep(0.2)

    def code(self, stack: Stack, function: str) -> str:
        return stack.client("lambda").get_function_configuration(FunctionName=stack.env[function])["CodeSha256"]

    def test_what_a_stack_knew_the_next_one_knows_and_what_a_killed_one_did_is_gone(self) -> None:
        first = self.start()
        queue = f"queue/listener/{uuid.uuid4()}"
        with kombu.Connection(first.env["AMQP_URL"]) as broker:
            exchange = kombu.Exchange(
                f"exchange/{first.env['PULSE_NAMESPACE']}/v1/resultset-runnable-job-actions", "topic", passive=True)
            kombu.Queue(queue, exchange, "#", channel=broker.default_channel).declare()
        forwarded = self.request(first, 0)
        self.wait_until_forwarded(first, forwarded)
        first.set_forwarding(False)
        queued = self.request(first, 1)
        trigger_code, jobs_code = (self.code(first, name) for name in ("TRIGGER_FUNCTION", "JOBS_FUNCTION"))
        archived = self.archived(first)
        self.assert_ends(first)

        # Built anew, it is another program that does the same.
        built = self.folder / "jobs-function"
        built.write_bytes(JOBS_FUNCTION.read_bytes() + b"\n")
        built.chmod(0o755)
        second = self.start("--jobs-function", str(built))
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

        # Somebody else has its port now: we, if nobody was faster.
        [port] = self.data.glob("kept-*/emulator/port")
        with contextlib.suppress(OSError):
            self.enterContext(socket.create_server(("127.0.0.1", int(port.read_text()))))
        third = self.start()
        self.assertFalse(third.env["AWS_ENDPOINT_URL"].endswith(f":{port.read_text()}"))
        self.assertEqual(self.reports(third), ["published", "unchanged"])
        self.assertEqual([self.state(third, request) for request in (forwarded, queued)], ["forwarded", "queued"])
        self.request(third, 2)
        third.output.seek(0)
        self.assertIn("The last run did not end by itself", third.output.read())

    def reports(self, stack: Stack) -> list[str]:
        return [json.loads(item["report"])["outcome"] for item in stack.items("ingest")]

    def archived(self, stack: Stack) -> list[str]:
        found = stack.client("s3").list_objects_v2(Bucket=stack.env["ARCHIVE_BUCKET"], Prefix="allthethings/")
        return [item["Key"] for item in found["Contents"]]

    def assert_ends(self, stack: Stack) -> None:
        """Ctrl-C ends it, and leaves nothing but its data."""
        erlang = int((self.data / ERLANG_PID).read_text())

        code = stack.stop()

        stack.output.seek(0)
        self.assertEqual(code, 0, stack.output.read())
        assert_nothing_is_left(self)
        self.assertEqual(stack.parts.keys(), {"emulator", "treeherder", "broker"})
        # The emulator and the functions that it started are one process group; so are the broker and its helpers.
        for name, group in stack.parts.items():
            with self.subTest(name), self.assertRaises(ProcessLookupError):
                os.killpg(group, 0)
        self.assertFalse(is_alive(erlang))
        with self.assertRaises(subprocess.CalledProcessError) as refused:
            stack.token("--email", "someone@mozilla.com")
        self.assertIn("make run", refused.exception.stderr)

    def assert_nothing_runs_after_a_kill(self, stack: Stack) -> None:
        for stale in (STACK_ENV, SIGNING_KEY, *RUN.glob("*.pid")):
            self.addCleanup(stale.unlink, missing_ok=True)
        left = set(stack.parts.values()) | {int((self.data / ERLANG_PID).read_text())}

        stack.process.kill()
        stack.process.wait()

        deadline = time.monotonic() + ENDING_SECONDS
        while left := {pid for pid in left if is_alive(pid)}:
            self.assertLess(time.monotonic(), deadline, f"{left} of {stack.parts}")
            time.sleep(0.1)
        # As the next test, and a next run, finds it.
        STACK_ENV.unlink()


class KeptData(unittest.TestCase):
    """The folder between two runs, without the runs."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory())) / "data"
        self.said = self.enterContext(contextlib.redirect_stdout(io.StringIO()))

    def run_once(self, content: str | None, *, fresh: bool = False, is_good: bool = True) -> str | None:
        """One run: what it finds; and then it writes `content`, and ends well or not."""
        data = Data(self.folder, fresh)
        state = data.running / "emulator" / "state" / "service.json"
        found = state.read_text() if data.is_reused else None
        state.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            state.write_text(content)
        if is_good:
            data.keep()
        return found

    def test_the_next_run_finds_what_the_last_one_kept(self) -> None:
        self.assertEqual([self.run_once("1"), self.run_once("2"), self.run_once("3")], [None, "1", "2"])
        self.assertEqual(len(list(self.folder.iterdir())), 1)

    def test_what_a_run_did_that_was_killed_is_gone_and_told(self) -> None:
        self.run_once("1")
        self.run_once("2", is_good=False)

        self.assertEqual(self.run_once("3"), "1")
        self.assertIn("did not end by itself", self.said.getvalue())

    def test_a_fresh_run_finds_nothing_and_forgets_what_there_was(self) -> None:
        self.run_once("1")
        self.assertIsNone(self.run_once("2", fresh=True, is_good=False))
        self.assertIsNone(self.run_once("3"))

    def test_damaged_data_and_data_of_other_versions_are_not_used(self) -> None:
        for damage in (lambda kept: (kept / "emulator/state/service.json").write_text("{"),
                       lambda kept: (kept / "made-by").write_text("an emulator of later"),
                       lambda kept: (kept / "made-by").unlink()):
            self.run_once("1", fresh=True)
            [kept] = self.folder.glob("kept-*")
            damage(kept)

            self.assertIsNone(self.run_once("2"))
            self.assertIn("beginning anew", self.said.getvalue())
            self.said.truncate(0)


class FailingStack(unittest.TestCase):
    """A failure tells which part it was, and where its log is."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def fail(self, *options: str, source: Path | None = None, **variables: str) -> str:
        """What a run that cannot succeed says; it leaves nothing behind."""
        command = stack_command(source or sample(self.folder), "--once", "--data", str(self.folder / "data"), *options)
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | variables)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count("error: "), 1, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        assert_nothing_is_left(self)
        self.assertEqual(list(self.folder.glob("data/*")), [])
        return done.stderr

    def test_a_refused_source_fails_with_the_reason(self) -> None:
        source = self.folder / "empty.json"
        source.write_text('{"builders": {}, "schedulers": {}}')

        said = self.fail(source=source)

        self.assertRegex(said, r"error: ETL function: .*builders")
        self.assertIn("etl-function.log", said)

    def test_a_binary_that_does_not_start_is_named(self) -> None:
        broken = self.folder / "broken"
        broken.write_text("#!/bin/sh\necho there is no configuration >&2\nexit 3\n")
        broken.chmod(0o755)

        said = self.fail("--trigger-function", str(broken))

        self.assertRegex(said, r"error: trigger function: (.|\n)*there is no configuration")
        self.assertIn("trigger-function.log", said)

    def test_where_erlang_is_missing_the_broker_says_so(self) -> None:
        programs = self.folder / "bin"
        programs.mkdir()
        for name in ("sh", "uname"):
            (programs / name).symlink_to(shutil.which(name))

        said = self.fail(PATH=str(programs))

        self.assertRegex(said, r"error: broker: ")
        self.assertRegex(said, r"epmd|RabbitMQ is not installed")

    def test_docker_that_is_not_there_is_told_before_anything_else(self) -> None:
        begun = time.monotonic()

        said = self.fail("--docker", DOCKER_HOST=f"unix://{self.folder}/nobody.sock")

        self.assertRegex(said, r"error: Docker: `docker version` fails: .+")
        self.assertLess(time.monotonic() - begun, AT_ONCE_SECONDS)

    def test_who_finds_a_port_taken_is_told_to_start_again(self) -> None:
        for words in ("ERROR: 127.0.0.1:1 is already in use.", "{listen_error,{acceptor,{127,0,0,1},1},eaddrinuse}"):
            log = self.folder / "part.log"
            log.write_text(f"starting\n{words}\n")
            self.assertIn("start again", ended(1, log))
            self.assertIn(words, ended(1, log))
        log.write_text("no configuration\n")
        self.assertNotIn("start again", ended(1, log))


def assert_nothing_is_left(test: unittest.TestCase) -> None:
    """No file that says that a stack runs, and nothing of its scratch."""
    test.assertFalse(STACK_ENV.exists())
    test.assertFalse(SIGNING_KEY.exists())
    test.assertEqual(list(RUN.glob("*.pid")), [])
