"""What the template lets each function do: no more than what is listed here."""

import re
import unittest
from pathlib import Path
from typing import Any

from cfnlint.decode import decode_str

TEMPLATE = Path(__file__).resolve().parent.parent / "infra" / "template.yaml"
Permission = tuple[str, str]


def section(name: str) -> dict[str, dict]:
    """One of the template's sections."""
    template, errors = decode_str(TEMPLATE.read_text())
    assert not errors, errors
    return template[name]


def parameters() -> dict[str, dict]:
    """The template's parameters, by their names."""
    return section("Parameters")


def resources(kind: str) -> dict[str, dict]:
    """The properties of the template's resources of one type, by their names."""
    return {name: resource["Properties"]
            for name, resource in section("Resources").items() if resource["Type"] == kind}


def listed(value: Any) -> list:
    """A value that stands for a list of itself alone, as IAM lets it."""
    return value if isinstance(value, list) else [value]


def written(resource: Any) -> str:
    """A resource as the template names it: `Table.Arn`, `${Bucket.Arn}/prefix/*`, `Parameter`, or what is written."""
    match resource:
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Fn::Sub": str(text)}:
            return text
        case {"Ref": str(name)}:
            return name
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
                    if action == "secretsmanager:GetSecretValue":
                        # The one thing that is not of this template: who deploys it names it, without a wildcard.
                        self.assertEqual(resource, "PulseSecretArn")
                        continue
                    # One resource of this template, a folder in one of its buckets, or an index of one of its tables.
                    self.assertRegex(
                        resource, r"^(\w+\.Arn|\$\{\w+Bucket\.Arn\}/[\w/-]+/\*|\$\{\w+Table\.Arn\}/index/\w+)$")

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

    def test_the_trigger_function_looks_jobs_up_keeps_and_queues_requests_and_writes_its_log(self) -> None:
        role = resources("AWS::IAM::Role")["TriggerRole"]

        self.assertEqual(permissions(role), {
            ("dynamodb:BatchGetItem", "CatalogTable.Arn"),
            ("dynamodb:GetItem", "CatalogTable.Arn"),
            ("dynamodb:BatchGetItem", "RequestsTable.Arn"),
            ("dynamodb:DeleteItem", "RequestsTable.Arn"),
            ("dynamodb:GetItem", "RequestsTable.Arn"),
            ("dynamodb:PutItem", "RequestsTable.Arn"),
            ("dynamodb:UpdateItem", "RequestsTable.Arn"),
            ("dynamodb:Query", "${RequestsTable.Arn}/index/by_push"),
            ("dynamodb:Query", "${RequestsTable.Arn}/index/by_requester"),
            ("sqs:SendMessage", "RequestsQueue.Arn"),
            ("logs:CreateLogStream", "TriggerLogGroup.Arn"),
            ("logs:PutLogEvents", "TriggerLogGroup.Arn"),
        })

    def test_the_sweep_function_finds_and_queues_open_requests_and_writes_its_log(self) -> None:
        role = resources("AWS::IAM::Role")["SweepRole"]

        self.assertEqual(permissions(role), {
            ("dynamodb:Query", "${RequestsTable.Arn}/index/open"),
            ("dynamodb:BatchGetItem", "RequestsTable.Arn"),
            ("dynamodb:GetItem", "RequestsTable.Arn"),
            ("dynamodb:PutItem", "RequestsTable.Arn"),
            ("sqs:SendMessage", "RequestsQueue.Arn"),
            ("logs:CreateLogStream", "SweepLogGroup.Arn"),
            ("logs:PutLogEvents", "SweepLogGroup.Arn"),
        })

    def test_the_forward_function_takes_from_the_queue_notes_signs_in_to_pulse_and_writes_its_log(self) -> None:
        role = resources("AWS::IAM::Role")["ForwardRole"]

        self.assertEqual(permissions(role), {
            ("sqs:DeleteMessage", "RequestsQueue.Arn"),
            ("sqs:GetQueueAttributes", "RequestsQueue.Arn"),
            ("sqs:ReceiveMessage", "RequestsQueue.Arn"),
            ("dynamodb:GetItem", "RequestsTable.Arn"),
            ("dynamodb:PutItem", "RequestsTable.Arn"),
            ("secretsmanager:GetSecretValue", "PulseSecretArn"),
            ("logs:CreateLogStream", "ForwardLogGroup.Arn"),
            ("logs:PutLogEvents", "ForwardLogGroup.Arn"),
        })

    def test_the_secret_is_one_that_is_named_whole(self) -> None:
        allowed = parameters()["PulseSecretArn"]["AllowedPattern"]
        whole = "arn:aws:secretsmanager:us-east-1:123456789012:secret:runnable-jobs/pulse-AbCdEf"

        self.assertRegex(whole, allowed)
        for wrong in ("", "*", "runnable-jobs/pulse", f"{whole}*", whole.replace("AbCdEf", "??????")):
            self.assertNotRegex(wrong, allowed)

    def test_what_the_forward_function_reports_as_failed_stays_in_the_queue_for_longer_than_it_may_take(self) -> None:
        [mapping] = resources("AWS::Lambda::EventSourceMapping").values()
        function = resources("AWS::Serverless::Function")["ForwardFunction"]
        queue = resources("AWS::SQS::Queue")["RequestsQueue"]

        self.assertEqual(written(mapping["EventSourceArn"]), "RequestsQueue.Arn")
        self.assertEqual(written(mapping["FunctionName"]), "ForwardFunction")
        self.assertEqual(mapping["FunctionResponseTypes"], ["ReportBatchItemFailures"])
        self.assertGreaterEqual(queue["VisibilityTimeout"], 6 * function["Timeout"])

    def test_the_http_api_may_invoke_a_function_for_each_of_its_routes_and_for_nothing_else(self) -> None:
        api = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${HttpApi}/"
        integrations = resources("AWS::ApiGatewayV2::Integration")
        wanted = set()
        for route in resources("AWS::ApiGatewayV2::Route").values():
            integration = re.fullmatch(r"integrations/\$\{(\w+)\}", written(route["Target"]))[1]
            function = written(integrations[integration]["IntegrationUri"]).removesuffix(".Arn")
            # Any stage, any method, and the path with an asterisk for each variable; $default has neither.
            source = re.sub(r"\{.*?\}", "*", route["RouteKey"].replace("ANY ", "*"))
            wanted.add((function, f"{api}*/{source}"))

        given = {(permission["FunctionName"]["Ref"], written(permission["SourceArn"]))
                 for permission in resources("AWS::Lambda::Permission").values() if "SourceArn" in permission}
        self.assertEqual(given, wanted)

    def test_a_function_url_is_public_for_each_function_that_answers_http(self) -> None:
        urls = {written(url["TargetFunctionArn"]).removesuffix(".Arn")
                for url in resources("AWS::Lambda::Url").values()}
        permitted = [(permission["FunctionName"]["Ref"], permission["Action"])
                     for permission in resources("AWS::Lambda::Permission").values() if permission["Principal"] == "*"]

        self.assertEqual(urls, {"JobsFunction", "TriggerFunction"})
        self.assertCountEqual(permitted, [
            (name, action) for name in urls for action in ("lambda:InvokeFunction", "lambda:InvokeFunctionUrl")])

    def test_a_function_is_invoked_by_its_own_front_only(self) -> None:
        for name, permission in resources("AWS::Lambda::Permission").items():
            with self.subTest(name):
                self.assertTrue(
                    permission.get("SourceArn") or permission.get("FunctionUrlAuthType") == "NONE"
                    or permission.get("InvokedViaFunctionUrl") is True)
