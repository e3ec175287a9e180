"""Stacks for tests: `python -m localstack run` with the programs under test, in the background; or one that exists.

The programs under test come from the folder in TARGET_DIR (default: target/debug).
"""

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

from localstack.fakes.pulse_listener import Listener
from localstack.fakes.taskcluster import Control
from localstack.paths import CHECKOUT_RUN, ROOT, RUN_VARIABLE
from localstack.programs import Programs

PROGRAMS = Programs(Path(os.environ.get("TARGET_DIR", ROOT / "target" / "debug")).absolute())
# Each stack has a folder here for its logs and its stack.env, so that several can run at the same time.
RUNS = CHECKOUT_RUN / "tests"
LOCALSTACK = [sys.executable, "-m", "localstack"]

# Debian's program itself: the script in the PATH would change the user, and drop our variables.
RABBITMQCTL = "/usr/lib/rabbitmq/bin/rabbitmqctl"

BUILDERS = 3000
START_SECONDS = 120
STOP_SECONDS = 60
ANSWER_SECONDS = 20
# A test fails when an expected event has not happened within this time.
TIMEOUT_SECONDS = 90
POLL_SECONDS = 0.1


def stack_command(source: Path, *options: str, programs: Programs = PROGRAMS) -> list[str]:
    """The command that runs a stack on `source`; it must run in the top folder of the checkout."""
    folders = ["--target", str(programs.target)]
    if programs.function_folder:
        folders += ["--functions", str(programs.function_folder)]
    return [*LOCALSTACK, "run", "--source", str(source), *folders, *options]


def stack_environment(name: str) -> dict[str, str]:
    """The environment of the stack of this name, whose files are in `RUNS`/name."""
    return os.environ | {RUN_VARIABLE: str(RUNS / name)}


def sample(folder: Path, builders: int = BUILDERS) -> Path:
    """A source, a small one by default, made as `make run` makes its own."""
    path = folder / "sample.json"
    with open(path, "wb") as output:
        subprocess.run(PROGRAMS.sample("--builders", str(builders), "--seed", "1"), stdout=output, check=True)
    return path


def until(found: Callable[[], Any], seconds: float = TIMEOUT_SECONDS, pause: float = POLL_SECONDS) -> Any:
    """Call `found` until it returns something true, and return that. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, f"nothing in {seconds} s"
        time.sleep(pause)
    return result


@dataclasses.dataclass
class Answer:
    """An answer of the API."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body as JSON; it must not be encoded."""
        return json.loads(self.body)


class GivenStack:
    """A running stack, here or on AWS, described by its variables, which are those of `stack.env`. On AWS they also
    contain a person's own credentials and their `TOKEN`.
    """

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env
        # A local stack has the fake Treeherder, and any person can sign in.
        self.is_local = "AWS_ENDPOINT_URL" in env

    def client(self, service: str, **credentials: str) -> Any:
        """A boto3 client of the stack's account: as the account's owner, or with other credentials."""
        return self._session().client(service, endpoint_url=self.env.get("AWS_ENDPOINT_URL"), **credentials)

    def ask(self, method: str, path: str, body: bytes | None = None, base: str = "BASE_URL", **headers: str) -> Answer:
        """Send one request to the stack's API. It follows, unpacks and adds nothing but what HTTP needs.

        Header names have underscores for hyphens; `base` is the name in `env` of the URL that the path follows.
        """
        url = urllib.parse.urlsplit(self.env[base])
        connect = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        assert url.hostname
        connection = connect(url.hostname, url.port, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, url.path + path, body, {"Accept-Encoding": "identity"} | sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def taskcluster(self) -> Control:
        """Sets what the stack's fake Taskcluster answers, and lists the requests that it got."""
        return Control(self.env["TASKCLUSTER_URL"])

    def jobs(self, project: str = "try") -> list[dict]:
        """The list of a project."""
        return self.ask("GET", f"/api/project/{project}/runnable_jobs/").json()["results"]

    def builds(self, project: str = "try") -> list[str]:
        """The names of a project's Buildbot jobs that need no other job first."""
        return [
            job["ref_data_name"]
            for job in self.jobs(project)
            if job["build_system_type"] == "buildbot" and not job["upstream"]
        ]

    def token(self, *who: str) -> str:
        """A token that signs in to the stack: of `--email` a person, or of `--service` a service. On AWS it is the
        token in `env`, for whomever that was made.
        """
        return self.env["TOKEN"]

    def set_forwarding(self, is_on: bool) -> None:
        """Enable or disable the mapping that gives queued requests to the forward function."""
        lambda_ = self.client("lambda")
        [mapping] = lambda_.list_event_source_mappings(FunctionName=self.env["FORWARD_FUNCTION"])["EventSourceMappings"]
        lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=is_on)
        wanted = "Enabled" if is_on else "Disabled"
        until(lambda: lambda_.get_event_source_mapping(UUID=mapping["UUID"])["State"] == wanted)

    def queue_counts(self, queue_url: str = "QUEUE_URL") -> tuple[int, int]:
        """How many messages a queue can give out, and how many it has given out."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client("sqs").get_queue_attributes(QueueUrl=self.env[queue_url], AttributeNames=names)
        visible, taken = (int(found["Attributes"][name]) for name in names)
        return visible, taken

    @contextlib.contextmanager
    def listening(self, name: str) -> Iterator[queue.SimpleQueue]:
        """Listen on Pulse with a queue of this name; yields a queue that receives each message."""
        heard: queue.SimpleQueue[dict] = queue.SimpleQueue()
        with self.listening_with(name, heard.put):
            yield heard

    @contextlib.contextmanager
    def listening_with(self, name: str, receive: Callable[[dict], None]) -> Iterator[None]:
        """Listen on Pulse with a queue of this name; `receive` gets each message."""
        listener = Listener(self.env["AMQP_URL"], self.env["PULSE_NAMESPACE"], name, receive)
        thread = threading.Thread(target=listener.run)
        thread.start()
        try:
            if not listener.is_bound.wait(TIMEOUT_SECONDS):
                raise AssertionError("the listener finds no exchange")
            yield
        finally:
            listener.stop()
            thread.join()
            listener.forget()

    def _session(self) -> boto3.Session:
        # boto3 looks in its usual places for the variables that are missing.
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION")
        return boto3.Session(*map(self.env.get, names))


class Stack(GivenStack):
    """A `localstack run` in the background, with its logs in `run`."""

    def __init__(
        self,
        source: Path,
        *options: str,
        name: str,
        forwards: bool = False,
        data: Path | None = None,
        programs: Programs = PROGRAMS,
    ) -> None:
        """Start it, on the data that an earlier one kept in `data` or on none, and wait until it is ready. Requests
        stay in the queue, where a test finds them, unless it `forwards`.
        """
        self.name, self.run = name, RUNS / name
        self.stack_env = self.run / "stack.env"
        self.scratch = None if data else tempfile.TemporaryDirectory()
        self.data = data or Path(self.scratch.name if self.scratch else "")
        options += ("--data", str(self.data))
        if not forwards:
            options += ("--no-listener",)
        self.run.mkdir(parents=True, exist_ok=True)
        # A file that a killed stack left would be taken for this one's.
        self.stack_env.unlink(missing_ok=True)
        self.output = open(self.run / "output.log", "w+")
        self.process = subprocess.Popen(
            stack_command(source, *options, programs=programs),
            cwd=ROOT,
            env=stack_environment(name),
            stdout=self.output,
            stderr=self.output,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self.stack_env.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"the stack did not start:\n{self.printed()}")
            time.sleep(0.05)
        dump = self.in_shell(sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))")
        super().__init__(json.loads(dump.stdout))
        # Each service leads a process group of its own.
        self.services = {file.stem: int(file.read_text()) for file in self.run.glob("*.pid")}
        del self.services["stack"]
        dynamodb = self._session().resource("dynamodb", endpoint_url=self.env["AWS_ENDPOINT_URL"])
        self.table, self.requests = (dynamodb.Table(self.env[name]) for name in ("CATALOG_TABLE", "REQUESTS_TABLE"))
        if not forwards:
            self.set_forwarding(False)

    def printed(self) -> str:
        """All that the stack has printed so far."""
        return (self.run / "output.log").read_text(errors="replace")

    def in_shell(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a shell that has loaded `stack.env`."""
        script = '. "$0" && exec "$@"'
        command = ["sh", "-c", script, str(self.stack_env), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def token(self, *who: str) -> str:
        """A token that signs in to the stack: of `--email` a person, or of `--service` a service."""
        command = [*LOCALSTACK, "token", *who]
        environment = stack_environment(self.name)
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

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
        """Stop the broker for a while: it keeps its port and its data on disk."""
        os.kill(self.services["broker"], signal.SIGUSR1)
        until(lambda: not self._is_broker_there(), START_SECONDS)

    def start_broker(self) -> None:
        """Start it again."""
        os.kill(self.services["broker"], signal.SIGUSR2)
        until(self._is_broker_there, START_SECONDS)

    def control_broker(self, *words: str) -> None:
        """Run `rabbitmqctl` with the environment of the broker (Linux only)."""
        environ = Path(f"/proc/{self.services['broker']}/environ").read_bytes().decode()
        environment = dict(entry.split("=", 1) for entry in environ.split("\0") if "=" in entry)
        subprocess.run([RABBITMQCTL, *words], env=environment, capture_output=True, text=True, check=True)

    def _is_broker_there(self) -> bool:
        with contextlib.suppress(OSError), kombu.Connection(self.env["AMQP_URL"], connect_timeout=5) as connection:
            connection.connect()
            return True
        return False

    def stop(self) -> int:
        """End it as Ctrl-C does; returns its exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(STOP_SECONDS)
        self.output.close()
        if self.scratch:
            self.scratch.cleanup()
        return code
