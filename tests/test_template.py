"""What the template lets each function do: no more than what is listed here."""

import unittest
from pathlib import Path
from typing import Any

from cfnlint.decode import decode_str

TEMPLATE = Path(__file__).resolve().parent.parent / "infra" / "template.yaml"
Permission = tuple[str, str]


def resources(kind: str) -> dict[str, dict]:
    """The properties of the template's resources of one type, by their names."""
    template, errors = decode_str(TEMPLATE.read_text())
    assert not errors, errors
    return {name: resource["Properties"]
            for name, resource in template["Resources"].items() if resource["Type"] == kind}


def listed(value: Any) -> list:
    """A value that stands for a list of itself alone, as IAM lets it."""
    return value if isinstance(value, list) else [value]


def written(resource: Any) -> str:
    """A resource as the template names it: `Table.Arn`, `${Bucket.Arn}/prefix/*`, or what is written there."""
    match resource:
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Fn::Sub": str(text)}:
            return text
        case _:
            return str(resource)


def permissions(role: dict) -> set[Permission]:
    """Each action that a role is allowed, with the resource that it is allowed on."""
    found = set()
    for policy in role.get("Policies", []):
        for statement in listed(policy["PolicyDocument"]["Statement"]):
            assert statement["Effect"] == "Allow" and not statement.keys() & {"NotAction", "NotResource"}, statement
            found |= {(action, written(resource))
                      for action in listed(statement["Action"]) for resource in listed(statement["Resource"])}
    return found


class Permissions(unittest.TestCase):
    def test_no_role_has_a_wildcard_or_a_policy_that_is_not_written_here(self) -> None:
        for name, role in resources("AWS::IAM::Role").items():
            self.assertNotIn("ManagedPolicyArns", role, name)
            for action, resource in permissions(role):
                with self.subTest(role=name, action=action, resource=resource):
                    self.assertRegex(action, r"^[a-z0-9]+:[A-Za-z]+$")
                    # One resource of this template, or a folder in one of its buckets.
                    self.assertRegex(resource, r"^(\w+\.Arn|\$\{\w+\.Arn\}/[\w/-]+/\*)$")

    def test_each_function_has_its_own_role_and_nothing_that_sam_adds(self) -> None:
        functions = resources("AWS::Serverless::Function")

        for name, function in functions.items():
            self.assertEqual(written(function["Role"]), name.removesuffix("Function") + "Role.Arn")
            self.assertNotIn("Policies", function)
        self.assertEqual(len(functions), len(resources("AWS::IAM::Role")))

    def test_the_jobs_function_reads_the_catalog_and_writes_its_log(self) -> None:
        role = resources("AWS::IAM::Role")["JobsRole"]

        self.assertEqual(permissions(role), {
            ("dynamodb:BatchGetItem", "CatalogTable.Arn"),
            ("dynamodb:GetItem", "CatalogTable.Arn"),
            ("dynamodb:Query", "CatalogTable.Arn"),
            ("logs:CreateLogStream", "JobsLogGroup.Arn"),
            ("logs:PutLogEvents", "JobsLogGroup.Arn"),
        })

    def test_a_function_is_invoked_by_its_own_front_only(self) -> None:
        for name, permission in resources("AWS::Lambda::Permission").items():
            with self.subTest(name):
                self.assertTrue(
                    permission.get("SourceArn") or permission.get("FunctionUrlAuthType") == "NONE"
                    or permission.get("InvokedViaFunctionUrl") is True)
