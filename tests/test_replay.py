"""All recorded requests of 2016 against a catalog of full size: each has an outcome that can be explained.

Both are made from data that does not belong to this repository; where it is not beside the checkout, this is skipped.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from collections import Counter
from pathlib import Path

from running_stack import ROOT, Stack

SHARED = ROOT.parent / "shared"
REQUESTS = SHARED / "data" / "add-new-jobs-2016.jsonl"
MAKE_DUMP = SHARED / "tools" / "make_allthethings.py"
TRIGGER = Path(os.environ.get("TRIGGER_BIN", ROOT / "target/debug/trigger")).absolute()


@unittest.skipUnless(REQUESTS.exists() and MAKE_DUMP.exists(), f"{SHARED} is not there")
class RealRequests(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        dump = folder / "allthethings.json"
        made = subprocess.run([sys.executable, MAKE_DUMP, "--out", dump], capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        cls.stack = Stack(dump)
        cls.addClassCleanup(cls.stack.output.close)
        cls.addClassCleanup(cls.stack.stop)

    def replay(self, *words: str) -> tuple[list[dict], dict]:
        done = subprocess.run(
            [TRIGGER, "replay", REQUESTS, "--json", *words], env=self.stack.env, capture_output=True, text=True,
            check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        *replayed, summary = map(json.loads, done.stdout.splitlines())
        return replayed, summary

    def test_each_is_taken_or_refused_for_a_reason(self) -> None:
        requests = [json.loads(line) for line in REQUESTS.read_text().splitlines()]

        replayed, summary = self.replay()

        self.assertEqual(len(replayed), len(requests))
        names = 0
        for request, outcome in zip(requests, replayed, strict=True):
            with self.subTest(line=outcome["line"]):
                self.assertIn(outcome["outcome"], ("accepted", "accepted in part", "repeated", "no_known_jobs"))
                asked = outcome["known"] + outcome["renamed"] + outcome["unknown"] + outcome["repeated"]
                self.assertEqual(asked, len(request["buildernames"]))
                names += asked
        counted = summary["known"] + summary["renamed"] + summary["unknown"] + summary["repeated"]
        self.assertEqual(counted, names)
        self.assertEqual(summary["requests"], len(requests))
        # Most names are as they were; of the others nearly each is near to one that is.
        self.assertGreater(summary["known"], 0.8 * names)
        self.assertGreater(summary["with_closest"], 0.95 * summary["unknown"])

    def test_each_can_be_made_again_within_the_limits(self) -> None:
        replayed, _ = self.replay("--submit")

        outcomes = Counter(outcome["outcome"] for outcome in replayed)
        self.assertLessEqual(
            set(outcomes), {"queued", "queued in part", "repeated", "no_known_jobs", "too_many_requests"}, outcomes)
        made = {outcome["request_id"] for outcome in replayed if outcome["outcome"].startswith("queued")}
        self.assertEqual(len(made), outcomes["queued"] + outcomes["queued in part"])
        queue = self.stack.client("sqs").get_queue_attributes(
            QueueUrl=self.stack.env["QUEUE_URL"], AttributeNames=["ApproximateNumberOfMessages"])
        self.assertEqual(int(queue["Attributes"]["ApproximateNumberOfMessages"]), len(made))


if __name__ == "__main__":
    unittest.main()
