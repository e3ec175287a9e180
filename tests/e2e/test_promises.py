"""The promises of the README as users see them: over HTTP, Pulse and the queues of a whole stack.

By default that is a local stack of its own. With BASE_URL in the environment it is a stack that runs already:

- after `. .run/stack.env`, the stack of `make run`. Jobs wait there as long as its configuration says: minutes;
- a deployment on AWS, with credentials in the environment. It needs BASE_URL, TRIGGER_BASE_URL, QUEUE_URL,
  DEAD_LETTER_QUEUE_URL and FORWARD_FUNCTION, which are outputs of the deployment; PUSH_ID, a push of `try`, and TOKEN,
  of a person who may trigger jobs on it; AMQP_URL, with a Pulse user who listens, and PULSE_NAMESPACE; and the settings
  of the command line. The tests stop forwarding there for a while, and run one build on the push three times. They skip
  what needs the fake Treeherder, or would change the lists.

Each promise is tested once. The others are
- in test_stack: the schedule starts an ingest; an unchanged source is reported and changes nothing; a refused source is
  reported with the reason; functions have no more permissions than they need;
- in test_api: a list is served as it is stored, and is not sent to a client that has it;
- in test_contract: Treeherder's client of 2018 works; an answer to invalid input says what is wrong;
- in test_trigger: who may trigger jobs (functions/trigger/tests/http/authorization.rs tests the messages); one unknown
  name; the same request twice; a request that was stored but not queued is queued; the rules while Treeherder is down;
- in test_forward: the exact message; no listener; a broker that is down, refuses, or is another;
- in test_taskcluster_trigger: labels run through the hook, each job is followed to its end, or it is said why not;
- in functions/forward/tests/labels.rs: a hook is called once, and its task is found when its answer is lost;
- in tests/page: a reload (test_reload), a sign-in (test_sign_in), and a lost answer (test_many_jobs) on the page;
- in tests/faults: nothing is lost and no label is run twice, whatever is killed;
- in etl/tests and functions/jobs/tests: an ingest that is killed; a store that does not answer.
"""

import functools
import gzip
import itertools
import json
import os
import queue
import subprocess
import tempfile
import threading
import time
import unittest
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localstack.fakes.treeherder import PUSH_IDS, Control
from tests.support.stack import PROGRAMS, TIMEOUT_SECONDS, GivenStack, Stack, sample, until

ME = "someone@mozilla.com"
LIST = "/api/project/try/runnable_jobs/"
# The event of the rule that starts an ingest of Buildbot.
BUILDBOT = b'{"build_system": "buildbot"}'
# Waiting jobs are checked after a second, not after the default time.
PLANNING, FIRST_LOOK_SECONDS = {"first_look_seconds": 1}, 120
# So many tests vanish from a list: too few for the ingest to refuse that.
FEWER = 10
# How often the list is replaced by that one and back.
TIMES_REPLACED = 3
# The functions do not ask Treeherder for this time after a failure.
FAILURE_COOLDOWN_SECONDS = 5
# How often the queue gives a ticket out.
MAX_RECEIVES = 5
COMMAND_SECONDS = 60


@pytest.mark.xdist_group("promises")
class Promises(unittest.TestCase):
    stack: GivenStack
    token: str
    # The jobs of try; one of its builds; one of its tests, and the build that the test needs.
    jobs: list[dict]
    build: str
    test: str
    its_build: str
    pushes: Iterator[int]

    @classmethod
    def setUpClass(cls) -> None:
        if "BASE_URL" in os.environ:
            cls.stack = GivenStack(dict(os.environ))
        else:
            folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
            options = ("--no-listener", "--planning", json.dumps(PLANNING))
            stack = Stack(sample(folder), *options, name="promises", forwards=True)
            cls.addClassCleanup(stack.stop)
            cls.stack = stack
        cls.token = cls.stack.token("--email", ME)
        cls.jobs = cls.stack.ask("GET", LIST).json()["results"]
        cls.build = next(job["ref_data_name"] for job in cls.jobs if not job["upstream"])
        cls.test, cls.its_build = next((job["ref_data_name"], job["upstream"]) for job in cls.jobs if job["upstream"])
        # Locally, a push for each test.
        cls.pushes = iter(PUSH_IDS)

    def setUp(self) -> None:
        self.push = next(self.pushes) if self.stack.is_local else int(self.stack.env["PUSH_ID"])

    def need_fake_treeherder(self) -> None:
        """Skip the test where it cannot set what Treeherder answers."""
        if not self.stack.is_local:
            self.skipTest("the fake Treeherder is not there")
        self.treeherder = Control(self.stack.env["TREEHERDER_URL"])

    def runs(self, *runs: tuple[str, str, str]) -> None:
        """Set the push's runs in Treeherder, oldest first: the name, the state and the result of each."""
        self.treeherder.set_jobs(
            "try",
            self.push,
            [{"ref_data_name": name, "state": state, "result": result} for name, state, result in runs],
        )

    def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """One request to the trigger function, which must answer with this status; returns its answer."""
        answer = self.stack.ask(
            method,
            path,
            None if body is None else json.dumps(body).encode(),
            "TRIGGER_BASE_URL",
            Authorization=f"Bearer {self.token}",
            Content_Type="application/json",
            Idempotency_Key=uuid.uuid4().hex,
        )
        self.assertEqual(answer.status, status, answer.body)
        return answer.json()

    def trigger(self, *names: str) -> str:
        """Trigger jobs on the push; returns the address of the request's status."""
        path = f"/api/project/try/push/{self.push}/trigger_runnable_jobs/"
        return self.ask("POST", path, {"requested_jobs": names}, status=202)["status_url"]

    def comes_to(
        self,
        status_url: str,
        state: str,
        meanwhile: Callable[[], None] = lambda: None,
        seconds: float = TIMEOUT_SECONDS,
    ) -> dict:
        """A request's status once it is in this state; calls `meanwhile` repeatedly until then."""
        deadline = time.monotonic() + seconds
        while (found := self.ask("GET", status_url))["state"] != state:
            self.assertLess(time.monotonic(), deadline, found)
            meanwhile()
            time.sleep(0.2)
        return found

    def swept_to(self, status_url: str, state: str) -> dict:
        """The same for a waiting request: sweeps are run until one finds that it is due."""
        planning = json.loads(self.stack.env.get("RUNNABLE_JOBS_PLANNING") or "{}")
        return self.comes_to(
            status_url, state, self.sweep, TIMEOUT_SECONDS + planning.get("first_look_seconds", FIRST_LOOK_SECONDS)
        )

    def sweep(self) -> None:
        answer = self.stack.client("lambda").invoke(FunctionName=self.stack.env["SWEEP_FUNCTION"], Payload=b"{}")
        self.assertNotIn("FunctionError", answer, answer["Payload"].read())

    def listening(self) -> queue.SimpleQueue[dict]:
        """Listen on Pulse with a queue of the test's own; returns a queue that receives each message."""
        return self.enterContext(self.stack.listening(self._testMethodName))

    def heard(self, messages: queue.SimpleQueue[dict]) -> dict:
        """The next message for this push."""
        while int((message := messages.get(timeout=TIMEOUT_SECONDS))["body"]["resultset_id"]) != self.push:
            pass
        return message

    def run_command(self, command: list[str]) -> str:
        """Run an operator's command; returns what it prints."""
        done = subprocess.run(
            command, env=self.stack.env, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def queued(self, queue: str = "QUEUE_URL") -> int:
        """How many messages a queue can give out."""
        return self.stack.queue_counts(queue)[0]

    def stop_forwarding(self) -> None:
        """Keep requests in the queue, at most until the test is over."""
        self.addCleanup(self.stack.set_forwarding, True)
        self.stack.set_forwarding(False)

    def assert_jobs(self, found: dict, *expected: tuple[str, str, str | None]) -> None:
        """Compare the name, the state and the code of each job."""
        self.assertEqual([(job["name"], job["state"], job.get("code")) for job in found["jobs"]], [*expected], found)

    def assert_history(self, found: dict, *states: str) -> None:
        self.assertEqual([event["state"] for event in found["history"]], [*states], found)

    def test_a_triggered_job_reports_each_step_until_a_listener_has_it(self) -> None:
        if self.stack.is_local:
            self.need_fake_treeherder()
            self.runs()
        messages = self.listening()
        self.stop_forwarding()

        status_url = self.trigger(self.build)
        queued = self.ask("GET", status_url)
        self.stack.set_forwarding(True)
        forwarded = self.comes_to(status_url, "forwarded")

        message = self.heard(messages)
        self.assertEqual(message["body"]["requested_jobs"], [self.build])
        self.assertEqual(message["body"]["requester"], forwarded["requester"])
        self.assertEqual(queued["state"], "queued")
        self.assert_jobs(queued, (self.build, "accepted", None))
        self.assert_history(queued, "accepted", "queued")
        self.assert_jobs(forwarded, (self.build, "forwarded", None))
        self.assert_history(forwarded, "accepted", "queued", "forwarded")

    def test_a_test_waits_for_its_running_build_and_is_forwarded_when_the_build_is_done(self) -> None:
        self.need_fake_treeherder()
        self.runs((self.its_build, "running", "unknown"))
        messages = self.listening()

        status_url = self.trigger(self.test)
        waiting = self.comes_to(status_url, "waiting")
        self.assertTrue(messages.empty())
        self.runs((self.its_build, "completed", "success"))
        forwarded = self.swept_to(status_url, "forwarded")

        self.assert_jobs(waiting, (self.test, "waiting", "build_running"))
        self.assertEqual(waiting["jobs"][0]["detail"], f"It waits for its build '{self.its_build}', which is running.")
        self.assertEqual(self.heard(messages)["body"]["requested_jobs"], [self.test])
        self.assert_jobs(forwarded, (self.test, "forwarded", None))
        self.assert_history(forwarded, "accepted", "queued", "waiting", "forwarded")

    def test_a_missing_build_is_requested_too_and_again_after_it_failed(self) -> None:
        self.need_fake_treeherder()
        self.runs()
        messages = self.listening()

        path = f"/api/project/try/push/{self.push}/trigger_runnable_jobs/?dry_run=true"
        shown = self.ask("POST", path, {"requested_jobs": [self.test]})
        status_url = self.trigger(self.test)
        waiting = self.comes_to(status_url, "waiting")
        first = self.heard(messages)
        self.runs((self.its_build, "completed", "busted"))
        failed = self.swept_to(status_url, "failed")
        self.ask("POST", failed["links"]["retry"], status=202)
        again = self.comes_to(status_url, "waiting")
        second = self.heard(messages)
        self.runs((self.its_build, "completed", "busted"), (self.its_build, "completed", "success"))
        forwarded = self.swept_to(status_url, "forwarded")
        third = self.heard(messages)

        self.assert_jobs(shown, (self.test, "waiting", "build_requested"), (self.its_build, "accepted", "needed_build"))
        for found in (waiting, again):
            self.assert_jobs(
                found, (self.test, "waiting", "build_requested"), (self.its_build, "forwarded", "needed_build")
            )
        self.assertRegex(shown["message"], r"requested too\. One would wait for a build first\.$")
        self.assertEqual([job["detail"] for job in shown["jobs"]], [job["detail"] for job in waiting["jobs"]])
        self.assertIn(f"'{self.its_build}' is not on this push", waiting["jobs"][0]["detail"])
        self.assertIn(f"'{self.test}' needs this build", waiting["jobs"][1]["detail"])
        self.assert_jobs(failed, (self.test, "failed", "build_failed"), (self.its_build, "forwarded", "needed_build"))
        self.assertIn(f"'{self.its_build}' failed (busted)", failed["jobs"][0]["detail"])
        self.assertIn(f"'{self.its_build}' failed (busted)", again["jobs"][0]["detail"])
        self.assert_jobs(forwarded, (self.test, "forwarded", None), (self.its_build, "forwarded", "needed_build"))
        self.assertEqual(
            [message["body"]["requested_jobs"] for message in (first, second, third)],
            [[self.its_build], [self.its_build], [self.test]],
        )
        self.assertTrue(messages.empty())

    def test_a_test_with_an_orange_build_is_forwarded_and_no_build_is_requested(self) -> None:
        self.need_fake_treeherder()
        self.runs((self.its_build, "completed", "testfailed"))
        messages = self.listening()

        forwarded = self.comes_to(self.trigger(self.test), "forwarded")

        self.assertEqual(self.heard(messages)["body"]["requested_jobs"], [self.test])
        self.assert_jobs(forwarded, (self.test, "forwarded", None))
        self.assertTrue(messages.empty())

    def test_a_superseded_build_counts_as_missing(self) -> None:
        self.need_fake_treeherder()
        self.runs((self.its_build, "completed", "superseded"))
        path = f"/api/project/try/push/{self.push}/trigger_runnable_jobs/?dry_run=true"

        shown = self.ask("POST", path, {"requested_jobs": [self.test]})

        self.assert_jobs(shown, (self.test, "waiting", "build_requested"), (self.its_build, "accepted", "needed_build"))
        self.assertIn("is not on this push", shown["jobs"][0]["detail"])
        self.runs((self.its_build, "unscheduled", "unknown"))
        shown = self.ask("POST", path, {"requested_jobs": [self.test]})
        self.assert_jobs(shown, (self.test, "waiting", "build_running"))

    def test_a_test_is_forwarded_while_treeherder_is_down_and_its_detail_says_so(self) -> None:
        self.need_fake_treeherder()
        messages = self.listening()
        self.treeherder.set_mode("down")
        self.addCleanup(time.sleep, FAILURE_COOLDOWN_SECONDS)
        self.addCleanup(self.treeherder.set_mode, "ok")

        forwarded = self.comes_to(self.trigger(self.test), "forwarded")

        self.assertEqual(self.heard(messages)["body"]["requested_jobs"], [self.test])
        self.assert_jobs(forwarded, (self.test, "forwarded", "unplanned"))
        self.assertRegex(forwarded["jobs"][0]["detail"], r"^Treeherder does not answer, .*\bbuild\b.*\.$")

    def test_a_running_test_is_forwarded_again_and_its_detail_says_so(self) -> None:
        self.need_fake_treeherder()
        self.runs((self.its_build, "completed", "success"), (self.test, "running", "unknown"))
        messages = self.listening()

        forwarded = self.comes_to(self.trigger(self.test), "forwarded")

        self.assertEqual(self.heard(messages)["body"]["requested_jobs"], [self.test])
        self.assert_jobs(forwarded, (self.test, "forwarded", "already_running"))
        self.assertRegex(forwarded["jobs"][0]["detail"], r"^It is running on this push already, .*\.$")

    def test_a_dry_run_shows_the_messages_that_are_published_later(self) -> None:
        messages = self.listening()
        self.stop_forwarding()
        status_url = self.trigger(self.build)
        until(self.queued)

        [line] = self.run_command(PROGRAMS.forward("--dry-run")).splitlines()

        shown = json.loads(line)
        until(lambda: self.queued() == 1)
        self.assertEqual(self.ask("GET", status_url)["state"], "queued")
        self.assertTrue(messages.empty())
        self.stack.set_forwarding(True)
        request = self.comes_to(status_url, "forwarded")
        message = self.heard(messages)
        self.assertEqual(
            shown,
            {
                "request": request["request_id"],
                "project": "try",
                "not_forwarded": {},
                "messages": [{"id": message["message_id"], "body": message["body"]}],
            },
        )
        self.assertEqual(message["body"]["requested_jobs"], [self.build])

    def test_all_dead_letters_are_sent_again_by_one_command(self) -> None:
        messages = self.listening()
        self.stop_forwarding()
        status_url = self.trigger(self.build)
        request = self.ask("GET", status_url)["request_id"]
        sqs, url = self.stack.client("sqs"), self.stack.env["QUEUE_URL"]
        # Each receiver ends before it records an outcome.
        for _ in range(MAX_RECEIVES):
            [ticket] = sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, WaitTimeSeconds=5)["Messages"]
            self.assertEqual(json.loads(ticket["Body"])["request_id"], request)
        self.assertNotIn("Messages", sqs.receive_message(QueueUrl=url, VisibilityTimeout=0))
        until(lambda: self.queued("DEAD_LETTER_QUEUE_URL"))

        said = self.run_command(PROGRAMS.requests("retry", "--dead-letters", self.stack.env["DEAD_LETTER_QUEUE_URL"]))

        self.assertIn(request, said)
        until(lambda: self.queued("DEAD_LETTER_QUEUE_URL") == 0)
        self.stack.set_forwarding(True)
        self.comes_to(status_url, "forwarded")
        self.assertEqual(self.heard(messages)["body"]["requested_jobs"], [self.build])

    def test_every_answer_is_the_old_list_or_the_new_one(self) -> None:
        source = self.stack.env.get("RUNNABLE_JOBS_SOURCE", "")
        if not self.stack.is_local or not source.startswith("s3://"):
            self.skipTest("the lists or their source belong to another stack")
        bucket, _, key = source.removeprefix("s3://").partition("/")
        s3 = self.stack.client("s3")
        old = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        gone = {job["ref_data_name"] for job in self.jobs if job["upstream"]} - {self.test}
        gone = set(sorted(gone)[:FEWER])
        new = old | {"builders": {name: builder for name, builder in old["builders"].items() if name not in gone}}
        self.assertEqual(len(old["builders"]) - len(new["builders"]), FEWER)
        self.ask_at_every_request()
        answers: list[tuple[str, bytes]] = []
        self.poll(answers)

        for dump in (new, old) * TIMES_REPLACED:
            before = answers[-1]
            s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(dump).encode())
            answer = self.stack.client("lambda").invoke(FunctionName=self.stack.env["ETL_FUNCTION"], Payload=BUILDBOT)
            report = json.loads(answer["Payload"].read())
            self.assertEqual(report.get("outcome"), "published", report)
            until(functools.partial(lambda before: answers[-1] != before, before))

        lists = [one for one, _ in itertools.groupby(answers)]
        # The old one, the new one and so on, and nothing else.
        self.assertEqual(len(lists), 1 + 2 * TIMES_REPLACED)
        self.assertEqual(lists[2:], lists[:-2])
        for (_, body), names in zip(lists[:2], (set(), gone), strict=True):
            served = json.loads(gzip.decompress(body))
            found = {job["ref_data_name"] for job in served["results"]}
            self.assertEqual(found, {job["ref_data_name"] for job in self.jobs} - names)
            self.assertEqual(served["meta"]["count"], len(found))

    def ask_at_every_request(self) -> None:
        """Make the jobs function check at every request whether its list is current, until the test is over."""
        lambda_, function = self.stack.client("lambda"), self.stack.env["JOBS_FUNCTION"]
        variables = lambda_.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        self.addCleanup(
            lambda_.update_function_configuration, FunctionName=function, Environment={"Variables": variables}
        )
        lambda_.update_function_configuration(
            FunctionName=function, Environment={"Variables": variables | {"RUNNABLE_JOBS_FRESH_SECONDS": "0"}}
        )

    def poll(self, answers: list[tuple[str, bytes]]) -> None:
        """Request the list without a pause until the test is over, and add the ETag and the body of each answer.

        Returns after the first answer.
        """
        is_over = threading.Event()

        def ask() -> None:
            while not is_over.is_set():
                answer = self.stack.ask("GET", LIST, Accept_Encoding="gzip")
                answers.append((answer.headers["ETag"], answer.body))

        thread = threading.Thread(target=ask)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(is_over.set)
        until(lambda: answers)
