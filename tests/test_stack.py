"""The local stack as a person uses it: what `stack.py run` deploys works, and what it started ends with it."""

import json
import os
import re
import stat
import subprocess
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path

from botocore.exceptions import ClientError

from running_stack import RUN, START_SECONDS, STACK_ENV, Stack, in_stack, sample, stack_command

SIGNING_KEY = RUN / "signing-key.pem"
PULSE_LOG = RUN / "pulse.log"
ERLANG_PID = RUN / "broker" / "broker.pid"

# The emulator looks at its rules every ten seconds, and first notes when it saw one: up to 80 seconds pass.
SCHEDULE_SECONDS = 100
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


class EndingStack(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def assert_nothing_is_left(self) -> None:
        self.assertFalse(STACK_ENV.exists())
        self.assertFalse(SIGNING_KEY.exists())
        self.assertEqual(list(RUN.glob("*.pid")), [])
        self.assertFalse((RUN / "broker").exists())

    def test_an_interrupted_stack_leaves_nothing_behind(self) -> None:
        stack = Stack(sample(self.folder), forwards=True)
        self.addCleanup(stack.output.close)
        erlang = int(ERLANG_PID.read_text())

        code = stack.stop()

        self.assertEqual(code, 0)
        self.assert_nothing_is_left()
        # The emulator and the functions that it started are one process group; so are the broker and its helpers.
        self.assertEqual(stack.parts.keys(), {"emulator", "treeherder", "broker", "listener"})
        for name, group in stack.parts.items():
            with self.subTest(name), self.assertRaises(ProcessLookupError):
                os.killpg(group, 0)
        self.assertFalse(is_alive(erlang))
        with self.assertRaises(subprocess.CalledProcessError) as refused:
            stack.token("--email", "someone@mozilla.com")
        self.assertIn("make run", refused.exception.stderr)

    def test_a_killed_stack_leaves_no_process_behind(self) -> None:
        stack = Stack(sample(self.folder), forwards=True)
        self.addCleanup(stack.output.close)
        for stale in (STACK_ENV, SIGNING_KEY, *RUN.glob("*.pid")):
            self.addCleanup(stale.unlink)
        left = set(stack.parts.values()) | {int(ERLANG_PID.read_text())}

        stack.process.kill()
        stack.process.wait()

        deadline = time.monotonic() + ENDING_SECONDS
        while left := {pid for pid in left if is_alive(pid)}:
            self.assertLess(time.monotonic(), deadline, f"{left} of {stack.parts}")
            time.sleep(0.1)

    def test_a_refused_source_fails_with_the_reason_and_leaves_nothing_behind(self) -> None:
        source = self.folder / "empty.json"
        source.write_text('{"builders": {}, "schedulers": {}}')

        done = subprocess.run(stack_command(source, "--once"), capture_output=True, text=True, check=False)

        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"error: ETL function: .*builders")
        self.assertIn("etl-function.log", done.stderr)
        self.assert_nothing_is_left()
