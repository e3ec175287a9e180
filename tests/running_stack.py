"""Stacks for tests: `stack.py run` with the binaries under test, in the background; or one that is there already."""

import contextlib
import dataclasses
import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import kombu
from boto3.dynamodb.conditions import Key

from listener import Listener

ROOT = Path(__file__).resolve().parent.parent
STACK = ROOT / "localstack" / "stack.py"
RUN = ROOT / ".run"
STACK_ENV = RUN / "stack.env"
ETL = Path(os.environ.get("ETL_BIN", ROOT / "target/debug/etl")).absolute()
ETL_FUNCTION = Path(os.environ.get("ETL_FUNCTION_BIN", ROOT / "target/debug/etl-function")).absolute()
JOBS_FUNCTION = Path(os.environ.get("JOBS_FUNCTION_BIN", ROOT / "target/debug/jobs-function")).absolute()
TRIGGER = Path(os.environ.get("TRIGGER_BIN", ROOT / "target/debug/trigger")).absolute()
TRIGGER_FUNCTION = Path(os.environ.get("TRIGGER_FUNCTION_BIN", ROOT / "target/debug/trigger-function")).absolute()
SWEEP_FUNCTION = Path(os.environ.get("SWEEP_FUNCTION_BIN", ROOT / "target/debug/sweep-function")).absolute()
FORWARD = Path(os.environ.get("FORWARD_BIN", ROOT / "target/debug/forward")).absolute()
FORWARD_FUNCTION = Path(os.environ.get("FORWARD_FUNCTION_BIN", ROOT / "target/debug/forward-function")).absolute()

# Debian's program itself: what is in its PATH would become another user, and drop our variables.
RABBITMQCTL = "/usr/lib/rabbitmq/bin/rabbitmqctl"

BUILDERS = 3000
START_SECONDS = 60
STOP_SECONDS = 20
ANSWER_SECONDS = 20
# Within this, something happens that is bound to happen.
PATIENCE_SECONDS = 90


def stack_command(source: Path, *options: str) -> list[str]:
    """The command that runs the stack on `source` with the binaries under test."""
    return [sys.executable, str(STACK), "run", "--source", str(source),
            "--etl", str(ETL), "--etl-function", str(ETL_FUNCTION), "--jobs-function", str(JOBS_FUNCTION),
            "--trigger-function", str(TRIGGER_FUNCTION), "--sweep-function", str(SWEEP_FUNCTION),
            "--forward-function", str(FORWARD_FUNCTION), *options]


def sample(folder: Path, builders: int = BUILDERS) -> Path:
    """A source, a small one unless it is told, made as `make run` makes its own."""
    path = folder / "sample.json"
    with open(path, "wb") as output:
        subprocess.run([ETL, "sample", "--builders", str(builders), "--seed", "1"], stdout=output, check=True)
    return path


def in_stack(*words: str) -> subprocess.CompletedProcess:
    """Run a command as a person does who has loaded `stack.env`."""
    script = '. "$0" && exec "$@"'
    return subprocess.run(["sh", "-c", script, str(STACK_ENV), *words], capture_output=True, text=True, check=False)


def until(found: Callable[[], Any]) -> Any:
    """What `found` returns when that is something, which is soon."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (result := found()):
        assert time.monotonic() < deadline, f"nothing in {PATIENCE_SECONDS} s"
        time.sleep(0.2)
    return result


@dataclasses.dataclass
class Answer:
    """What the API answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body of an answer that was asked for without an encoding."""
        return json.loads(self.body)


class GivenStack:
    """A stack that runs, here or on AWS: what can be done with it by its variables, which are those of `stack.env`. On
    AWS a person's own credentials go with them, and their `TOKEN`.
    """

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env
        # Then Treeherder's stand-in is there too, and whoever is needed can sign in.
        self.is_local = "AWS_ENDPOINT_URL" in env

    def client(self, service: str, **credentials: str):
        """A boto3 client of the stack's account: the account's own, or one with other credentials."""
        return self._session().client(service, endpoint_url=self.env.get("AWS_ENDPOINT_URL"), **credentials)

    def ask(
        self, method: str, path: str, body: bytes | None = None, base: str = "BASE_URL", **headers: str,
    ) -> Answer:
        """One request to the stack's API, as it is: nothing followed, unpacked or added but what HTTP needs.

        Header names are given with underscores; `base` is the name in `env` of what the path follows.
        """
        url = urllib.parse.urlsplit(self.env[base])
        connect = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = connect(url.hostname, url.port, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, url.path + path, body, {"Accept-Encoding": "identity"} | sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def token(self, *who: str) -> str:
        """A token to sign in to the stack with: of `--email` somebody, or of `--service` something. On AWS it is the
        one that is given, whoever that is of.
        """
        if not self.is_local:
            return self.env["TOKEN"]
        command = [sys.executable, str(STACK), "token", *who]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def set_forwarding(self, is_on: bool) -> None:
        """Let the forward function get what is queued from now on, or let that stay in the queue."""
        lambda_ = self.client("lambda")
        [mapping] = lambda_.list_event_source_mappings(
            FunctionName=self.env["FORWARD_FUNCTION"])["EventSourceMappings"]
        lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=is_on)
        wanted = "Enabled" if is_on else "Disabled"
        until(lambda: lambda_.get_event_source_mapping(UUID=mapping["UUID"])["State"] == wanted)

    @contextlib.contextmanager
    def listening(self, name: str) -> Iterator[queue.SimpleQueue]:
        """Listen on Pulse with a queue of this name: what is yielded gets each message."""
        heard: queue.SimpleQueue[dict] = queue.SimpleQueue()
        listener = Listener(self.env["AMQP_URL"], self.env["PULSE_NAMESPACE"], name, heard.put)
        thread = threading.Thread(target=listener.run)
        thread.start()
        try:
            if not listener.is_bound.wait(PATIENCE_SECONDS):
                raise AssertionError("the listener finds no exchange")
            yield heard
        finally:
            listener.stop()
            thread.join()
            listener.forget()

    def _session(self) -> boto3.Session:
        # What is not there is looked for where AWS's programs look for it.
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION")
        return boto3.Session(*map(self.env.get, names))


class Stack(GivenStack):
    """A `stack.py run` in the background."""

    def __init__(self, source: Path, *options: str, forwards: bool = False, data: Path | None = None) -> None:
        """Start it, on the data that one before kept in `data` or on none, and wait until it is there. Requests stay in
        the queue, where a test finds them, unless they are wanted at the other end.
        """
        self.scratch = None if data else tempfile.TemporaryDirectory()
        self.data = data or Path(self.scratch.name)
        options += ("--data", str(self.data))
        if not forwards:
            options += ("--no-listener",)
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
        super().__init__(json.loads(dump.stdout))
        # Each part leads a process group of its own.
        self.parts = {file.stem: int(file.read_text()) for file in RUN.glob("*.pid")}
        del self.parts["stack"]
        dynamodb = self._session().resource("dynamodb", endpoint_url=self.env["AWS_ENDPOINT_URL"])
        self.table, self.requests = (dynamodb.Table(self.env[name]) for name in ("CATALOG_TABLE", "REQUESTS_TABLE"))
        if not forwards:
            self.set_forwarding(False)

    def as_role_of(self, function: str) -> dict[str, str]:
        """A client's credentials to act with the role of a deployed function.

        The emulator gives the account's owner any role; AWS would give this one to Lambda alone.
        """
        role = self.client("lambda").get_function_configuration(FunctionName=function)["Role"]
        given = self.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        return {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }

    def items(self, partition: str) -> list[dict]:
        """The catalog table's items under one partition key."""
        return self.table.query(KeyConditionExpression=Key("pk").eq(partition), ConsistentRead=True)["Items"]

    def stop_broker(self) -> None:
        """Stop Pulse's stand-in as for a while: it keeps its port and what it has on disk."""
        os.kill(self.parts["broker"], signal.SIGUSR1)
        self._wait_for_broker(is_there=False)

    def start_broker(self) -> None:
        """Start it again."""
        os.kill(self.parts["broker"], signal.SIGUSR2)
        self._wait_for_broker(is_there=True)

    def control_broker(self, *words: str) -> None:
        """Run `rabbitmqctl` beside Pulse's stand-in, in the environment in which that was started (Linux alone)."""
        environ = Path(f"/proc/{self.parts['broker']}/environ").read_bytes().decode()
        environment = dict(entry.split("=", 1) for entry in environ.split("\0") if "=" in entry)
        subprocess.run([RABBITMQCTL, *words], env=environment, capture_output=True, text=True, check=True)

    def _wait_for_broker(self, is_there: bool) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self._is_broker_there() != is_there:
            if time.monotonic() > deadline:
                raise AssertionError(f"the broker does not {'start' if is_there else 'stop'}")
            time.sleep(0.1)

    def _is_broker_there(self) -> bool:
        with contextlib.suppress(OSError), kombu.Connection(self.env["AMQP_URL"], connect_timeout=5) as connection:
            connection.connect()
            return True
        return False

    def stop(self) -> int:
        """End it as Ctrl-C does; returns its exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(STOP_SECONDS)
        if self.scratch:
            self.scratch.cleanup()
        return code
