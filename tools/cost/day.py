"""Counts what the functions use in a day, and what they print."""

import base64
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator

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
        # Storage, which is not multiplied by the days of a month.
        self.kept = Amounts()
        # The number of lines a day with each metric.
        self.metrics = Amounts()
        # The usage by what causes it: an ingest, lists, trigger requests, sweeps, and what goes on without any of them.
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

    def metered(self, name: str, **settings: str) -> "Metered":
        return Metered(self, name, settings)

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


class Metered:
    """A deployed function whose invocations are counted. Its process starts with the first one, as a Lambda environment
    does, and each part of a day has one.
    """

    def __init__(self, day: Day, name: str, settings: dict[str, str]) -> None:
        self.day, self.name = day, name
        # An endpoint in the settings takes precedence.
        self.environment = (
            lambda_environment(day.stack, f"{name.upper()}_FUNCTION")
            | {"AWS_ENDPOINT_URL": day.recorder.url}
            | settings
        )
        self.memory = day.memory[name] = int(self.environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
        self.log = day.ends.enter_context(tempfile.NamedTemporaryFile())
        self.read = open(self.log.name, "rb")
        day.ends.callback(self.read.close)
        self.function: Function | None = None

    def invoke(self, sent: bytes, times: float, away_seconds: float = 0, counts_calls: bool = True) -> dict:
        """The answer to one event, which represents `times` of a day, each with a wait for other services than AWS."""
        day = self.day
        day.recorder.calls.clear()
        if started := not self.function:
            binary = day.programs.function(self.name)
            self.function = day.ends.enter_context(Function(binary, self.environment, sent, self.log))
        else:
            self.function.events.put(sent)
        body, seconds, since_start = self.function.answered()
        billed = times * gb_seconds(seconds, self.memory, away_seconds)
        lines = self.read.read()
        day.note_lines(lines, times)
        if started:
            starts = 1 if self.name == "etl" else day.part
            billed += starts * gb_seconds(since_start - seconds, self.memory)
        day.invocations[self.name] += times
        day.gb_seconds[self.name] += billed
        day.usage.add({"lambda_requests": times, "lambda_gb_seconds": billed})
        if counts_calls:
            day.usage.add({name: amount * times for name, amount in day.tables.cost(day.recorder.calls, times).items()})
        answer = json.loads(body)
        if "errorMessage" in answer:
            raise SystemExit(f"the {self.name} function fails: {answer}")
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
