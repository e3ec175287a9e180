"""Raw bytes to the port of the jobs function, and raw events to the function in place of Lambda's: input that client
libraries do not send.
"""

import contextlib
import json
import socket
import tempfile
import unittest
from pathlib import Path

from tests.support.runtime_api import WITHOUT_STORE, Function, event
from tests.support.served import Served
from tests.support.stack import PROGRAMS


def changed(**members: object) -> bytes:
    """An event of the gateway with some members replaced."""
    return json.dumps(json.loads(event("/__lbheartbeat__")) | members).encode()


class AsAFunction(unittest.TestCase):
    def test_every_event_has_an_answer_and_a_line(self) -> None:
        odd = json.loads(event("/__lbheartbeat__"))
        odd["headers"]["x-b"] = "a\nb"
        with Function(PROGRAMS.function("jobs"), WITHOUT_STORE) as function:
            for sent, status in (
                (event("/__lbheartbeat__", "a=<b>"), 200),
                (event("/__lbheartbeat__", 'a="{|}^` \u00e9'), 200),
                (event("/a<b>#c?d"), 404),
                (event("/__lbheartbeat__", host="a b"), 200),
                (changed(isBase64Encoded=True, body="?"), 400),
                (changed(rawPath=None), 400),
                (changed(requestContext={}), 400),
                (json.dumps(odd).encode(), 400),
                (b'{"rawPath": "\\ud800"}', 400),
                (b"[]", 400),
                (event("/__lbheartbeat__"), 200),
            ):
                with self.subTest(sent):
                    reply = function.ask(sent, status)

                    self.assertEqual(reply.line["status"], status)
                    self.assertEqual(reply.line["request_id"], reply.answer["headers"]["x-request-id"])
                    self.assertNotIn("JobsErrors", reply.line)
                    if status == 400:
                        self.assertEqual(reply.answer["headers"]["content-type"], "application/problem+json")


class ForwardingInTime(unittest.TestCase):
    """The forward function starts a batch only if an action fits in, even where all that comes before it is slow."""

    # Ten seconds each for a look at waiting requests, Treeherder, Pulse and recording, and 28 for the action.
    NEEDED_SECONDS = 68
    ENVIRONMENT = WITHOUT_STORE | {
        "RUNNABLE_JOBS_REQUESTS_TABLE": "requests",
        "RUNNABLE_JOBS_PULSE_URL": "amqp://treeherder:secret@127.0.0.1:9/%2f",
        "RUNNABLE_JOBS_PULSE_NAMESPACE": "treeherder",
        "RUNNABLE_JOBS_TREEHERDER_URL": "http://127.0.0.1:9",
    }
    TICKET = json.dumps({"request_id": "01KAS5ZR00000000000000000A", "round": 1})

    def forwarded_within(self, seconds: float) -> tuple[dict, str]:
        """The function's answer to a message, for which it has this time; and what it logs."""
        sent = json.dumps({"Records": [{"messageId": "1", "body": self.TICKET, "eventSource": "aws:sqs"}]}).encode()
        with tempfile.NamedTemporaryFile() as log:
            with Function(PROGRAMS.function("forward"), self.ENVIRONMENT, sent, log, seconds) as function:
                answer = json.loads(function.answered()[0])
            return answer, Path(log.name).read_text()

    def test_a_batch_that_may_not_fit_returns_to_the_queue_before_anything_is_asked(self) -> None:
        answer, logged = self.forwarded_within(self.NEEDED_SECONDS - 1)

        self.assertEqual(answer, {"batchItemFailures": [{"itemIdentifier": "1"}]})
        self.assertIn("too late to start", logged)
        self.assertNotIn("01KAS5ZR00000000000000000A", logged)

    def test_a_batch_that_fits_starts(self) -> None:
        # The store is not there, which the function finds when it reads the request.
        answer, logged = self.forwarded_within(self.NEEDED_SECONDS + 5)

        self.assertEqual(answer, {"batchItemFailures": [{"itemIdentifier": "1"}]})
        self.assertNotIn("too late to start", logged)
        self.assertIn("01KAS5ZR00000000000000000A", logged)


class OnAPort(unittest.TestCase):
    def setUp(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        served = Served(PROGRAMS.serve(), WITHOUT_STORE, folder / "jobs.log")
        self.addCleanup(served.stop)
        # It would wait for the clients that sent no whole request.
        self.addCleanup(served.process.kill)
        self.port = served.port

    def status(self, request: bytes) -> int | None:
        """The status of the answer, or None if the connection is closed without one."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:  # noqa: SIM117
            # The server may close the connection at any of these steps.
            with contextlib.suppress(OSError), connection.makefile("rb") as answer:
                # No half-close: the server may drop a request whose client has closed its side.
                connection.sendall(request)
                words = answer.readline().split()
                return int(words[1]) if words else None
        return None

    def get(self, target: bytes) -> int | None:
        return self.status(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

    def test_raw_bytes_are_answered_and_the_next_request_is_too(self) -> None:
        for request, statuses in (
            (b"GET /__lbheartbeat__?a=<b> HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", (200, 400)),
            (b"GET /__lbheartbeat__?a=\xff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", (200, 400)),
            (b"GET /\x00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", (400, None)),
            (b"G<T / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", (400, None)),
            (b"GET / HTTP/1.1\r\nHost: a\r\nx b: c\r\nConnection: close\r\n\r\n", (400, None)),
            (b"GET http://[ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", (400, None)),
            (b"\xff\xfe\r\n\r\n", (400, None)),
        ):
            with self.subTest(request):
                self.assertIn(self.status(request), statuses)
                self.assertEqual(self.get(b"/__lbheartbeat__"), 200)
        for target in (b"/a#b", b"/%", b"/%ff", b"//"):
            with self.subTest(target):
                self.assertIn(self.get(target), (400, 404))
