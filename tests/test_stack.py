"""The local stack as a person uses it: what `stack.py run` deploys works, and what it started ends with it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import boto3
from boto3.dynamodb.conditions import Key

ROOT = Path(__file__).resolve().parent.parent
STACK = ROOT / "localstack" / "stack.py"
STACK_ENV = ROOT / ".run" / "stack.env"
EMULATOR_PID = ROOT / ".run" / "emulator.pid"
ETL = Path(os.environ.get("ETL_BIN", ROOT / "target/debug/etl")).absolute()
ETL_FUNCTION = Path(os.environ.get("ETL_FUNCTION_BIN", ROOT / "target/debug/etl-function")).absolute()

BUILDERS = 3000
START_SECONDS = 60
STOP_SECONDS = 20
# The emulator looks at its rules every ten seconds, and first notes when it saw one: up to 80 seconds pass.
SCHEDULE_SECONDS = 100


def stack_command(source: Path, *options: str) -> list[str]:
    """The command that runs the stack on `source` with the binaries under test."""
    return [sys.executable, str(STACK), "run", "--source", str(source),
            "--binary", str(ETL_FUNCTION), "--etl", str(ETL), *options]


def sample(folder: Path) -> Path:
    """A small source, made as `make run` makes its own."""
    path = folder / "sample.json"
    with open(path, "wb") as output:
        subprocess.run([ETL, "sample", "--builders", str(BUILDERS), "--seed", "1"], stdout=output, check=True)
    return path


def in_stack(*words: str) -> subprocess.CompletedProcess:
    """Run a command as a person does who has loaded `stack.env`."""
    script = '. "$0" && exec "$@"'
    return subprocess.run(["sh", "-c", script, str(STACK_ENV), *words], capture_output=True, text=True, check=False)


class Stack:
    """A `stack.py run` in the background."""

    def __init__(self, source: Path, *options: str) -> None:
        self.output = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(stack_command(source, *options), stdout=self.output, stderr=self.output)
        deadline = time.monotonic() + START_SECONDS
        while not STACK_ENV.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                self.output.seek(0)
                raise AssertionError(f"the stack did not start:\n{self.output.read()}")
            time.sleep(0.1)
        dump = in_stack(sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))")
        self.env = json.loads(dump.stdout)
        self.emulator = int(EMULATOR_PID.read_text())
        self.table = self._session().resource(
            "dynamodb", endpoint_url=self.env["AWS_ENDPOINT_URL"]).Table(self.env["CATALOG_TABLE"])

    def client(self, service: str):
        """A boto3 client of the stack's emulator."""
        return self._session().client(service, endpoint_url=self.env["AWS_ENDPOINT_URL"])

    def items(self, partition: str) -> list[dict]:
        """The catalog table's items under one partition key."""
        return self.table.query(KeyConditionExpression=Key("pk").eq(partition), ConsistentRead=True)["Items"]

    def _session(self) -> boto3.Session:
        return boto3.Session(self.env["AWS_ACCESS_KEY_ID"], self.env["AWS_SECRET_ACCESS_KEY"],
                             region_name=self.env["AWS_REGION"])

    def stop(self) -> int:
        """End it as Ctrl-C does; returns its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_SECONDS)


class RunningStack(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.source = sample(folder)
        cls.stack = Stack(cls.source, "--schedule", "* * * * ? *")
        cls.addClassCleanup(cls.stack.output.close)
        cls.addClassCleanup(cls.stack.stop)

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
        self.assertEqual(list(STACK_ENV.parent.glob("*.pid")), [])

    def test_an_interrupted_stack_leaves_nothing_behind(self) -> None:
        stack = Stack(sample(self.folder))
        self.addCleanup(stack.output.close)

        code = stack.stop()

        self.assertEqual(code, 0)
        self.assert_nothing_is_left()
        # The emulator and the functions that it started are one process group.
        with self.assertRaises(ProcessLookupError):
            os.killpg(stack.emulator, 0)

    def test_a_refused_source_fails_with_the_reason_and_leaves_nothing_behind(self) -> None:
        source = self.folder / "empty.json"
        source.write_text('{"builders": {}, "schedulers": {}}')

        done = subprocess.run(stack_command(source, "--once"), capture_output=True, text=True, check=False)

        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"error: ETL function: .*builders")
        self.assertIn("etl-function.log", done.stderr)
        self.assert_nothing_is_left()
