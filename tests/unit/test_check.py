"""The checks before a deployment: infra/check.py."""

import contextlib
import io
import platform
import re
import sys
import tempfile
import unittest
from pathlib import Path

import pytest

from localstack.paths import ROOT
from tests.support.stack import PROGRAMS

# As programs, its files import each other from their own folder.
sys.path.insert(0, str(ROOT / "infra"))

import check
import elf

FUNCTION = PROGRAMS.function("sweep")
HERE = platform.machine().replace("aarch64", "arm64")
FILLED = {
    "PulseParameter": "/runnable-jobs/pulse",
    "PulseNamespace": "someone",
    "OidcAudience": "client",
    "AlarmEmail": "dev@example.org",
}


class Configurations(unittest.TestCase):
    def test_checked_in_environments_have_settings_to_fill_in(self) -> None:
        for name, to_fill in (
            ("dev", ["PulseNamespace", "PulseParameter"]),
            ("prod", ["AlarmEmail", "OidcAudience", "PulseParameter"]),
        ):
            with self.subTest(name):
                wrong = check.of_deployment(ROOT / "infra" / f"{name}.toml")
                self.assertEqual(sorted(re.findall(r"\.toml: (\w+) is not filled in: ", "\n".join(wrong))), to_fill)
                self.assertEqual(len(wrong), len(to_fill))

    def test_filled_in_environments_match_the_template(self) -> None:
        for path in sorted(ROOT / "infra" / f"{name}.toml" for name in ("dev", "prod")):
            with self.subTest(path.name):
                _, region, given = check.read(path)
                self.assertEqual(check.of_parameters(given | FILLED, check.parameters()), [])
                self.assertEqual(region, "us-east-1")

    def test_production_protects_its_tables_and_cannot_be_destroyed_unchanged(self) -> None:
        [wrong] = check.of_removal(ROOT / "infra" / "prod.toml")
        self.assertIn('set ProtectTables to "false"', wrong)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            self.assertEqual(check.of_removal(ROOT / "infra" / "dev.toml"), [])
        self.assertIn("The archive bucket and the requests table stay", said.getvalue())

    def test_values_that_the_template_refuses_are_found(self) -> None:
        known = check.parameters()
        for name, value, said in (
            ("PulseNamspace", "someone", "PulseNamspace is not a parameter of the template"),
            ("PulseParameter", "pulse", "PulseParameter is wrong: must be the name of one parameter"),
            ("Architecture", "arm", "Architecture is wrong: that is not allowed"),
            ("ForwardConcurrency", "1", "ForwardConcurrency is wrong: "),
            ("ForwardConcurrency", "many", "ForwardConcurrency is wrong: "),
            ("ProtectTables", True, "ProtectTables must be a text in quotation marks"),
        ):
            with self.subTest(name, value=value):
                [wrong] = check.of_parameters(FILLED | {name: value}, known)
                self.assertTrue(wrong.startswith(said), wrong)
                self.assertNotIn(repr(value), wrong)
        without = {name: value for name, value in FILLED.items() if name != "PulseParameter"}
        self.assertEqual(check.of_parameters(without, known), ["PulseParameter is missing"])

    def test_the_forward_function_has_an_execution_beside_those_of_the_queue(self) -> None:
        known = check.parameters()

        [wrong] = check.of_parameters(FILLED | {"ForwardConcurrency": "3"}, known)
        self.assertTrue(wrong.startswith("ForwardReserved is 3, and must be more than ForwardConcurrency"), wrong)
        both = FILLED | {"ForwardConcurrency": "10", "ForwardReserved": "11"}
        self.assertEqual(check.of_parameters(both, known), [])

    def test_a_former_parameter_says_what_replaces_it(self) -> None:
        [wrong] = check.of_parameters(FILLED | {"PulseSecretArn": "arn:aws:secretsmanager:x"}, check.parameters())

        self.assertIn("PulseSecretArn is not a parameter of the template any more", wrong)
        self.assertIn("PulseParameter", wrong)
        self.assertNotIn("arn:aws", wrong)


@pytest.mark.stack
@unittest.skipUnless(sys.platform == "linux", "the programs of other systems are not ELF files")
class Functions(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.built = Path(folder.name)
        self.program = FUNCTION.read_bytes()
        for name in check.functions():
            (self.built / name).mkdir()
            (self.built / name / "bootstrap").symlink_to(FUNCTION)

    def replace(self, content: bytes | None) -> None:
        """Replace the binary of the sweep function, or remove it."""
        path = self.built / "sweep" / "bootstrap"
        path.unlink()
        if content is not None:
            path.write_bytes(content)

    def wrong(self, architecture: str = HERE) -> list[str]:
        """The errors, without the folder."""
        return [line.removeprefix(f"{self.built}/") for line in check.of_functions(architecture, self.built)]

    def test_the_needs_of_a_program_are_read_from_its_file(self) -> None:
        machine, glibc = elf.read(FUNCTION)
        versions = re.findall(rb"\0GLIBC_([\d.]+)(?=\0)", self.program)
        said = [tuple(map(int, version.split(b"."))) for version in versions]

        self.assertEqual(machine, HERE)
        self.assertEqual(glibc, max(said))

    def test_a_function_that_needs_a_newer_glibc_than_lambdas_is_found(self) -> None:
        newest = ".".join(map(str, elf.glibc(self.program)))
        newer = newest[:-1] + "9" if newest != "2.39" else "2.49"
        self.replace(self.program.replace(f"\0GLIBC_{newest}\0".encode(), f"\0GLIBC_{newer}\0".encode()))

        wrong = [line for line in self.wrong() if line.startswith("sweep")]
        self.assertEqual(len(wrong), 1)
        self.assertIn(f"sweep/bootstrap needs glibc {newer}, and Lambda has 2.34: it would never start", wrong[0])

    def test_a_function_for_the_other_processor_is_found(self) -> None:
        other = {"x86_64": "arm64", "arm64": "x86_64"}[HERE]
        [number] = [number for number, name in elf.MACHINES.items() if name == other]
        self.replace(self.program[:18] + number.to_bytes(2, "little") + self.program[20:])

        [wrong] = [line for line in self.wrong() if "is built for" in line]
        self.assertTrue(wrong.startswith(f"sweep/bootstrap is built for {other}, not for {HERE}"), wrong)

    def test_a_missing_file_and_one_that_is_not_a_program_are_found(self) -> None:
        for content, said in ((b"#!/bin/sh\n", "it is not a 64-bit ELF file"), (None, "is not there")):
            self.replace(content)
            [wrong] = [line for line in self.wrong() if line.startswith("sweep")]
            self.assertIn(said, wrong)
            self.assertIn(f"`make build ARCH={HERE}`", wrong)
