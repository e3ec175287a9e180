"""The parameters with which the local stack deploys the template."""

import argparse
import contextlib
import json
import tempfile
import unittest
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

from localstack import commands

LISTS, TRIGGER = "http://127.0.0.1:4566/lists", "http://127.0.0.1:4566/trigger"
PARAMETERS = "Parameters:\n  Source:\n  TreeherderUrl:\n"


class Deployed:
    """In place of a deployment: it keeps the parameters. The stack exists already with the outputs `before`."""

    def __init__(self, before: Mapping[str, str]) -> None:
        self.outputs = dict(before)
        self.deployments: list[dict[str, str]] = []

    def __call__(self, *_: object) -> "Deployed":
        return self

    def package(self, binaries: object) -> None:
        pass

    def keep_parameter(self, name: str, value: str) -> str:
        return name

    def upload(self, source: Path) -> str:
        return "s3://bucket/source"

    def save_function_logs(self) -> None:
        pass

    def deploy(self, parameters: dict[str, str]) -> None:
        self.deployments.append(parameters)
        self.outputs = {"BaseUrl": LISTS, "TriggerBaseUrl": TRIGGER}

    def url(self, output: str) -> str:
        return self.outputs[output]


class Parameters(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(mock.patch.object(commands.signing, "KEY", self.folder / "key"))
        self.enterContext(contextlib.redirect_stdout(None))

    def deploy(
        self, front: str, template: str, source: Path | str = "s3://bucket/source", **before: str
    ) -> list[dict[str, str]]:
        """Deploy a template with these parameters; returns those of each deployment."""
        (self.folder / "template.yaml").write_text(PARAMETERS + template)
        deployed = Deployed(before)
        here = mock.Mock(
            passwords={commands.PUBLISHER: "secret"},
            taskcluster_client={},
            scratch=self.folder,
            logs=(self.folder / "log",),
            parameters={"TreeherderUrl": "http://treeherder", "TaskclusterUrl": "http://taskcluster"},
        )
        options = argparse.Namespace(
            source=source, http_front=front, docker=False, planning="", schedule="0 6 * * ? *", function=[]
        )
        provider = mock.Mock(issuer="http://127.0.0.1:9400", keys='{"keys": [{"kid": "theirs"}]}')
        with (
            mock.patch.object(commands, "Deployment", deployed),
            mock.patch.object(commands, "TEMPLATE", self.folder / "template.yaml"),
            contextlib.ExitStack() as ends,
        ):
            commands._deploy(ends, options, mock.Mock(), here, provider)
        return deployed.deployments

    def test_services_that_the_template_does_not_know_are_left_out(self) -> None:
        [parameters] = self.deploy("HttpApi", "")

        self.assertEqual(parameters["TreeherderUrl"], "http://treeherder")
        self.assertNotIn("TaskclusterUrl", parameters)
        self.assertNotIn("TriggerPublicUrl", self.deploy("FunctionUrl", "")[-1])

    def test_the_functions_trust_the_keys_of_the_provider_and_the_stacks_own(self) -> None:
        [parameters] = self.deploy("HttpApi", "")

        self.assertEqual(parameters["OidcIssuer"], "http://127.0.0.1:9400")
        keys = json.loads(parameters["OidcKeys"])["keys"]
        self.assertEqual([key["kid"] == "theirs" for key in keys], [True, False])
        self.assertNotIn("d", keys[1], "the private half of a key")

    def test_with_function_urls_the_page_learns_the_address_of_the_trigger_function(self) -> None:
        template = "  TriggerPublicUrl:\n"
        there = {"BaseUrl": LISTS, "TriggerBaseUrl": TRIGGER}
        urls = lambda deployments: [each.get("TriggerPublicUrl") for each in deployments]

        self.assertEqual(urls(self.deploy("FunctionUrl", template)), [None, TRIGGER])
        # The stack exists before the source is uploaded, and so does the address.
        self.assertEqual(urls(self.deploy("FunctionUrl", template, self.folder / "source")), [None, TRIGGER])
        self.assertEqual(urls(self.deploy("FunctionUrl", template, **there)), [TRIGGER])
        # The last run had another front.
        there["TriggerBaseUrl"] = LISTS
        self.assertEqual(urls(self.deploy("FunctionUrl", template, **there)), [LISTS, TRIGGER])
        self.assertEqual(urls(self.deploy("HttpApi", template)), [None])
