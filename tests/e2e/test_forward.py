"""Requests from the trigger API to a listener on Pulse: the deployed forward function, with a real broker."""

import contextlib
import datetime
import functools
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import amqp
import kombu
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from localstack.fakes.pushes import decision_task_id
from localstack.fakes.taskcluster import own_label
from localstack.fakes.treeherder import PUSH_IDS
from tests.support.stack import PROGRAMS, TIMEOUT_SECONDS, Stack, sample, until

ME = "someone@mozilla.com"
PUSH = PUSH_IDS[0]
EXCHANGE = "exchange/treeherder/v1/resultset-runnable-job-actions"
# After this time the queue gives out again what was not forwarded; the template has minutes. The fifth time is the
# last: the broker is back much earlier.
VISIBLE_AGAIN_SECONDS = 6
# How often the queue gives a ticket out, and the shortest time between two of them.
MAX_RECEIVES, VISIBLE_AT_ONCE_SECONDS = 5, 1
FORWARD_SECONDS = 60


@pytest.mark.xdist_group("forward")
class Forwarding(unittest.TestCase):
    stack: Stack
    token: str
    # The names of jobs that no test has used yet, by project.
    names: dict[str, Iterator[str]]
    # A request that was forwarded before there was a listener.
    unheard: dict

    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.stack = Stack(sample(folder), "--no-listener", name="forward", forwards=True)
        cls.addClassCleanup(cls.stack.stop)
        cls.set_visible_again(VISIBLE_AGAIN_SECONDS)
        cls.token = cls.stack.token("--email", ME)
        # No name twice: the same request again would get the answer of the first one.
        cls.names = {project: iter(cls.stack.builds(project)) for project in ("try", "autoland")}
        # Before there is a listener. It declares the exchange, which only the publisher may do.
        cls.unheard = cls.end_of(cls.trigger(next(cls.names["try"])))

    @classmethod
    def set_visible_again(cls, seconds: int) -> None:
        """Set the time after which the queue gives out again what was not forwarded."""
        cls.stack.client("sqs").set_queue_attributes(
            QueueUrl=cls.stack.env["QUEUE_URL"], Attributes={"VisibilityTimeout": str(seconds)}
        )

    @classmethod
    def ask(cls, method: str, path: str, body: Any = None) -> Any:
        """One request to the trigger function; returns its answer."""
        answer = cls.stack.ask(
            method,
            path,
            None if body is None else json.dumps(body).encode(),
            "TRIGGER_BASE_URL",
            Authorization=f"Bearer {cls.token}",
            Content_Type="application/json",
        )
        assert answer.status in (200, 202), answer.body
        return answer.json()

    @classmethod
    def trigger(cls, *names: str, project: str = "try", **more: str) -> str:
        """Trigger jobs on a push; returns the address of the request's status."""
        path = f"/api/project/{project}/push/{PUSH}/trigger_runnable_jobs/"
        return cls.ask("POST", path, {"requested_jobs": names} | more)["status_url"]

    @classmethod
    def end_of(cls, status_url: str) -> dict:
        """The status of a request once it is final."""
        return until(lambda: (found := cls.ask("GET", status_url))["state"] in ("forwarded", "failed") and found)

    def assert_states(self, request: dict, *states: str) -> None:
        self.assertEqual([job["state"] for job in request["jobs"]], list(states), request)

    def test_listeners_get_the_message_that_treeherder_sent(self) -> None:
        names = [next(self.names["try"]), next(self.names["try"])]
        before = int(time.time())
        with self.stack.listening(self._testMethodName) as heard:
            request = self.end_of(self.trigger(*names, "no such job at all"))

            message = heard.get(timeout=TIMEOUT_SECONDS)

        timestamp = message["body"].pop("timestamp")
        self.assertEqual(
            message["body"],
            {
                "version": 1,
                "project": "try",
                "resultset_id": str(PUSH),
                "requester": ME,
                "requested_jobs": names,
                "decision_task_id": "",
            },
        )
        self.assertRegex(timestamp, r"^[0-9]+$")
        self.assertTrue(before - 1 <= int(timestamp) <= time.time() + 1, timestamp)
        self.assertEqual((message["exchange"], message["routing_key"]), (EXCHANGE, "try"))
        self.assertEqual((message["content_type"], message["properties"]["delivery_mode"]), ("application/json", 2))
        self.assertTrue(message["message_id"].startswith(f"{request['request_id']}."), message["message_id"])
        self.assertTrue(heard.empty())
        self.assertEqual(request["state"], "forwarded")
        self.assert_states(request, "forwarded", "forwarded", "rejected")
        self.assertEqual([event["state"] for event in request["history"]], ["accepted", "queued", "forwarded"])

    def test_the_project_is_the_routing_key_and_the_decision_task_is_named(self) -> None:
        builder = next(self.names["autoland"])
        with self.stack.listening(self._testMethodName) as heard:
            task = decision_task_id("autoland", PUSH)
            # Labels of this project cannot be triggered.
            url = self.trigger(builder, own_label(PUSH), project="autoland", decision_task_id=task)

            message = heard.get(timeout=TIMEOUT_SECONDS)

        self.assertEqual((message["routing_key"], message["body"]["project"]), ("autoland", "autoland"))
        self.assertEqual(message["body"]["decision_task_id"], task)
        self.assertEqual(message["body"]["requested_jobs"], [builder])
        self.assert_states(self.end_of(url), "forwarded", "rejected")

    def test_a_request_without_a_listener_fails_with_that_reason(self) -> None:
        self.assertEqual(self.unheard["state"], "failed")
        self.assert_states(self.unheard, "unroutable")
        self.assertRegex(self.unheard["jobs"][0]["detail"], r"^[A-Z].*\blisten.*\.$")

    def test_a_request_without_a_listener_can_be_sent_again(self) -> None:
        unheard = self.end_of(self.trigger(next(self.names["try"])))
        self.assert_states(unheard, "unroutable")
        with self.stack.listening(self._testMethodName) as heard:
            self.ask("POST", unheard["links"]["retry"])

            message = heard.get(timeout=TIMEOUT_SECONDS)

        self.assertEqual(message["body"]["requested_jobs"], [unheard["jobs"][0]["name"]])
        self.assert_states(self.end_of(unheard["links"]["self"]), "forwarded")

    def test_requests_wait_in_the_queue_while_the_broker_is_down(self) -> None:
        name = next(self.names["try"])
        with self.stack.listening(self._testMethodName) as heard:
            self.stack.stop_broker()
            try:
                status_url = self.trigger(name)
                # The function has taken it from the queue.
                until(lambda: self.stack.queue_counts()[1])
                meanwhile = self.ask("GET", status_url)
                # On a busy machine, the queue could give it out for the last time before the broker is back.
                self.stack.set_forwarding(False)
            finally:
                self.stack.start_broker()
                self.stack.set_forwarding(True)

            message = heard.get(timeout=TIMEOUT_SECONDS)

        self.assertEqual(meanwhile["state"], "queued")
        self.assert_states(meanwhile, "accepted")
        self.assertEqual(message["body"]["requested_jobs"], [name])
        self.assertEqual(self.end_of(status_url)["state"], "forwarded")

    def is_empty(self, url: str) -> bool:
        """Whether the queue has no message, neither visible nor received."""
        return self.stack.queue_counts(url) == (0, 0)

    def test_finished_messages_leave_the_queue(self) -> None:
        self.end_of(self.trigger(next(self.names["try"])))

        for url in ("QUEUE_URL", "DEAD_LETTER_QUEUE_URL"):
            with self.subTest(url):
                until(functools.partial(self.is_empty, url))

    def test_the_command_line_forwards_what_is_queued(self) -> None:
        name = next(self.names["try"])
        self.stack.set_forwarding(False)
        self.addCleanup(self.stack.set_forwarding, True)
        with self.stack.listening(self._testMethodName) as heard:
            status_url = self.trigger(name)
            self.assertEqual(self.ask("GET", status_url)["state"], "queued")

            done = self.stack.in_shell(*PROGRAMS.forward("--once"))

            self.assertEqual(done.returncode, 0, done.stderr)
            message = heard.get(timeout=TIMEOUT_SECONDS)
        self.assertEqual(message["body"]["requested_jobs"], [name])
        self.assertEqual(self.ask("GET", status_url)["state"], "forwarded")
        self.assertEqual([json.loads(line)["forwarded"] for line in done.stdout.splitlines()], [1])

    def forward(self, **settings: str) -> list[dict]:
        """Forward what is in the queue with the command line and other settings; returns the lines that it logs."""
        settings = {f"RUNNABLE_JOBS_PULSE_{name}": value for name, value in settings.items()}
        done = subprocess.run(
            PROGRAMS.forward("--once"),
            env=self.stack.env | settings,
            capture_output=True,
            text=True,
            timeout=FORWARD_SECONDS,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def forward_by_hand(self) -> None:
        """Leave the queue to the command line until the test is over."""
        self.stack.set_forwarding(False)
        self.addCleanup(self.stack.set_forwarding, True)

    def test_a_broker_with_a_valid_certificate_gets_requests_over_tls(self) -> None:
        self.forward_by_hand()
        with self.stack.listening(self._testMethodName) as heard:
            status_url = self.trigger(next(self.names["autoland"]), project="autoland")

            logged = self.forward(URL=self.stack.env["PULSE_TLS_URL"], CERTIFICATES=self.stack.env["PULSE_CA"])

            self.assertTrue(heard.get(timeout=TIMEOUT_SECONDS))
        self.assertEqual([line["forwarded"] for line in logged], [1])
        self.assert_states(self.ask("GET", status_url), "forwarded")

    def test_a_broker_with_an_invalid_certificate_gets_nothing_and_the_request_fails_with_that_reason(self) -> None:
        self.forward_by_hand()
        tls, right = self.stack.env["PULSE_TLS_URL"], self.stack.env["PULSE_CA"]
        other = Path(self.enterContext(tempfile.TemporaryDirectory())) / "ca.pem"
        other.write_bytes(authority())
        with self.stack.listening(self._testMethodName) as heard:
            for what, settings in (
                ("another authority", {"URL": tls, "CERTIFICATES": str(other)}),
                ("the system's authorities", {"URL": tls}),
                ("another host", {"URL": tls.replace("127.0.0.1", "localhost"), "CERTIFICATES": right}),
            ):
                with self.subTest(what):
                    self.assert_fails_at_last("(?i)certificate", settings, heard)

    def assert_fails_at_last(self, said: str, settings: dict[str, str], heard: queue.SimpleQueue) -> None:
        """A request returns to the queue until the last try, then it has failed with a reason; a retry forwards it."""
        self.set_visible_again(VISIBLE_AT_ONCE_SECONDS)
        self.addCleanup(self.set_visible_again, VISIBLE_AGAIN_SECONDS)
        status_url = self.trigger(next(self.names["autoland"]), project="autoland")
        logged: list[dict] = []
        while len(logged) < MAX_RECEIVES:
            until(lambda: self.stack.queue_counts() == (1, 0))
            # It waits in the queue, and could still be forwarded.
            self.assert_states(self.ask("GET", status_url), "accepted")
            logged += self.forward(**settings)
            # All further tries at once.
            self.set_visible_again(0)

        self.assertEqual(len(logged), MAX_RECEIVES)
        for line in logged:
            self.assertRegex(line["error"], said)
        failed = self.ask("GET", status_url)
        self.assert_states(failed, "failed")
        self.assertRegex(failed["jobs"][0]["detail"], said)
        # Nothing was sent in any of these tries.
        self.assertNotIn("may have arrived", failed["jobs"][0]["detail"])
        self.assertTrue(heard.empty())
        self.assert_forwarded_by_retry(failed, heard)

    def assert_forwarded_by_retry(self, failed: dict, heard: queue.SimpleQueue) -> None:
        """An operator retries a failed request, and then it is forwarded."""
        done = self.stack.in_shell(*PROGRAMS.requests("retry", failed["request_id"]))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.forward()
        self.assertEqual(heard.get(timeout=TIMEOUT_SECONDS)["body"]["requested_jobs"], [failed["jobs"][0]["name"]])
        self.assert_states(self.ask("GET", failed["links"]["self"]), "forwarded")

    def test_a_request_whose_ticket_is_a_dead_letter_can_be_sent_again(self) -> None:
        self.forward_by_hand()
        sqs, url = self.stack.client("sqs"), self.stack.env["QUEUE_URL"]
        with self.stack.listening(self._testMethodName) as heard:
            status_url = self.trigger(next(self.names["autoland"]), project="autoland")
            # Each receiver ends before it records an outcome: it is killed, or the store does not answer.
            for _ in range(MAX_RECEIVES):
                [message] = sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, WaitTimeSeconds=5)["Messages"]
            self.assertNotIn("Messages", sqs.receive_message(QueueUrl=url, VisibilityTimeout=0))
            dead = sqs.receive_message(QueueUrl=self.stack.env["DEAD_LETTER_QUEUE_URL"])["Messages"]
            self.addCleanup(
                sqs.delete_message,
                QueueUrl=self.stack.env["DEAD_LETTER_QUEUE_URL"],
                ReceiptHandle=dead[0]["ReceiptHandle"],
            )
            self.assertEqual([letter["Body"] for letter in dead], [message["Body"]])

            self.assert_forwarded_by_retry(self.ask("GET", status_url), heard)

    def test_refused_messages_return_to_the_queue_and_fail_at_the_last_delivery(self) -> None:
        self.forward_by_hand()
        listener, right = self.stack.env["AMQP_URL"], self.stack.env["RUNNABLE_JOBS_PULSE_URL"]
        with self.stack.listening(self._testMethodName) as heard:
            for what, settings, said in (
                ("a wrong password", {"URL": right.replace("//", "//treeherder:wrong@")}, "ACCESS_REFUSED"),
                ("no rights on the exchange", {"URL": listener}, "ACCESS_REFUSED.*exchange"),
                ("no such virtual host", {"URL": right.replace("%2f", "nowhere")}, "vhost.*nowhere"),
            ):
                with self.subTest(what):
                    self.assert_fails_at_last(said, settings, heard)

    def test_permanently_refused_messages_fail_at_once_and_can_be_sent_again(self) -> None:
        self.forward_by_hand()
        listener = self.stack.env["AMQP_URL"]
        with kombu.Connection(listener) as connection:
            connection.default_channel.exchange_declare(
                EXCHANGE.replace("treeherder", "listener"), "direct", durable=True, auto_delete=False
            )
        with self.stack.listening(self._testMethodName) as heard:
            status_url = self.trigger(next(self.names["autoland"]), project="autoland")

            [line] = self.forward(URL=listener, NAMESPACE="listener")

            self.assertRegex(line["error"], "PRECONDITION_FAILED")
            self.assertEqual(line["incident"], "Pulse refuses; Jobs failed")
            failed = self.ask("GET", status_url)
            self.assert_states(failed, "failed")
            self.assertRegex(failed["jobs"][0]["detail"], "PRECONDITION_FAILED")
            self.assert_forwarded_by_retry(failed, heard)

    @unittest.skipUnless(sys.platform == "linux", "it reads the broker's environment from /proc")
    def test_a_broker_with_too_many_connections_gets_the_request_once_it_has_fewer(self) -> None:
        self.forward_by_hand()
        none = json.dumps({"max-connections": 0})
        for scope, set_limit, clear in (
            ("the user", ("set_user_limits", "treeherder", none), ("clear_user_limits", "treeherder", "all")),
            ("the virtual host", ("set_vhost_limits", "-p", "/", none), ("clear_vhost_limits", "-p", "/")),
        ):
            with self.subTest(scope), self.stack.listening(f"{self._testMethodName}-{set_limit[0]}") as heard:
                status_url = self.trigger(next(self.names["autoland"]), project="autoland")
                self.stack.control_broker(*set_limit)
                try:
                    [line] = self.forward()
                finally:
                    self.stack.control_broker(*clear)
                self.assertRegex(line["error"], "NOT_ALLOWED.*limit")
                self.assertEqual((line["refused"], line["failed"], line["incident"]), (1, 0, "Pulse refuses"))
                self.assert_states(self.ask("GET", status_url), "accepted")

                until(self.forward)

                self.assertTrue(heard.get(timeout=TIMEOUT_SECONDS))
                self.assert_states(self.ask("GET", status_url), "forwarded")

    @unittest.skipUnless(sys.platform == "linux", "it finds the function's processes in /proc")
    def test_a_function_that_was_frozen_forwards_the_next_request_once(self) -> None:
        with self.stack.listening(self._testMethodName) as heard:
            self.end_of(self.trigger(next(self.names["try"])))
            heard.get(timeout=TIMEOUT_SECONDS)
            given_up = self.given_up()
            frozen = self.processes_of_the_function()
            self.assertTrue(frozen)
            try:
                for process in frozen:
                    os.kill(process, signal.SIGSTOP)
                # Before the function itself considers the connection lost: it does not expect that.
                until(lambda: self.given_up() > given_up)
            finally:
                for process in frozen:
                    os.kill(process, signal.SIGCONT)

            request = self.end_of(self.trigger(next(self.names["try"])))

            heard.get(timeout=TIMEOUT_SECONDS)
            # The listener gets messages in their order: a repeat would come before the next request's message.
            until(lambda: self.stack.queue_counts() == (0, 0))
            name = next(self.names["try"])
            self.end_of(self.trigger(name))
            self.assertEqual(heard.get(timeout=TIMEOUT_SECONDS)["body"]["requested_jobs"], [name])
            self.assertTrue(heard.empty())
        self.assert_states(request, "forwarded")
        self.assertEqual([event["state"] for event in request["history"]], ["accepted", "queued", "forwarded"])
        # A busy machine may have started another one.
        self.assertLessEqual(set(frozen), set(self.processes_of_the_function()))
        self.assertEqual([line.get("error") for line in self.logged(request["request_id"])], [None])

    def given_up(self) -> int:
        """How often the broker dropped a client that missed its heartbeats."""
        return (self.stack.run / "broker.log").read_text(errors="replace").count("missed heartbeats from client")

    def processes_of_the_function(self) -> list[int]:
        """The forward function's processes: those of the emulator with the setting of the sign-in to the broker."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(ValueError, OSError):
                process = int(entry.name)
                is_function = (entry / "exe").readlink().name == "bootstrap"
                signs_in = b"PULSE_PARAMETER" in (entry / "environ").read_bytes()
                if is_function and signs_in and os.getpgid(process) == self.stack.services["emulator"]:
                    found.append(process)
        return found

    def logged(self, request: str) -> list[dict]:
        """The lines that the forward function logged for a request."""
        function = self.stack.client("lambda").get_function_configuration(
            FunctionName=self.stack.env["FORWARD_FUNCTION"]
        )
        logged = self.stack.client("logs").filter_log_events(logGroupName=function["LoggingConfig"]["LogGroup"])
        lines = [event["message"] for event in logged["events"] if event["message"].startswith("{")]
        return [line for line in map(json.loads, lines) if line.get("request") == request]

    def test_nothing_logs_a_password(self) -> None:
        self.end_of(self.trigger(next(self.names["try"])))
        passwords = [self.publisher()["password"], urllib.parse.urlsplit(self.stack.env["AMQP_URL"]).password]
        function = self.stack.client("lambda").get_function_configuration(
            FunctionName=self.stack.env["FORWARD_FUNCTION"]
        )
        logged = self.stack.client("logs").filter_log_events(logGroupName=function["LoggingConfig"]["LogGroup"])
        logs = {"function": "\n".join(event["message"] for event in logged["events"])}
        logs |= {file.name: file.read_text(errors="replace") for file in self.stack.run.glob("*.log")}

        self.assertIn(self.unheard["request_id"], logs["function"])
        for name, log in logs.items():
            for password in passwords:
                self.assertNotIn(password, log, name)
                self.assertNotIn(password, json.dumps(function["Environment"]))

    def publisher(self) -> dict:
        """The forward function's user on Pulse, and the password."""
        stored = self.stack.client("ssm").get_parameter(
            Name=self.stack.env["RUNNABLE_JOBS_PULSE_PARAMETER"], WithDecryption=True
        )
        return json.loads(stored["Parameter"]["Value"])

    def test_users_of_the_broker_have_the_permissions_of_pulse(self) -> None:
        listener = self.stack.env["AMQP_URL"]
        account = self.publisher()
        publisher = listener.replace(
            urllib.parse.urlsplit(listener).netloc.rpartition("@")[0], f"{account['username']}:{account['password']}"
        )

        self.assertTrue(may(listener, lambda channel: channel.queue_declare("queue/listener/rights", exclusive=True)))
        for user, action in (
            (listener, lambda channel: channel.queue_declare("rights")),
            (listener, lambda channel: channel.queue_declare("queue/treeherder/rights")),
            (listener, lambda channel: channel.exchange_declare("exchange/treeherder/v1/rights", "topic")),
            (listener, lambda channel: channel.basic_publish_confirm(amqp.Message("{}"), EXCHANGE, "try")),
            (publisher, lambda channel: channel.exchange_declare("exchange/other/v1/rights", "topic")),
            (publisher, lambda channel: channel.queue_declare("queue/listener/rights")),
        ):
            self.assertFalse(may(user, action))


def authority() -> bytes:
    """The certificate of another authority that has the name of the broker's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "runnable-jobs authority")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1)
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def may(url: str, action: Callable[[amqp.Channel], object]) -> bool:
    """Whether the broker allows a user to do something."""
    with kombu.Connection(url) as connection:
        try:
            action(connection.default_channel)
        except amqp.AccessRefused:
            return False
        return True
