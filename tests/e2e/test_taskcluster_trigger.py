"""Requests with labels in a whole stack: from the request over the action of the push to the end of every job."""

import base64
import json
import queue
import tempfile
import unittest
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mohawk
import pytest

from localstack.commands import TASKCLUSTER_PARAMETER
from localstack.fakes import treeherder
from localstack.fakes.pushes import decision_task_id
from localstack.fakes.taskcluster import CLIENT_ID, Control, own_label
from localstack.fakes.taskcluster.hooks import GROUP, hook_id
from localstack.fakes.treeherder import PUSH_IDS
from tests.support.stack import TIMEOUT_SECONDS, Answer, Stack, sample, until

ME = "someone@mozilla.com"
PROJECT = "try"
HOOK = f"{GROUP}/{hook_id('1', PROJECT)}"
BUILD = "build-linux64/opt"
# How long tasks stay in each state.
PACE_SECONDS = 0.2
# A label that waits for another action is tried again after a minute.
WAITING_SECONDS = 120


@pytest.mark.xdist_group("taskcluster-trigger")
class TaskclusterTrigger(unittest.TestCase):
    stack: Stack
    control: Control
    treeherder: treeherder.Control
    token: str
    builders: Iterator[str]
    pushes: Iterator[int]

    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.stack = Stack(sample(folder), "--no-listener", name="taskcluster-trigger", forwards=True)
        cls.addClassCleanup(cls.stack.stop)
        cls.control = cls.stack.taskcluster()
        cls.treeherder = treeherder.Control(cls.stack.env["TREEHERDER_URL"])
        cls.token = cls.stack.token("--email", ME)
        cls.builders = iter(cls.stack.builds(PROJECT))
        cls.pushes = iter(PUSH_IDS)

    def setUp(self) -> None:
        self.push = next(self.pushes)
        self.addCleanup(self.control.reset)
        self.control.set_pace(PACE_SECONDS)
        # A label that only this push has, which needs BUILD.
        self.label = own_label(self.push)
        of_push = self.stack.ask(
            "GET", f"/api/project/{PROJECT}/runnable_jobs/?decision_task_id={decision_task_id(PROJECT, self.push)}"
        ).json()["results"]
        self.labels = [
            job["ref_data_name"] for job in of_push if job["upstream"] == BUILD and job["ref_data_name"] != self.label
        ]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        return self.stack.ask(
            method,
            path,
            None if body is None else json.dumps(body).encode(),
            "TRIGGER_BASE_URL",
            Authorization=f"Bearer {self.token}",
            Content_Type="application/json",
            Idempotency_Key=uuid.uuid4().hex,
            **headers,
        )

    def post(self, *names: str, query: str = "") -> Answer:
        path = f"/api/project/{PROJECT}/push/{self.push}/trigger_runnable_jobs/{query}"
        return self.ask("POST", path, {"requested_jobs": names})

    def trigger(self, *names: str) -> str:
        """Trigger jobs on the push; returns the address of the request's status."""
        answer = self.post(*names)
        self.assertEqual(answer.status, 202, answer.body)
        return answer.json()["status_url"]

    def status(self, url: str) -> dict:
        answer = self.ask("GET", url)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def comes_to(self, url: str, state: str, seconds: float = TIMEOUT_SECONDS) -> dict:
        """A request's status once it is in this state. The sweep and the follower run until then."""

        def found() -> dict | None:
            found = self.status(url)
            if found["state"] == state:
                return found
            self.invoke("SWEEP_FUNCTION", {})
            self.follow()
            return None

        return until(found, seconds, 0.5)

    def invoke(self, variable: str, event: dict) -> None:
        answer = self.stack.client("lambda").invoke(
            FunctionName=self.stack.env[variable], Payload=json.dumps(event).encode()
        )
        self.assertNotIn("FunctionError", answer, answer["Payload"].read())

    def follow(self) -> None:
        """Run a round of the follower."""
        self.invoke("FORWARD_FUNCTION", {"follow": True})

    def followed(self, url: str) -> dict:
        """A request's status after a round of the follower."""
        self.follow()
        return self.status(url)

    def listening(self) -> queue.SimpleQueue[dict]:
        return self.enterContext(self.stack.listening(self._testMethodName))

    def job(self, found: dict, name: str) -> dict:
        return next(job for job in found["jobs"] if job["name"] == name)

    def actions(self) -> list[dict]:
        """The actions of the push."""
        task = decision_task_id(PROJECT, self.push)
        return [action for action in self.control.actions() if action["decision_task_id"] == task]

    def assert_signed(self, marker: str) -> None:
        """Another implementation of Hawk than ours accepts the call of the hook, which is limited to this hook."""
        [call] = [call for call in self.control.triggers() if marker in call["body"]]
        headers = {name.lower(): value for name, value in call["headers"]}
        stored = self.stack.client("ssm").get_parameter(Name=TASKCLUSTER_PARAMETER, WithDecryption=True)
        client = json.loads(stored["Parameter"]["Value"])
        receiver = mohawk.Receiver(
            lambda _: {"id": client["clientId"], "key": client["accessToken"], "algorithm": "sha256"},
            headers["authorization"],
            f"http://{headers['host']}{call['path']}",
            call["method"],
            content=call["body"].encode(),
            content_type=headers["content-type"],
        )
        self.assertEqual(receiver.parsed_header["id"], CLIENT_ID)
        limits = json.loads(base64.b64decode(receiver.parsed_header["ext"]))
        self.assertEqual(limits, {"authorizedScopes": [f"hooks:trigger-hook:{HOOK}"]})

    def test_labels_and_builders_go_each_their_way_and_are_followed_to_their_end(self) -> None:
        self.control.set_pace(None)
        self.control.set_result(self.labels[0], "failed")
        builder = next(self.builders)
        heard = self.listening()

        url = self.trigger(self.label, builder, self.labels[0], "no such job at all")
        forwarded = self.comes_to(url, "forwarded")
        message = heard.get(timeout=TIMEOUT_SECONDS)
        [action] = self.actions()
        self.control.finish()
        ran = self.treeherder.add_job(PROJECT, self.push, builder, state="completed", result="success")
        finished = self.comes_to(url, "finished")

        self.assertEqual(message["body"]["requested_jobs"], [builder])
        self.assertTrue(heard.empty())
        self.assertEqual(action["input"]["tasks"], [self.label, self.labels[0]])
        self.assertEqual(action["input"]["request"], f"{forwarded['request_id']}.1")
        self.assertNotIn("@", json.dumps(action["input"]))
        self.assert_signed(action["input"]["request"])
        self.assertEqual((action["name"], action["hook"]), ("add-new-jobs", HOOK))
        states = [(job["state"], job.get("destination")) for job in forwarded["jobs"]]
        expected = [("forwarded", "taskcluster"), ("forwarded", "pulse"), ("forwarded", "taskcluster")]
        self.assertEqual(states, [*expected, ("rejected", None)])
        [shown] = forwarded["actions"]
        self.assertEqual((shown["state"], shown["task_id"], shown["jobs"]), ("running", action["task_id"], 2))
        self.assertIn(action["task_id"], shown["url"])
        self.assertEqual(forwarded["progress"], {"waiting": 3, "running": 0, "succeeded": 0, "failed": 0})
        self.assertIsNone(forwarded["finished_at"])

        outcomes = {job["name"]: job.get("outcome", {}) for job in finished["jobs"]}
        results = {name: (outcome.get("state"), outcome.get("result")) for name, outcome in outcomes.items()}
        self.assertEqual(results[self.label], ("completed", "success"))
        self.assertEqual(results[self.labels[0]], ("completed", "testfailed"))
        self.assertEqual(results[builder], ("completed", "success"))
        created = {label: task for task, label in self.actions()[0]["created"].items()}
        self.assertEqual(outcomes[self.label]["task_id"], created[self.label])
        self.assertEqual(outcomes[builder]["job_id"], ran)
        self.assertEqual(finished["progress"], {"waiting": 0, "running": 0, "succeeded": 2, "failed": 1})
        self.assertEqual(finished["actions"][0]["state"], "ended")
        self.assertIsNotNone(finished["finished_at"])
        self.assertEqual(finished["history"][-1]["detail"], "Jobs: 2 succeeded, 1 failed.")

    def test_polling_costs_little_and_says_when_to_ask_again(self) -> None:
        # Tasks stay as they are until `finish`.
        self.control.set_pace(None)
        url = self.trigger(self.label)
        forwarded = self.comes_to(url, "forwarded")
        first = self.ask("GET", url)
        unchanged = self.ask("GET", url, If_None_Match=first.headers["ETag"])
        self.control.finish()
        self.comes_to(url, "finished")
        last = self.ask("GET", url)

        self.assertEqual(forwarded["state"], "forwarded")
        self.assertGreater(int(first.headers["Retry-After"]), 0)
        self.assertEqual(unchanged.status, 304)
        self.assertNotEqual(last.headers["ETag"], first.headers["ETag"])
        self.assertIsNone(last.headers["Retry-After"])
        again = self.ask("GET", url, If_None_Match=last.headers["ETag"])
        self.assertEqual((again.status, again.body), (304, b""))

    def test_a_second_request_waits_while_an_action_runs_on_the_push_and_then_runs(self) -> None:
        self.control.set_pace(None)
        first, second = self.labels[0], self.labels[1]

        first_url = self.trigger(first)
        self.comes_to(first_url, "forwarded")
        second_url = self.trigger(second)
        waiting = self.comes_to(second_url, "waiting")
        self.assertEqual(len(self.actions()), 1)
        self.control.finish()
        self.comes_to(first_url, "finished")
        self.control.set_pace(PACE_SECONDS)
        finished = self.comes_to(second_url, "finished", WAITING_SECONDS)

        [job] = waiting["jobs"]
        self.assertEqual(job["state"], "waiting")
        self.assertRegex(job["detail"], r"(?i)\baction\b")
        self.assertEqual([job["outcome"]["result"] for job in finished["jobs"]], ["success"])
        self.assertEqual([action["input"]["tasks"] for action in self.actions()], [[first], [second]])

    def test_a_hook_that_is_not_there_is_a_refusal_that_says_why_and_the_builders_go(self) -> None:
        self.control.remove_hook(HOOK)
        builder = next(self.builders)
        heard = self.listening()

        url = self.trigger(self.label, builder)
        refused = self.comes_to(url, "forwarded")
        self.control.reset()
        self.control.set_pace(PACE_SECONDS)
        self.assertEqual(self.ask("POST", refused["links"]["retry"]).status, 202)
        self.treeherder.add_job(PROJECT, self.push, builder, state="completed", result="busted")
        finished = self.comes_to(url, "finished")

        self.assertEqual(heard.get(timeout=TIMEOUT_SECONDS)["body"]["requested_jobs"], [builder])
        job = self.job(refused, self.label)
        self.assertEqual((job["state"], job["code"]), ("failed", "hook_missing"))
        self.assertIn(HOOK, job["detail"])
        self.assertEqual(self.job(refused, builder)["state"], "forwarded")
        self.assertEqual(self.job(finished, self.label)["outcome"]["result"], "success")
        self.assertEqual(self.job(finished, builder)["outcome"]["result"], "busted")
        self.assertTrue(heard.empty())

    def test_scopes_that_are_missing_are_named(self) -> None:
        token = self.control.set_client(CLIENT_ID, ["hooks:trigger-hook:project-gecko/in-tree-action-3-generic/*"])
        self.assertTrue(token)

        failed = self.comes_to(self.trigger(self.label), "failed")

        [job] = failed["jobs"]
        self.assertEqual(job["state"], "failed")
        self.assertIn(job["code"], ("missing_scopes", "hook_not_allowed"))
        self.assertIn("scope", job["detail"])
        self.assertNotIn(token, json.dumps(failed))
        self.assertEqual(self.actions(), [])

    def test_a_label_that_its_action_does_not_create_fails_with_the_end_of_the_log(self) -> None:
        self.control.set_creation_error(self.label, "Error: the quota is used up")

        url = self.trigger(self.label, self.labels[0])
        self.comes_to(url, "forwarded")
        found = until(lambda: (found := self.followed(url))["progress"]["failed"] == 1 and found)

        job = self.job(found, self.label)
        self.assertEqual((job["state"], job["code"]), ("failed", "not_created"))
        self.assertIn("quota", job["detail"])
        # It was created, and depends on the action, which failed.
        self.assertEqual(self.job(found, self.labels[0])["outcome"]["state"], "unscheduled")
        self.assertEqual(found["progress"], {"waiting": 1, "running": 0, "succeeded": 0, "failed": 1})
        self.assertEqual(self.ask("POST", found["links"]["retry"]).status, 202)

    def test_a_test_of_a_failed_build_is_triggered_with_its_build(self) -> None:
        failed = {"job_type_name": BUILD, "build_system_type": "taskcluster", "state": "completed", "result": "busted"}
        self.treeherder.set_jobs(PROJECT, self.push, [failed | {"ref_data_name": "a hash"}])

        shown = self.post(self.label, self.labels[0], query="?dry_run=true").json()
        finished = self.comes_to(self.trigger(self.label, self.labels[0]), "finished")

        [action] = self.actions()
        self.assertEqual(sorted(action["input"]["tasks"]), sorted([self.label, self.labels[0], BUILD]))
        for found in (shown, finished):
            build = self.job(found, BUILD)
            self.assertEqual((build["code"], build["destination"]), ("needed_build", "taskcluster"))
            self.assertIn("failed (busted) on this push", build["detail"])
        self.assertEqual(sorted(shown["actions"][0]["labels"]), sorted(action["input"]["tasks"]))
        self.assertEqual({job["outcome"]["result"] for job in finished["jobs"]}, {"success"})

    def test_a_dry_run_shows_the_action_and_calls_nothing_that_needs_credentials(self) -> None:
        self.control.forget_requests()

        shown = self.post(self.label, self.labels[0], "no such label", query="?dry_run=true")

        self.assertEqual(shown.status, 200, shown.body)
        [action] = shown.json()["actions"]
        self.assertEqual(action["hook"], HOOK)
        self.assertEqual(action["labels"], [self.label, self.labels[0]])
        self.assertGreater(action["input_bytes"], len(json.dumps(action["labels"])))
        self.assertEqual(action["also_starts"], [BUILD])
        self.assertEqual([job["state"] for job in shown.json()["jobs"]], ["accepted", "accepted", "rejected"])
        self.assertEqual((self.actions(), self.control.triggers()), ([], []))
        for request in self.control.requests():
            self.assertNotIn("authorization", request["headers"], request)

    def test_unknown_labels_are_rejected_with_the_nearest_one_and_never_reach_taskcluster(self) -> None:
        near = self.label.replace("xpcshell", "xpcshel")

        alone = self.post(near)
        finished = self.comes_to(self.trigger(near, self.labels[0], own_label(PUSH_IDS[-1] + 1)), "finished")

        self.assertEqual((alone.status, alone.json()["code"]), (422, "no_known_jobs"))
        self.assertEqual(self.job(finished, near)["state"], "rejected")
        self.assertIn(self.label, self.job(finished, near)["detail"])
        self.assertEqual([action["input"]["tasks"] for action in self.actions()], [[self.labels[0]]])
