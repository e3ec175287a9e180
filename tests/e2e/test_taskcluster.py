"""Taskcluster's jobs in a whole stack: in the projects' lists, in the lists of pushes, and in requests."""

import json
import tempfile
import unittest
from pathlib import Path
from typing import Any

import pytest

from localstack.fakes.pushes import decision_task_id, revision_of
from localstack.fakes.taskcluster import RUNNABLE_JOBS, Control, own_label
from localstack.fakes.treeherder import PUSH_IDS
from tests.support.stack import TIMEOUT_SECONDS, Answer, Stack, sample, until

ME = "someone@mozilla.com"
PROJECT = "try"
LIST = f"/api/project/{PROJECT}/runnable_jobs/"
# The latest decision task is that of the newest push.
NEWEST, OLDER, SECRET, FAILING, TRIGGERED = PUSH_IDS[-1], PUSH_IDS[1], PUSH_IDS[2], PUSH_IDS[3], PUSH_IDS[4]
TASKCLUSTER = "taskcluster"


@pytest.mark.xdist_group("taskcluster")
class Taskcluster(unittest.TestCase):
    stack: Stack
    control: Control

    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.stack = Stack(sample(folder), "--no-listener", name=TASKCLUSTER, forwards=True)
        cls.addClassCleanup(cls.stack.stop)
        cls.control = cls.stack.taskcluster()

    def get(self, query: str) -> Answer:
        return self.stack.ask("GET", f"{LIST}?{query}")

    def of_push(self, push: int, more: str = "") -> list[dict]:
        """The list of a push."""
        answer = self.get(f"decision_task_id={decision_task_id(PROJECT, push)}{more}")
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()["results"]

    def problem(self, query: str, status: int, code: str) -> dict[str, Any]:
        answer = self.get(query)
        self.assertEqual((answer.status, answer.json()["code"]), (status, code), answer.body)
        return answer.json()

    def test_a_projects_list_has_the_jobs_of_both_build_systems_after_the_first_ingests(self) -> None:
        jobs = self.stack.jobs(PROJECT)

        systems = {
            system: [job for job in jobs if job["build_system_type"] == system] for system in ("buildbot", TASKCLUSTER)
        }
        self.assertEqual(len(jobs), sum(map(len, systems.values())))
        self.assertGreater(len(systems["buildbot"]), 100)
        self.assertGreater(len(systems[TASKCLUSTER]), 300)
        names = [job["ref_data_name"] for job in jobs]
        self.assertEqual(names, sorted(names))
        self.assertIn(own_label(NEWEST), names)
        # The full graph has tiers and builds.
        tests = [job for job in systems[TASKCLUSTER] if job["ref_data_name"].startswith("test-")]
        self.assertEqual({job["tier"] for job in tests} - {1, 2, 3}, set())
        self.assertTrue(all(job["upstream"] in names for job in tests))

    def test_a_push_has_the_labels_of_its_own_graph(self) -> None:
        for query in (
            f"decision_task_id={decision_task_id(PROJECT, OLDER)}",
            f"revision={revision_of(PROJECT, OLDER)}",
        ):
            names = {job["ref_data_name"] for job in self.get(query).json()["results"]}
            self.assertIn(own_label(OLDER), names)
            self.assertNotIn(own_label(NEWEST), names)
        buildbot = [job for job in self.of_push(OLDER) if job["build_system_type"] == "buildbot"]
        self.assertEqual(buildbot, [job for job in self.stack.jobs(PROJECT) if job["build_system_type"] == "buildbot"])

    def test_tier_and_build_of_a_pushs_labels_come_from_the_latest_graph(self) -> None:
        latest = {job["ref_data_name"]: job for job in self.stack.jobs(PROJECT)}
        of_push = [job for job in self.of_push(OLDER) if job["build_system_type"] == TASKCLUSTER]

        known = [job for job in of_push if job["ref_data_name"] in latest]
        self.assertGreater(len(known), 300)
        for job in known:
            self.assertEqual(job, latest[job["ref_data_name"]] | {"upstream": job["upstream"]})
        self.assertTrue(any(job["upstream"] for job in known))

    def test_a_pushs_graph_is_fetched_once_and_without_credentials(self) -> None:
        task = decision_task_id(PROJECT, SECRET)
        for _ in range(3):
            self.of_push(SECRET)

        fetched = [request for request in self.control.requests("artifacts") if task in request["path"]]
        self.assertEqual(len(fetched), 1, fetched)
        for request in self.control.requests():
            sent = {name.lower() for name in request["headers"]}
            self.assertFalse(sent & {"authorization", "cookie", "proxy-authorization"}, request)

    def test_a_label_is_found_by_its_parts_in_any_order(self) -> None:
        found = {job["ref_data_name"] for job in self.of_push(OLDER, "&search=xpcshell+opt+added+linux2404")}

        self.assertEqual(found, {own_label(OLDER)})

    def test_a_decision_task_that_cannot_be_used_says_why(self) -> None:
        task = decision_task_id(PROJECT, FAILING)
        self.addCleanup(self.control.reset)
        query = f"decision_task_id={task}"
        self.control.set_state(task, "running", artifacts=False)
        running = self.get(query)
        self.assertEqual((running.status, running.headers["Retry-After"]), (503, "15"), running.body)
        self.control.set_state(task, "failed", artifacts=False)
        until(lambda: self.get(query).status == 404)
        self.assertIn("failed", self.problem(query, 404, "no_push_list")["detail"])
        self.problem(f"decision_task_id={decision_task_id('autoland', FAILING)}", 404, "no_push_list")
        self.problem(f"revision={'f' * 40}", 404, "no_push_list")
        self.problem("decision_task_id=not-a-task", 400, "bad_parameter")
        for push, kind, status in ((PUSH_IDS[5], "redirect_loop", 502), (PUSH_IDS[6], "bomb", 502)):
            broken = decision_task_id(PROJECT, push)
            self.control.set_fault(broken, RUNNABLE_JOBS, kind)
            self.problem(f"decision_task_id={broken}", status, "push_list_unusable")

    def test_of_a_request_with_a_label_and_a_builder_only_the_builder_reaches_pulse(self) -> None:
        task = decision_task_id(PROJECT, TRIGGERED)
        label, builder = own_label(TRIGGERED), self.stack.builds(PROJECT)[0]
        authorization = f"Bearer {self.stack.token('--email', ME)}"
        with self.stack.listening(self._testMethodName) as heard:
            answer = self.stack.ask(
                "POST",
                f"/api/project/{PROJECT}/push/{TRIGGERED}/trigger_runnable_jobs/",
                json.dumps({"requested_jobs": [label, builder, own_label(NEWEST)], "decision_task_id": task}).encode(),
                "TRIGGER_BASE_URL",
                Content_Type="application/json",
                Authorization=authorization,
            )
            self.assertEqual(answer.status, 202, answer.body)
            body = heard.get(timeout=TIMEOUT_SECONDS)["body"]

        states = {job["name"]: job["state"] for job in answer.json()["jobs"]}
        self.assertEqual(states, {label: "accepted", builder: "accepted", own_label(NEWEST): "rejected"})
        self.assertEqual((body["decision_task_id"], body["requested_jobs"]), (task, [builder]))

    def test_an_ingest_of_taskcluster_that_fails_leaves_the_list_as_it_was(self) -> None:
        before = self.stack.ask("GET", LIST)
        self.control.set_api_fault("/api/index/", "unavailable")
        self.addCleanup(self.control.reset)

        failed = self.stack.client("lambda").invoke(
            FunctionName=self.stack.env["ETL_FUNCTION"], Payload=json.dumps({"build_system": TASKCLUSTER}).encode()
        )

        self.assertIn("FunctionError", failed)
        self.assertEqual(self.stack.ask("GET", LIST).body, before.body)
        report = self.stack.ask("GET", "/api/ingests/").json()["ingests"][0]
        self.assertEqual((report["build_system"], report["outcome"]), (TASKCLUSTER, "failed"))
