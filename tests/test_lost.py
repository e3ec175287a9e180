"""No request is lost: a short run of `lost.py`."""

import tempfile
import unittest
from pathlib import Path

import lost
from running_stack import Stack, sample


class NothingIsLost(unittest.TestCase):
    def test_requests_are_forwarded_or_have_failed_for_a_reason_whatever_fails_meanwhile(self) -> None:
        done = lost.run(lost.Plan(requests=200, kills=5, stops=2), seed=1)

        self.assertEqual(done.problems, [])
        counted = done.summary
        self.assertEqual((counted["requests"], counted["forwarded"] + counted["failed"]), (200, 200), counted)
        # What was to fail did.
        for what in ("forwarders killed", "broker stopped", "connections cut", "calls throttled", "repeats"):
            self.assertGreater(counted[what], 0, counted)


if __name__ == "__main__":
    unittest.main()
