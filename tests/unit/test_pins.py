"""Packages from PyPI are pinned: the version of each, and the hash of each of its files."""

import re
import unittest
from pathlib import Path

from localstack.paths import ROOT

FOLDERS = ("infra", "localstack", "tests/e2e")


def requirements(path: Path) -> list[str]:
    """A file's requirements, with their options."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def name_of(requirement: str) -> str:
    """The package and the version of a requirement, without extras and options."""
    return re.sub(r"\[.*?\]", "", re.split(r"[\s;]", requirement)[0]).lower().replace("_", "-")


class Pins(unittest.TestCase):
    def setUp(self) -> None:
        self.wanted = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.in"))

    def test_each_requirement_has_one_version_and_the_hashes_of_its_files(self) -> None:
        pinned = [path for folder in FOLDERS for path in (ROOT / folder).glob("*.txt")]
        self.assertCountEqual(pinned, [path.with_suffix(".txt") for path in self.wanted])
        self.assertEqual(len(pinned), 4)

        for path in pinned:
            for requirement in requirements(path):
                self.assertRegex(requirement, r"^[A-Za-z0-9._-]+==[\w.]+( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+$")

    def test_every_required_package_is_pinned_at_its_required_version(self) -> None:
        for path in self.wanted:
            pinned = {name_of(requirement) for requirement in requirements(path.with_suffix(".txt"))}
            for requirement in requirements(path):
                with self.subTest(path.name, requirement=requirement):
                    self.assertIn(name_of(requirement), pinned)

    def test_no_package_index_is_pinned(self) -> None:
        for path in self.wanted:
            for file in (path, path.with_suffix(".txt")):
                self.assertNotRegex(file.read_text(), r"https?://|--(extra-)?index-url|--find-links")

    def test_packages_are_installed_only_with_their_hashes(self) -> None:
        self.assertIn('"--require-hashes"', (ROOT / "localstack" / "environment.py").read_text())
