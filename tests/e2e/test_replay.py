"""All recorded requests of 2016 against a full-size catalog, from the command line to a listener on Pulse: each has an
outcome that can be explained.

The requests and the catalog come from data that is not in this repository, in the folder RECORDED_DATA or beside the
checkout. Without it, these tests are skipped.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from collections import Counter
from pathlib import Path

import pytest

from localstack.fakes.treeherder import Control
from localstack.paths import ROOT
from tests.support.stack import PROGRAMS, Stack, until
from tests.support.trigger_api import TriggerApi

SHARED = Path(os.environ.get("RECORDED_DATA", ROOT.parent / "shared"))
REQUESTS = SHARED / "data" / "add-new-jobs-2016.jsonl"
MAKE_DUMP = SHARED / "tools" / "make_allthethings.py"
# The requests of days are replayed within minutes.
NO_LIMITS = {"requests_per_minute": 1_000_000, "jobs_per_hour": 1_000_000_000}
# Within these times all requests are forwarded, and then heard.
FORWARD_SECONDS, HEAR_SECONDS = 300, 30


@pytest.mark.xdist_group("replay")
@unittest.skipUnless(REQUESTS.exists() and MAKE_DUMP.exists(), f"{SHARED} is not there")
class RealRequests(unittest.TestCase):
    stack: Stack

    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        dump = folder / "allthethings.json"
        made = subprocess.run([sys.executable, MAKE_DUMP, "--out", dump], capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        cls.stack = Stack(dump, "--no-listener", name="replay", forwards=True)
        cls.addClassCleanup(cls.stack.stop)

    def replay(self, *words: str) -> tuple[list[dict], dict]:
        done = subprocess.run(
            PROGRAMS.requests("replay", str(REQUESTS), "--json", *words),
            env=self.stack.env | {"RUNNABLE_JOBS_TRIGGER_LIMITS": json.dumps(NO_LIMITS)},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        *replayed, summary = map(json.loads, done.stdout.splitlines())
        return replayed, summary

    def test_every_recorded_request_is_accepted_or_refused_with_a_reason(self) -> None:
        requests = [json.loads(line) for line in REQUESTS.read_text().splitlines()]

        replayed, summary = self.replay()

        self.assertEqual(len(replayed), len(requests))
        names = 0
        for request, outcome in zip(requests, replayed, strict=True):
            line = f"line {outcome['line']}"
            self.assertIn(outcome["outcome"], ("accepted", "accepted in part", "repeated", "no_known_jobs"), line)
            asked = sum(outcome[what] for what in ("known", "renamed", "corrected", "unknown", "repeated"))
            self.assertEqual(asked, len(request["buildernames"]), line)
            names += asked
        counted = sum(summary[what] for what in ("known", "renamed", "corrected", "unknown", "repeated"))
        self.assertEqual(counted, names)
        self.assertEqual(summary["requests"], len(requests))
        # Most names exist unchanged; nearly every other is close to one that exists.
        self.assertGreater(summary["known"], 0.8 * names)
        self.assertGreater(summary["with_closest"], 0.95 * summary["unknown"])

    def test_every_accepted_request_reaches_a_listener_completely_and_once(self) -> None:
        requests = [json.loads(line) for line in REQUESTS.read_text().splitlines()]
        self.let_builds_be_there({(request["project"], request["resultset_id"]) for request in requests})
        heard: list[dict] = []
        self.enterContext(self.stack.listening_with("replay", heard.append))

        replayed, _ = self.replay("--submit")

        outcomes = Counter(outcome["outcome"] for outcome in replayed)
        self.assertLessEqual(set(outcomes), {"queued", "queued in part", "repeated", "no_known_jobs"}, outcomes)
        made = {
            outcome["request_id"]: requests[outcome["line"] - 1]
            for outcome in replayed
            if outcome["outcome"].startswith("queued")
        }
        self.assertEqual(len(made), outcomes["queued"] + outcomes["queued in part"])
        until(lambda: self.stack.queue_counts() == (0, 0), FORWARD_SECONDS)
        api = TriggerApi(self.stack, self.stack.run / "replay-trigger.log")
        self.addCleanup(api.stop)
        forwarded: set[tuple[str, ...]] = set()
        for name, request in made.items():
            found = api.find(request["project"], name)
            self.assertEqual(found["state"], "forwarded", found)
            self.assertLessEqual({job["state"] for job in found["jobs"]}, {"forwarded", "rejected"}, found)
            of = (name, request["project"], request["resultset_id"], request["requester"])
            forwarded |= {(*of, job["name"]) for job in found["jobs"] if job["state"] == "forwarded"}
        self.assertEqual(self.all_heard(heard, len(forwarded)), Counter(forwarded))
        self.summarize(outcomes, forwarded, heard)

    def let_builds_be_there(self, pushes: set[tuple[str, str]]) -> None:
        """Make all builds on these pushes succeed in the fake Treeherder."""
        treeherder = Control(self.stack.env["TREEHERDER_URL"])
        for project in {project for project, _ in pushes}:
            jobs = self.stack.ask("GET", f"/api/project/{project}/runnable_jobs/").json()["results"]
            builds = sorted({job["upstream"] for job in jobs if job["upstream"]})
            for push in (push for of, push in pushes if of == project):
                treeherder.set_jobs(project, int(push), [{"ref_data_name": build} for build in builds])

    def all_heard(self, heard: list[dict], count: int) -> Counter:
        """How often each job was heard, with its request, push and requester; waits until at least `count` were."""
        deadline = time.monotonic() + HEAR_SECONDS
        while True:
            bodies = [(message["message_id"].split(".")[0], message["body"]) for message in list(heard)]
            jobs = Counter(
                (name, body["project"], body["resultset_id"], body["requester"], job)
                for name, body in bodies
                for job in body["requested_jobs"]
            )
            if jobs.total() >= count or time.monotonic() > deadline:
                return jobs
            time.sleep(0.5)

    def summarize(self, outcomes: Counter, forwarded: set[tuple[str, ...]], heard: list[dict]) -> None:
        """Print the outcomes of all requests."""
        [(largest, most)] = Counter(name for name, *_ in forwarded).most_common(1)
        of_largest = sum(message["message_id"].startswith(f"{largest}.") for message in heard)
        print(
            f"\n{outcomes.total()} recorded requests: {outcomes['queued']} accepted, {outcomes['queued in part']} in"
            f" part, {outcomes['repeated']} repeated, {outcomes['no_known_jobs']} refused; {len(forwarded)} jobs"
            f" forwarded in {len(heard)} messages; the largest request has {most} in {of_largest}."
        )
