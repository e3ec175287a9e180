"""The data of the local stack between two runs, without the runs."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

from localstack.state import Data


class KeptData(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory())) / "data"
        self.said = self.enterContext(contextlib.redirect_stdout(io.StringIO()))

    def run_once(self, content: str | None, *, fresh: bool = False, is_good: bool = True) -> str | None:
        """Simulate a run, which writes `content` and ends well or not; returns what it found."""
        data = Data(self.folder, fresh)
        state = data.running / "emulator" / "state" / "service.json"
        found = state.read_text() if data.is_reused else None
        state.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            state.write_text(content)
        if is_good:
            data.keep()
        return found

    def test_the_next_run_finds_what_the_last_one_kept(self) -> None:
        self.assertEqual([self.run_once("1"), self.run_once("2"), self.run_once("3")], [None, "1", "2"])
        self.assertEqual(len(list(self.folder.iterdir())), 1)

    def test_the_changes_of_a_killed_run_are_lost_and_that_is_reported(self) -> None:
        self.run_once("1")
        self.run_once("2", is_good=False)

        self.assertEqual(self.run_once("3"), "1")
        self.assertIn("did not end by itself", self.said.getvalue())

    def test_a_fresh_run_finds_nothing_and_deletes_the_kept_data(self) -> None:
        self.run_once("1")
        self.assertIsNone(self.run_once("2", fresh=True, is_good=False))
        self.assertIsNone(self.run_once("3"))

    def test_damaged_data_and_data_of_other_versions_are_not_used(self) -> None:
        for damage in (
            lambda kept: (kept / "emulator/state/service.json").write_text("{"),
            lambda kept: (kept / "made-by").write_text("a later emulator"),
            lambda kept: (kept / "made-by").unlink(),
        ):
            self.run_once("1", fresh=True)
            [kept] = self.folder.glob("kept-*")
            damage(kept)

            self.assertIsNone(self.run_once("2"))
            self.assertIn("starting anew", self.said.getvalue())
            self.said.truncate(0)
