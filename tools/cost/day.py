"""Counts what the functions use in a day, and what they print."""

import base64
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping

from localstack.programs import Programs
from tests.support.runtime_api import Function
from tests.support.stack import Stack
from tests.support.store_calls import Recorder
from tools.bench.function import lambda_environment
from tools.cost.bill import (
    Amounts,
    gb_seconds,
    http_api_requests,
)
from tools.cost.calls import Tables

# The bytes of the headers that API Gateway adds to an answer.
FRONT_BYTES = 120
# Lambda adds the time to each line of JSON that has none. (Of its own lines it writes those of failures alone, as the
# template wants it.)
ADDED_BYTES = len('"timestamp":"2026-11-24T06:00:00.000Z",')
# The line of API Gateway in the API's log for each request, in the template's format, with values of usual length and
# the longest route of each function.
ID = "8286a188-ba32-4475-8077-530cd35c09a9"
API_LINE = (
    f'{{"api_request_id":"{ID[:16]}","request_id":"{ID}",'
    ' "route":"ROUTE","status":"200", "lambda_status":"200","error":"-", "duration_ms":"123"}\n'
)
ROUTES = {"jobs": "$default", "trigger": "ANY /api/project/{project}/trigger_requests/{rest+}"}
# How long a function waits for a call of DynamoDB, SQS or Parameter Store, in seconds. DynamoDB promises milliseconds
# of one digit. Calls count as if each waited for the one before.
CALL_SECONDS = 0.005


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


class Day:
    """The usage of a day, by the names of the price file."""

    def __init__(
        self, stack: Stack, recorder: Recorder, programs: Programs, part: int, ends: contextlib.ExitStack
    ) -> None:
        self.stack, self.recorder, self.programs, self.part, self.ends = stack, recorder, programs, part, ends
        self.tables = Tables(stack)
        self.usage = Amounts()
        # Storage, which is not multiplied by the days of a month, by what causes it.
        self.kept: dict[str, Amounts] = {}
        # The number of lines a day with each metric.
        self.metrics = Amounts()
        # The usage by what causes it, such as lists, or what goes on without any of them.
        self.causes: dict[str, Amounts] = {}
        self.invocations = Amounts()
        self.gb_seconds = Amounts()
        # The memory of each function, in MB.
        self.memory: dict[str, int] = {}
        self.log = bytearray()

    @contextlib.contextmanager
    def caused_by(self, cause: str) -> Iterator[None]:
        """Count what is used meanwhile for this cause."""
        before = dict(self.usage)
        yield
        used = self.causes.setdefault(cause, Amounts())
        for name, amount in self.usage.items():
            if amount != before.get(name, 0.0):
                used[name] += amount - before.get(name, 0.0)

    def metered(
        self, name: str, settings: Mapping[str, str] | None = None, *, counted_as: str = "", starts: int | None = None
    ) -> "Metered":
        """A function with other settings, which starts so many times in a day: by default once in each part of it. Its
        invocations are counted under another name if it has one here.
        """
        return Metered(self, name, counted_as or name, self.part if starts is None else starts, settings or {})

    def keep(self, cause: str, amounts: Mapping[str, float]) -> None:
        """Count storage for this cause."""
        self.kept.setdefault(cause, Amounts()).add(amounts)

    def wait(self, function: str, seconds: float) -> None:
        """Count a wait of a function beside its invocations."""
        billed = gb_seconds(0, self.memory[function], seconds)
        self.gb_seconds[function] += billed
        self.usage["lambda_gb_seconds"] += billed

    def note_lines(self, lines: bytes, times: float) -> None:
        """Count the lines of one invocation, which represents `times` of a day."""
        self.usage["log_bytes"] += len(lines) * times
        self.log += lines
        for line in lines.splitlines():
            printed = json.loads(line)
            if "timestamp" not in printed:
                self.usage["log_bytes"] += ADDED_BYTES * times
            for group in printed.get("_aws", {}).get("CloudWatchMetrics", []):
                if group["Dimensions"] != [[]]:
                    raise SystemExit(f"a metric with dimensions, whose cost is not known here: {printed}")
                for metric in group["Metrics"]:
                    self.metrics[metric["Name"]] += times


class MeteredProcess(Function):
    """A function's process, with the processor time that it has used (Linux only)."""

    used_before = 0.0

    def used_seconds(self) -> float:
        """The processor time so far."""
        # The number of the clock of another process, as clock_getcpuclockid(3) makes it.
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def hand_out(self) -> None:
        super().hand_out()
        self.used_before = self.used_seconds()


class Metered:
    """A deployed function whose invocations are counted. Its process starts with the first one, as a Lambda environment
    does.
    """

    def __init__(self, day: Day, name: str, counted_as: str, starts: int, settings: Mapping[str, str]) -> None:
        self.day, self.name, self.counted_as, self.starts = day, name, counted_as, starts
        # An endpoint in the settings takes precedence.
        self.environment = (
            lambda_environment(day.stack, f"{name.upper()}_FUNCTION")
            | {"AWS_ENDPOINT_URL": day.recorder.url}
            | dict(settings)
        )
        self.memory = day.memory[counted_as] = int(self.environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
        self.log = day.ends.enter_context(tempfile.NamedTemporaryFile())
        self.read = open(self.log.name, "rb")
        day.ends.callback(self.read.close)
        self.process: MeteredProcess | None = None
        # How far the clock of the process is ahead, in seconds.
        self.ahead = 0.0

    def invoke(
        self,
        sent: bytes,
        times: float,
        away_seconds: float | Callable[[dict], float] = 0,
        counts_calls: bool = True,
    ) -> dict:
        """The answer to one event, which represents `times` of a day, each with a wait for other services than AWS. It
        may depend on the answer.
        """
        day = self.day
        day.recorder.calls.clear()
        process, started = self.process, not self.process
        if not process:
            binary = day.programs.function(self.name)
            process = self.process = day.ends.enter_context(MeteredProcess(binary, self.environment, log=self.log))
        process.ahead = self.ahead
        process.events.put(sent)
        body, _, _ = process.answered()
        used, used_before = process.used_seconds(), process.used_before
        answer = json.loads(body)
        if "errorMessage" in answer:
            raise SystemExit(f"the {self.name} function fails: {answer}")
        away = away_seconds(answer) if callable(away_seconds) else away_seconds
        away += CALL_SECONDS * len(day.recorder.calls)
        billed = times * gb_seconds(used - used_before, self.memory, away)
        if started:
            billed += self.starts * gb_seconds(used_before, self.memory)
        day.note_lines(self.read.read(), times)
        day.invocations[self.counted_as] += times
        day.gb_seconds[self.counted_as] += billed
        day.usage.add({"lambda_requests": times, "lambda_gb_seconds": billed})
        cost = day.tables.cost(day.recorder.calls, times)
        if counts_calls:
            day.usage.add({name: amount * times for name, amount in cost.items()})
        return answer

    def ask(self, sent: bytes, status: int, times: float, away_seconds: float = 0) -> dict:
        """The answer to an HTTP event."""
        answer = self.invoke(sent, times, away_seconds)
        if answer["statusCode"] != status:
            raise SystemExit(f"the {self.name} function answers {answer} to {sent.decode()}")
        size = answer_size(answer)
        line = API_LINE.replace("ROUTE", ROUTES[self.name])
        self.day.usage.add(
            {
                "bytes_out": size * times,
                "http_api_requests": http_api_requests(size) * times,
                "log_bytes": len(line) * times,
            }
        )
        self.day.log += line.encode()
        return answer


def answer_size(answer: dict) -> int:
    """The bytes of an answer as a client receives it."""
    headers = sum(len(f"{name}: {value}\r\n") for name, value in answer["headers"].items())
    return len("HTTP/1.1 200 OK\r\n\r\n") + headers + FRONT_BYTES + len(body_of(answer))


def body_of(answer: dict) -> bytes:
    body = answer.get("body") or ""
    return base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
