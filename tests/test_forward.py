"""Requests from their trigger to those who listen on Pulse: the deployed forward function, with a real broker."""

import contextlib
import json
import queue
import tempfile
import threading
import time
import unittest
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import amqp
import kombu

from listener import Listener
from running_stack import FORWARD, RUN, Stack, in_stack, sample
from treeherder import PUSH_IDS

ME = "someone@mozilla.com"
PUSH = PUSH_IDS[0]
TASK = "Ab-_9fIzT8aXVvV2yWqhGQ"
EXCHANGE = "exchange/treeherder/v1/resultset-runnable-job-actions"
# After this long what was not forwarded is given out again, instead of after minutes, as the template has it. The fifth
# time is the last: the broker is back much earlier.
VISIBLE_AGAIN_SECONDS = 10
# Within this, something happens that is bound to happen.
PATIENCE_SECONDS = 90
# Within this, what is not to happen would have happened.
CALM_SECONDS = 3


class Forwarding(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.stack = Stack(sample(folder), "--no-listener", forwards=True)
        cls.addClassCleanup(cls.stack.output.close)
        cls.addClassCleanup(cls.stack.stop)
        cls.stack.client("sqs").set_queue_attributes(
            QueueUrl=cls.stack.env["QUEUE_URL"], Attributes={"VisibilityTimeout": str(VISIBLE_AGAIN_SECONDS)})
        cls.token = cls.stack.token("--email", ME)
        # No name twice: who asks for the same twice is told of the first time.
        cls.names = {project: cls.builds_of(project) for project in ("try", "autoland")}
        # Before anybody listens. It makes the exchange, which only who publishes may do.
        cls.unheard = cls.end_of(cls.trigger(next(cls.names["try"])))

    @classmethod
    def builds_of(cls, project: str) -> Iterator[str]:
        """The jobs of a project that need no other job first."""
        jobs = cls.stack.ask("GET", f"/api/project/{project}/runnable_jobs/").json()["results"]
        return iter([job["ref_data_name"] for job in jobs if not job["upstream"]])

    @classmethod
    def ask(cls, method: str, path: str, body: Any = None) -> Any:
        """One request to the trigger function; returns what it answers."""
        answer = cls.stack.ask(
            method, path, None if body is None else json.dumps(body).encode(), "TRIGGER_BASE_URL",
            Authorization=f"Bearer {cls.token}", Content_Type="application/json")
        assert answer.status in (200, 202), answer.body
        return answer.json()

    @classmethod
    def trigger(cls, *names: str, project: str = "try", **more: str) -> str:
        """Ask for jobs on a push; returns where to follow that."""
        path = f"/api/project/{project}/push/{PUSH}/trigger_runnable_jobs/"
        return cls.ask("POST", path, {"requested_jobs": names} | more)["status_url"]

    @classmethod
    def end_of(cls, status_url: str) -> dict:
        """What became of a request, when nothing more is to happen."""
        return until(lambda: (found := cls.ask("GET", status_url))["state"] in ("forwarded", "failed") and found)

    @contextlib.contextmanager
    def listening(self) -> Iterator[queue.SimpleQueue]:
        """Listen with a queue of the test's own: what is yielded gets each message."""
        heard: queue.SimpleQueue[dict] = queue.SimpleQueue()
        listener = Listener(
            self.stack.env["AMQP_URL"], self.stack.env["PULSE_NAMESPACE"], self._testMethodName, heard.put)
        thread = threading.Thread(target=listener.run)
        thread.start()
        try:
            self.assertTrue(listener.is_bound.wait(PATIENCE_SECONDS), "the listener finds no exchange")
            yield heard
        finally:
            listener.stop()
            thread.join()
            listener.forget()

    def assert_states(self, request: dict, *states: str) -> None:
        self.assertEqual([job["state"] for job in request["jobs"]], list(states), request)

    def test_listeners_get_the_message_that_treeherder_sent(self) -> None:
        names = [next(self.names["try"]), next(self.names["try"])]
        before = int(time.time())
        with self.listening() as heard:
            request = self.end_of(self.trigger(*names, "no such job at all"))

            message = heard.get(timeout=PATIENCE_SECONDS)

        timestamp = message["body"].pop("timestamp")
        self.assertEqual(message["body"], {
            "version": 1, "project": "try", "resultset_id": str(PUSH), "requester": ME, "requested_jobs": names,
            "decision_task_id": "",
        })
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
        with self.listening() as heard:
            self.trigger(next(self.names["autoland"]), project="autoland", decision_task_id=TASK)

            message = heard.get(timeout=PATIENCE_SECONDS)

        self.assertEqual((message["routing_key"], message["body"]["project"]), ("autoland", "autoland"))
        self.assertEqual(message["body"]["decision_task_id"], TASK)

    def test_a_request_that_nobody_hears_says_so(self) -> None:
        self.assertEqual(self.unheard["state"], "failed")
        self.assert_states(self.unheard, "unroutable")
        self.assertRegex(self.unheard["jobs"][0]["detail"], r"^[A-Z].*\blisten.*\.$")

    def test_a_request_that_nobody_heard_can_be_sent_again(self) -> None:
        unheard = self.end_of(self.trigger(next(self.names["try"])))
        self.assert_states(unheard, "unroutable")
        with self.listening() as heard:
            self.ask("POST", unheard["links"]["retry"])

            message = heard.get(timeout=PATIENCE_SECONDS)

        self.assertEqual(message["body"]["requested_jobs"], [unheard["jobs"][0]["name"]])
        self.assert_states(self.end_of(unheard["links"]["self"]), "forwarded")

    def test_requests_wait_in_the_queue_while_the_broker_is_away(self) -> None:
        name = next(self.names["try"])
        with self.listening() as heard:
            self.stack.stop_broker()
            try:
                status_url = self.trigger(name)
                time.sleep(CALM_SECONDS)
                meanwhile = self.ask("GET", status_url)
            finally:
                self.stack.start_broker()

            message = heard.get(timeout=PATIENCE_SECONDS)

        self.assertEqual(meanwhile["state"], "queued")
        self.assert_states(meanwhile, "accepted")
        self.assertEqual(message["body"]["requested_jobs"], [name])
        self.assertEqual(self.end_of(status_url)["state"], "forwarded")

    def test_what_is_done_with_is_off_the_queue(self) -> None:
        self.end_of(self.trigger(next(self.names["try"])))
        counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        sqs = self.stack.client("sqs")

        for url in ("QUEUE_URL", "DEAD_LETTER_QUEUE_URL"):
            with self.subTest(url):
                until(lambda url=url: set(sqs.get_queue_attributes(
                    QueueUrl=self.stack.env[url], AttributeNames=counts)["Attributes"].values()) == {"0"})

    def test_the_command_line_forwards_what_is_queued(self) -> None:
        name = next(self.names["try"])
        self.stack.set_forwarding(False)
        self.addCleanup(self.stack.set_forwarding, True)
        with self.listening() as heard:
            status_url = self.trigger(name)
            self.assertEqual(self.ask("GET", status_url)["state"], "queued")

            done = in_stack(str(FORWARD), "--once")

            self.assertEqual(done.returncode, 0, done.stderr)
            message = heard.get(timeout=PATIENCE_SECONDS)
        self.assertEqual(message["body"]["requested_jobs"], [name])
        self.assertEqual(self.ask("GET", status_url)["state"], "forwarded")
        self.assertEqual([json.loads(line)["ForwardForwarded"] for line in done.stdout.splitlines()], [1])

    def test_nothing_logs_a_password(self) -> None:
        self.end_of(self.trigger(next(self.names["try"])))
        passwords = [self.publisher()["password"], urllib.parse.urlsplit(self.stack.env["AMQP_URL"]).password]
        function = self.stack.client("lambda").get_function_configuration(
            FunctionName=self.stack.env["FORWARD_FUNCTION"])
        logged = self.stack.client("logs").filter_log_events(logGroupName=function["LoggingConfig"]["LogGroup"])
        logs = {"function": "\n".join(event["message"] for event in logged["events"])}
        logs |= {file.name: file.read_text(errors="replace") for file in RUN.glob("*.log")}

        self.assertIn(self.unheard["request_id"], logs["function"])
        for name, log in logs.items():
            for password in passwords:
                self.assertNotIn(password, log, name)
                self.assertNotIn(password, json.dumps(function["Environment"]))

    def publisher(self) -> dict:
        """Who the forward function is on Pulse."""
        secret = self.stack.client("secretsmanager").get_secret_value(
            SecretId=self.stack.env["RUNNABLE_JOBS_PULSE_SECRET"])
        return json.loads(secret["SecretString"])

    def test_users_of_the_broker_may_do_what_pulse_lets_them(self) -> None:
        listener = self.stack.env["AMQP_URL"]
        account = self.publisher()
        publisher = listener.replace(
            urllib.parse.urlsplit(listener).netloc.rpartition("@")[0], f"{account['username']}:{account['password']}")

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


def until(found: Callable[[], Any]) -> Any:
    """What `found` returns when that is something, which is soon."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (result := found()):
        assert time.monotonic() < deadline, f"nothing in {PATIENCE_SECONDS} s"
        time.sleep(0.2)
    return result


def may(url: str, action: Callable[[amqp.Channel], object]) -> bool:
    """Whether the broker lets a user do something."""
    with kombu.Connection(url) as connection:
        try:
            action(connection.default_channel)
        except amqp.AccessRefused:
            return False
        return True


if __name__ == "__main__":
    unittest.main()
