"""The template: the permissions of each function, which are no more than listed here, its settings and its alarms."""

import functools
import json
import re
import unittest
from typing import Any

from cfnlint.decode import decode_str

from localstack.paths import ROOT
from localstack.programs import FUNCTIONS
from tools.cost import day

TEMPLATE = ROOT / "infra" / "template.yaml"
OPERATIONS = ROOT / "docs" / "operations.md"
# CloudWatch looks back for a week, and for a day where periods are shorter than an hour.
HOUR, DAY, WEEK = 3600, 86400, 604800
Permission = tuple[str, str]

# The only resources outside this template, which the deployment names.
PARAMETER = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter"
PULSE_PARAMETER, TASKCLUSTER_PARAMETER = PARAMETER + "${PulseParameter}", PARAMETER + "${TaskclusterParameter}"
# The actions of each function's code, and of Lambda on its behalf, by resource. A new one needs a reason in its review.
PERMISSIONS = {
    # Reads the current catalog, publishes another, archives the dump.
    "Etl": {
        "CatalogTable.Arn": "dynamodb: BatchGetItem BatchWriteItem DeleteItem GetItem PutItem Query UpdateItem",
        "${ArchiveBucket.Arn}/sources/*": "s3: GetObject",
        "${ArchiveBucket.Arn}/allthethings/*": "s3: GetObject PutObject",
        "ArchiveBucket.Arn": "s3: ListBucket",
    },
    # Reads the catalog, and keeps the lists of pushes in it.
    "Jobs": {
        "CatalogTable.Arn": "dynamodb: BatchGetItem BatchWriteItem GetItem PutItem Query",
    },
    # Looks up jobs, keeps the lists of pushes, stores and queues requests.
    "Trigger": {
        "CatalogTable.Arn": "dynamodb: BatchGetItem BatchWriteItem GetItem PutItem",
        "RequestsTable.Arn": "dynamodb: BatchGetItem DeleteItem GetItem PutItem UpdateItem",
        "${RequestsTable.Arn}/index/by_push": "dynamodb: Query",
        "${RequestsTable.Arn}/index/by_requester": "dynamodb: Query",
        "RequestsQueue.Arn": "sqs: SendMessage",
    },
    # Finds open requests and queues them, releases pushes, and counts the dead letters.
    "Sweep": {
        "${RequestsTable.Arn}/index/open": "dynamodb: Query",
        "RequestsTable.Arn": "dynamodb: BatchGetItem DeleteItem GetItem PutItem UpdateItem",
        "RequestsQueue.Arn": "sqs: SendMessage",
        "RequestsDeadLetters.Arn": "sqs: GetQueueAttributes",
    },
    # Receives from the queue, signs in to Pulse and Taskcluster, locks and releases pushes, finds followed requests,
    # records the outcome of requests.
    "Forward": {
        "RequestsQueue.Arn": "sqs: DeleteMessage GetQueueAttributes ReceiveMessage",
        "${RequestsTable.Arn}/index/open": "dynamodb: Query",
        "RequestsTable.Arn": "dynamodb: BatchGetItem DeleteItem GetItem PutItem UpdateItem",
        PULSE_PARAMETER: "ssm: GetParameter",
        TASKCLUSTER_PARAMETER: "ssm: GetParameter",
    },
}


# The metrics, variables and limits of the programs. A test of the command line keeps the file current; insta puts a
# head before the JSON.
FACTS = json.loads((ROOT / "tests" / "data" / "facts.snap").read_text().rpartition("---\n")[2])


@functools.cache
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
    return {name: resource["Properties"] for name, resource in section("Resources").items() if resource["Type"] == kind}


def listed(value: Any) -> list:
    """A list, or a single value as a list of one, as IAM allows it."""
    return value if isinstance(value, list) else [value]


def written(resource: Any) -> str:
    """A resource as the template names it: `Table.Arn`, `${Bucket.Arn}/prefix/*`, `Parameter`, or a literal."""
    match resource:
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Fn::Sub": str(text)}:
            return text
        case {"Ref": str(name)}:
            return name
        case _:
            return str(resource)


def statements(role: dict) -> list[dict]:
    """The statements of a role's policies, including those that depend on a parameter."""
    found = []
    for policy in role.get("Policies", []):
        for statement in listed(policy["PolicyDocument"]["Statement"]):
            match statement:
                case {"Fn::If": [_, permitted, {"Ref": "AWS::NoValue"}]}:
                    found.append(permitted)
                case _:
                    found.append(statement)
    return found


def permissions(role: dict) -> set[Permission]:
    """Each action that a role allows, with its resource."""
    found = set()
    for statement in statements(role):
        assert statement["Effect"] == "Allow", statement
        assert not statement.keys() & {"NotAction", "NotResource"}, statement
        found |= {
            (action, written(resource))
            for action in listed(statement["Action"])
            for resource in listed(statement["Resource"])
        }
    return found


def deletes(statement: dict) -> bool:
    """Whether a statement allows that items are deleted."""
    return "dynamodb:DeleteItem" in listed(statement["Action"])


class Permissions(unittest.TestCase):
    def test_no_role_has_a_wildcard_or_a_policy_that_is_not_written_here(self) -> None:
        for name, role in resources("AWS::IAM::Role").items():
            self.assertNotIn("ManagedPolicyArns", role, name)
            for action, resource in permissions(role):
                with self.subTest(role=name, action=action, resource=resource):
                    self.assertRegex(action, r"^[a-z0-9]+:[A-Za-z]+$")
                    if action == "ssm:GetParameter":
                        self.assertIn(resource, (PULSE_PARAMETER, TASKCLUSTER_PARAMETER))
                        continue
                    # One resource of this template, a folder in one of its buckets, or an index of one of its tables.
                    self.assertRegex(
                        resource, r"^(\w+\.Arn|\$\{\w+Bucket\.Arn\}/[\w/-]+/\*|\$\{\w+Table\.Arn\}/index/\w+)$"
                    )

    def test_each_function_has_its_own_role_and_nothing_that_sam_adds(self) -> None:
        functions = resources("AWS::Serverless::Function")

        for name, function in functions.items():
            self.assertEqual(written(function["Role"]), name.removesuffix("Function") + "Role.Arn")
            self.assertNotIn("Policies", function)
        self.assertEqual(len(functions), len(resources("AWS::IAM::Role")))

    def test_each_function_may_do_what_it_needs_and_write_its_own_log(self) -> None:
        roles = resources("AWS::IAM::Role")
        self.assertEqual(roles.keys(), {f"{name}Role" for name in PERMISSIONS})

        for name, wanted in PERMISSIONS.items():
            wanted = wanted | {f"{name}LogGroup.Arn": "logs: CreateLogStream PutLogEvents"}
            with self.subTest(name):
                self.assertEqual(
                    permissions(roles[f"{name}Role"]),
                    {
                        (f"{service}:{action}", resource)
                        for resource, actions in wanted.items()
                        for service, _, names in [actions.partition(": ")]
                        for action in names.split()
                    },
                )

    def test_only_the_etl_function_may_write_more_of_the_catalog_than_lists_of_pushes(self) -> None:
        only_pushes = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["graph#*"]}}
        writing = re.compile(r"dynamodb:(?!(BatchGetItem|GetItem|Query)$)")
        conditions = {
            name: [
                statement.get("Condition")
                for statement in statements(role)
                if "CatalogTable.Arn" in map(written, listed(statement["Resource"]))
                if any(map(writing.match, listed(statement["Action"])))
            ]
            for name, role in resources("AWS::IAM::Role").items()
        }

        self.assertEqual(
            {name: found for name, found in conditions.items() if found},
            {"EtlRole": [None], "JobsRole": [only_pushes], "TriggerRole": [only_pushes]},
        )

    def test_a_function_may_delete_only_its_own_kind_of_the_items_of_requests(self) -> None:
        deleting = {
            name: [statement.get("Condition") for statement in statements(role) if deletes(statement)]
            for name, role in resources("AWS::IAM::Role").items()
        }

        only = [
            {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [keys]}}
            for keys in ("idempotency#*", "push#*", "push#*")
        ]
        self.assertEqual(
            [deleting[role] for role in ("TriggerRole", "SweepRole", "ForwardRole")], [[it] for it in only]
        )

    def test_only_lambda_may_assume_a_role(self) -> None:
        for name, role in resources("AWS::IAM::Role").items():
            [statement] = role["AssumeRolePolicyDocument"]["Statement"]
            self.assertEqual(
                {key: statement[key] for key in ("Effect", "Principal", "Action")},
                {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
                name,
            )

    def test_the_parameter_is_named_by_its_full_path(self) -> None:
        whole = "/runnable-jobs/pulse"

        for name, may_be_empty in (("PulseParameter", False), ("TaskclusterParameter", True)):
            allowed = parameters()[name]["AllowedPattern"]
            self.assertRegex(whole, allowed)
            self.assertEqual(bool(re.search(allowed, "")), may_be_empty)
            for wrong in ("*", "/", "runnable-jobs/pulse", f"{whole}*", "/runnable-jobs/", "/runnable-jobs/*/pulse"):
                self.assertNotRegex(wrong, allowed)

    def test_failed_messages_stay_in_the_queue_and_invisible_for_longer_than_the_forward_function_runs(self) -> None:
        [mapping] = resources("AWS::Lambda::EventSourceMapping").values()
        function = resources("AWS::Serverless::Function")["ForwardFunction"]
        queue = resources("AWS::SQS::Queue")["RequestsQueue"]

        self.assertEqual(written(mapping["EventSourceArn"]), "RequestsQueue.Arn")
        self.assertEqual(written(mapping["FunctionName"]), "ForwardFunction")
        self.assertEqual(mapping["FunctionResponseTypes"], ["ReportBatchItemFailures"])
        self.assertGreaterEqual(queue["VisibilityTimeout"], 6 * function["Timeout"])

    def test_the_forward_function_has_time_for_an_action_when_treeherder_and_pulse_are_slow(self) -> None:
        function = resources("AWS::Serverless::Function")["ForwardFunction"]
        # What became of waiting jobs, the runs on the push, and Pulse take up to 10 s each. The function starts nothing
        # when less is left (TIME_NEEDED), and reads its password before.
        before_action, action, recording, start = 30, 28, 10, 5
        self.assertGreaterEqual(function["Timeout"], before_action + action + recording + start)

    def test_the_http_api_may_invoke_a_function_for_each_of_its_routes_and_for_nothing_else(self) -> None:
        api = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${HttpApi}/"
        integrations = resources("AWS::ApiGatewayV2::Integration")
        wanted = set()
        for route in resources("AWS::ApiGatewayV2::Route").values():
            [integration] = re.findall(r"^integrations/\$\{(\w+)\}$", written(route["Target"]))
            function = written(integrations[integration]["IntegrationUri"]).removesuffix(".Arn")
            # Any stage, any method, and the path with an asterisk for each variable; $default has neither.
            source = re.sub(r"\{.*?\}", "*", route["RouteKey"].replace("ANY ", "*"))
            wanted.add((function, f"{api}*/{source}"))

        given = {
            (permission["FunctionName"]["Ref"], written(permission["SourceArn"]))
            for permission in resources("AWS::Lambda::Permission").values()
            if "SourceArn" in permission
        }
        self.assertEqual(given, wanted)

    def test_a_function_url_is_public_for_each_function_that_answers_http(self) -> None:
        urls = {
            written(url["TargetFunctionArn"]).removesuffix(".Arn") for url in resources("AWS::Lambda::Url").values()
        }
        permitted = [
            (permission["FunctionName"]["Ref"], permission["Action"])
            for permission in resources("AWS::Lambda::Permission").values()
            if permission["Principal"] == "*"
        ]

        self.assertEqual(urls, {"JobsFunction", "TriggerFunction"})
        self.assertCountEqual(
            permitted,
            [(name, action) for name in urls for action in ("lambda:InvokeFunction", "lambda:InvokeFunctionUrl")],
        )

    def test_a_function_is_invoked_by_its_own_front_only(self) -> None:
        for name, permission in resources("AWS::Lambda::Permission").items():
            with self.subTest(name):
                self.assertTrue(
                    permission.get("SourceArn")
                    or permission.get("FunctionUrlAuthType") == "NONE"
                    or permission.get("InvokedViaFunctionUrl") is True
                )


class Functions(unittest.TestCase):
    def test_the_functions_are_those_of_the_list_with_their_code_and_their_outputs(self) -> None:
        functions = resources("AWS::Serverless::Function")

        self.assertEqual(functions.keys(), {function.output for function in FUNCTIONS.values()})
        for name, function in FUNCTIONS.items():
            self.assertEqual(functions[function.output]["CodeUri"], f"../target/deploy/{name}")
            self.assertEqual(section("Outputs")[function.output]["Value"], {"Ref": function.output})


class Settings(unittest.TestCase):
    def test_each_function_reads_every_variable_that_is_set_for_it(self) -> None:
        self.assertEqual(FACTS["variables"].keys(), FUNCTIONS.keys())
        for name, function in FUNCTIONS.items():
            deployed = resources("AWS::Serverless::Function")[function.output]
            with self.subTest(name):
                self.assertLessEqual(deployed["Environment"]["Variables"].keys(), set(FACTS["variables"][name]))

    def test_each_build_system_has_a_rule_of_its_own_while_it_is_configured(self) -> None:
        events = resources("AWS::Serverless::Function")["EtlFunction"]["Events"]
        found = [event["Properties"] for event in events.values()]
        rules = {json.loads(rule["Input"])["build_system"]: rule for rule in found}

        self.assertEqual(rules.keys(), {"buildbot", "taskcluster"})
        for build_system, condition, schedule in (
            ("buildbot", "HasSource", "Schedule"),
            ("taskcluster", "HasTaskcluster", "TaskclusterSchedule"),
        ):
            with self.subTest(build_system):
                self.assertEqual(rules[build_system]["State"], {"Fn::If": [condition, "ENABLED", "DISABLED"]})
                self.assertEqual(rules[build_system]["Schedule"], {"Fn::Sub": f"cron(${{{schedule}}})"})
                # What is not read is not missed.
                variable = f"RUNNABLE_JOBS_{'' if schedule == 'Schedule' else 'TASKCLUSTER_'}SCHEDULE"
                for function in ("EtlFunction", "JobsFunction"):
                    settings = resources("AWS::Serverless::Function")[function]["Environment"]["Variables"]
                    self.assertEqual(settings[variable]["Fn::If"][:2], [condition, {"Ref": schedule}])
        self.assertEqual(parameters()["TaskclusterUrl"]["Default"], "")

    def test_labels_are_accepted_where_they_can_be_triggered(self) -> None:
        functions = resources("AWS::Serverless::Function")
        settings = [functions[f"{name}Function"]["Environment"]["Variables"] for name in ("Trigger", "Forward")]
        projects = {"Fn::If": ["CanTriggerTaskcluster", {"Ref": "TaskclusterTriggerProjects"}, "{}"]}

        for variables in settings:
            self.assertEqual(variables["RUNNABLE_JOBS_TASKCLUSTER_TRIGGER"], projects)
        self.assertEqual(settings[1]["RUNNABLE_JOBS_TASKCLUSTER_PARAMETER"], {"Ref": "TaskclusterParameter"})
        self.assertEqual(
            section("Conditions")["CanTriggerTaskcluster"],
            {"Fn::Not": [{"Fn::Equals": [{"Ref": "TaskclusterParameter"}, ""]}]},
        )
        self.assertEqual(parameters()["TaskclusterParameter"]["Default"], "")
        self.assertEqual(json.loads(parameters()["TaskclusterTriggerProjects"]["Default"]), {"try": 1})
        # Without the parameter, the role has no right to it.
        policies = resources("AWS::IAM::Role")["ForwardRole"]["Policies"]
        conditional = [
            statement["Fn::If"][0] for statement in policies[0]["PolicyDocument"]["Statement"] if "Fn::If" in statement
        ]
        self.assertEqual(conditional, ["CanTriggerTaskcluster"])

    def test_the_page_requests_jobs_beside_itself_or_at_the_function_url_unless_a_parameter_says_where(self) -> None:
        settings = resources("AWS::Serverless::Function")["JobsFunction"]["Environment"]["Variables"]
        [condition, given, default] = settings["RUNNABLE_JOBS_TRIGGER_PUBLIC_URL"]["Fn::If"]

        self.assertEqual((condition, given), ("HasTriggerPublicUrl", {"Ref": "TriggerPublicUrl"}))
        self.assertEqual(
            section("Conditions")["HasTriggerPublicUrl"],
            {"Fn::Not": [{"Fn::Equals": [{"Ref": "TriggerPublicUrl"}, ""]}]},
        )
        self.assertEqual(default, {"Fn::If": ["HasFunctionUrl", {"Fn::GetAtt": ["TriggerUrl", "FunctionUrl"]}, "."]})
        # The HTTP API has the routes of both functions.
        routes = resources("AWS::ApiGatewayV2::Route").values()
        self.assertEqual({written(route["ApiId"]) for route in routes}, {"HttpApi"})
        self.assertEqual(
            written(resources("AWS::Lambda::Url")["TriggerUrl"]["TargetFunctionArn"]), "TriggerFunction.Arn"
        )

        self.assertEqual(parameters()["TriggerPublicUrl"]["Default"], "")
        allowed = parameters()["TriggerPublicUrl"]["AllowedPattern"]
        for right in ("", ".", "none", "https://x.example.org/", "http://127.0.0.1:4566/_aws/trigger"):
            self.assertRegex(right, allowed)
        for wrong in ("..", "/", "x.example.org", "https://", "https://x.example.org/?a", "https://x.example.org/#a"):
            self.assertNotRegex(wrong, allowed)

    def test_the_page_signs_people_in_as_the_trigger_function_expects_it(self) -> None:
        functions = resources("AWS::Serverless::Function")
        jobs, trigger = (functions[f"{name}Function"]["Environment"]["Variables"] for name in ("Jobs", "Trigger"))

        for name in ("OIDC_ISSUER", "OIDC_AUDIENCE", "TREEHERDER_URL", "TREEHERDER_PUBLIC_URL", "TASKCLUSTER_URL"):
            self.assertEqual(jobs[f"RUNNABLE_JOBS_{name}"], trigger[f"RUNNABLE_JOBS_{name}"], name)

    def test_a_round_of_following_begins_each_minute_and_is_not_repeated(self) -> None:
        function = resources("AWS::Serverless::Function")["ForwardFunction"]
        [rule] = [event["Properties"] for event in function["Events"].values()]

        self.assertEqual(json.loads(rule["Input"]), {"follow": True})
        self.assertEqual(rule["Schedule"], {"Ref": "FollowSchedule"})
        self.assertEqual(parameters()["FollowSchedule"]["Default"], "rate(1 minute)")
        for wrong in ("", "1 minute", "rate()"):
            self.assertNotRegex(wrong, parameters()["FollowSchedule"]["AllowedPattern"])
        self.assertEqual(function["EventInvokeConfig"], {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60})

    def test_each_function_and_the_api_have_a_log_group_that_expires(self) -> None:
        groups = resources("AWS::Logs::LogGroup")
        functions = resources("AWS::Serverless::Function")
        [stage] = resources("AWS::ApiGatewayV2::Stage").values()

        for name, function in functions.items():
            group = written(function["LoggingConfig"]["LogGroup"])
            self.assertEqual(group, name.removesuffix("Function") + "LogGroup")
        self.assertEqual(written(stage["AccessLogSettings"]["DestinationArn"]), "ApiLogGroup.Arn")
        self.assertEqual(len(groups), len(functions) + 1)
        for name, properties in groups.items():
            self.assertEqual(properties["RetentionInDays"], {"Ref": "LogRetentionDays"}, name)

    def test_the_apis_log_has_a_line_of_json_a_request_with_nothing_of_a_person(self) -> None:
        [stage] = resources("AWS::ApiGatewayV2::Stage").values()
        written_as = stage["AccessLogSettings"]["Format"]
        self.assertNotIn("\n", written_as)
        variables = set(json.loads(written_as).values())

        # Neither address nor agent, neither query nor path: a review asks for the reason of each new one.
        self.assertEqual(
            variables,
            {
                f"$context.{name}"
                for name in (
                    "requestId",
                    "integration.requestId",
                    "routeKey",
                    "status",
                    "integration.integrationStatus",
                    "integration.error",
                    "responseLatency",
                )
            },
        )

    def test_the_bill_counts_the_line_that_the_api_logs(self) -> None:
        [stage] = resources("AWS::ApiGatewayV2::Stage").values()
        logged = stage["AccessLogSettings"]["Format"]
        counted = re.sub(r'":"[^"]*"', '":""', day.API_LINE.rstrip())

        self.assertEqual(counted, re.sub(r'":"[^"]*"', '":""', logged))

    def test_failures_that_no_function_can_report_are_counted_from_the_log(self) -> None:
        [stage] = resources("AWS::ApiGatewayV2::Stage").values()
        fields = json.loads(stage["AccessLogSettings"]["Format"])
        counted = {
            (written(one["LogGroupName"]), one["FilterPattern"]): one["MetricTransformations"]
            for one in resources("AWS::Logs::MetricFilter").values()
        }
        crashed = '{ ($.type = "platform.*") && ($.record.status != "success") }'
        weights = {
            # No function ran, so there is no request id. 64 of them are an incident.
            ("ApiLogGroup", '{ ($.status = "429") && ($.request_id = "-") }'): 1 / 64,
            ("ApiLogGroup", '{ $.lambda_status = "429" }'): 1,
            # The errors of the other two are answers of 500 or above.
            **{(f"{name}LogGroup", crashed): 1 for name in ("Etl", "Sweep", "Forward")},
        }

        self.assertEqual(
            {where: float(one["MetricValue"]) for where, [one] in counted.items()},
            weights,
        )
        for [one] in counted.values():
            self.assertEqual((one["MetricNamespace"], one["MetricName"]), ("RunnableJobs", "Incidents"))
        self.assertEqual(
            (fields["status"], fields["request_id"], fields["lambda_status"]),
            ("$context.status", "$context.integration.requestId", "$context.integration.integrationStatus"),
        )

    def test_lambda_writes_its_own_lines_as_json_and_only_of_failures(self) -> None:
        for name, function in resources("AWS::Serverless::Function").items():
            logging = function["LoggingConfig"]
            self.assertEqual((logging["LogFormat"], logging["SystemLogLevel"]), ("JSON", "WARN"), name)
            # Every line of a function is written: none has a level below this, the default.
            self.assertNotIn("ApplicationLogLevel", logging)

    def test_every_public_function_is_bounded_and_no_other_can_be_starved_by_it(self) -> None:
        functions = resources("AWS::Serverless::Function")
        public = {
            written(url["TargetFunctionArn"]).removesuffix(".Arn") for url in resources("AWS::Lambda::Url").values()
        }
        reserved = {
            name: function["ReservedConcurrentExecutions"]
            for name, function in functions.items()
            if "ReservedConcurrentExecutions" in function
        }

        self.assertEqual(reserved.keys(), public | {"ForwardFunction"})
        shares = {
            "JobsFunction": "JobsConcurrency",
            "TriggerFunction": "TriggerConcurrency",
            "ForwardFunction": "ForwardReserved",
        }
        for name, value in reserved.items():
            share = {"Ref": shares[name]}
            self.assertEqual(value, {"Fn::If": ["IsConcurrencyReserved", share, {"Ref": "AWS::NoValue"}]}, name)
        # AWS requires that 100 of an account's 1,000 are left; the ingest and the sweep run in those.
        total = sum(parameters()[share]["Default"] for share in shares.values())
        self.assertLessEqual(total, 100)
        # A round of following takes the place of no batch.
        for bound in ("Default", "MinValue", "MaxValue"):
            self.assertEqual(parameters()["ForwardReserved"][bound], parameters()["ForwardConcurrency"][bound] + 1)
        self.assertEqual(
            section("Conditions")["IsConcurrencyReserved"], {"Fn::Equals": [{"Ref": "ReserveConcurrency"}, "true"]}
        )

    def test_a_burst_is_not_above_the_concurrency_of_its_function(self) -> None:
        [stage] = resources("AWS::ApiGatewayV2::Stage").values()
        routes = {route["RouteKey"]: name for name, route in resources("AWS::ApiGatewayV2::Route").items()}

        # Only the jobs function has no route of its own. A burst above its concurrency would sound an alarm.
        self.assertEqual(stage["DefaultRouteSettings"]["ThrottlingBurstLimit"], {"Ref": "JobsConcurrency"})
        bursts = {key: settings["ThrottlingBurstLimit"] for key, settings in stage["RouteSettings"].items()}
        self.assertEqual(bursts.keys(), routes.keys() - {"$default"})
        self.assertLessEqual(sum(bursts.values()), parameters()["TriggerConcurrency"]["Default"])
        # API Gateway accepts settings only for routes that exist.
        [depends] = [one["DependsOn"] for one in section("Resources").values() if "DependsOn" in one]
        self.assertCountEqual(depends, [routes[key] for key in bursts])

    def test_tables_are_protected_when_asked_and_can_be_set_back(self) -> None:
        condition = section("Conditions")["AreTablesProtected"]
        self.assertEqual(condition, {"Fn::Equals": [{"Ref": "ProtectTables"}, "true"]})

        for name, table in resources("AWS::DynamoDB::Table").items():
            with self.subTest(name):
                self.assertEqual(table["DeletionProtectionEnabled"], {"Fn::If": ["AreTablesProtected", True, False]})
                self.assertIs(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], True)

    def test_only_the_dumps_and_the_requests_outlive_the_stack(self) -> None:
        stays = {
            name
            for name, resource in section("Resources").items()
            if resource.get("DeletionPolicy", "Delete") != "Delete"
        }

        self.assertEqual(stays, {"ArchiveBucket", "RequestsTable"})

    def test_the_queue_delivers_as_often_as_the_program_expects_and_keeps_dead_letters_longer(self) -> None:
        queues = resources("AWS::SQS::Queue")
        queue, dead_letters = queues["RequestsQueue"], queues["RequestsDeadLetters"]

        self.assertEqual(written(queue["RedrivePolicy"]["deadLetterTargetArn"]), "RequestsDeadLetters.Arn")
        self.assertEqual(queue["RedrivePolicy"]["maxReceiveCount"], FACTS["max_receives"])
        self.assertGreater(dead_letters["MessageRetentionPeriod"], queue["MessageRetentionPeriod"])


class Alarms(unittest.TestCase):
    def setUp(self) -> None:
        self.alarms = resources("AWS::CloudWatch::Alarm")

    def test_each_alarm_goes_to_the_topic_alone(self) -> None:
        for name, alarm in self.alarms.items():
            with self.subTest(name):
                self.assertEqual(alarm["AlarmActions"], [{"Ref": "AlarmTopic"}])
                self.assertFalse(alarm.keys() & {"OKActions", "InsufficientDataActions", "ActionsEnabled"})
        [subscription] = resources("AWS::SNS::Subscription").values()
        self.assertEqual(written(subscription["TopicArn"]), "AlarmTopic")

    def test_each_is_of_a_metric_that_a_program_prints_or_of_a_part_of_this_stack(self) -> None:
        for name, alarm in self.alarms.items():
            dimensions = {one["Name"]: written(one["Value"]) for one in alarm.get("Dimensions", [])}
            with self.subTest(name):
                self.assert_is_a_metric(alarm["Namespace"], alarm["MetricName"], dimensions)

    def test_each_says_what_to_do_in_a_chapter_that_is_there(self) -> None:
        chapters = re.findall(r"^#+ (.+)$", OPERATIONS.read_text(), re.MULTILINE)

        for name, alarm in self.alarms.items():
            with self.subTest(name):
                named = re.findall(r"\. docs/operations\.md: (.+)\.$", alarm["AlarmDescription"])
                self.assertEqual(len(named), 1, alarm["AlarmDescription"])
                self.assertIn(named[0], chapters)

    def test_each_says_what_silence_means_and_looks_back_no_further_than_it_can(self) -> None:
        most = parameters()["MostHoursWithoutIngest"]["MaxValue"]
        # Events that are due at fixed times are missing when they report nothing.
        due = {"IngestMissedAlarm", "SweepMissedAlarm", "TaskclusterMissedAlarm"}

        for name, alarm in self.alarms.items():
            with self.subTest(name):
                self.assertEqual(alarm["TreatMissingData"] == "breaching", name in due)
                self.assertIn(alarm["TreatMissingData"], ("breaching", "notBreaching", "ignore"))
                periods = most if isinstance(alarm["EvaluationPeriods"], dict) else alarm["EvaluationPeriods"]
                self.assertLessEqual(periods * alarm["Period"], WEEK if alarm["Period"] >= HOUR else DAY)

    def test_one_incident_sounds_the_alarm_of_all(self) -> None:
        alarm = self.alarms["IncidentsAlarm"]

        self.assertEqual((alarm["Namespace"], alarm["MetricName"]), ("RunnableJobs", "Incidents"))
        sounds = (alarm["Statistic"], alarm["ComparisonOperator"], alarm["Threshold"], alarm["EvaluationPeriods"])
        self.assertEqual(sounds, ("Sum", "GreaterThanOrEqualToThreshold", 1, 1))

    def test_both_queues_each_front_and_what_must_not_be_missing_are_watched(self) -> None:
        of = {
            (alarm["MetricName"], written(one["Value"]))
            for alarm in self.alarms.values()
            for one in alarm.get("Dimensions", [])
        }

        self.assertEqual(
            of,
            {
                ("5xx", "HttpApi"),
                *(("Url5xxCount", name) for name in ("JobsFunction", "TriggerFunction")),
                *(("Invocations", name) for name in ("SweepFunction", "EtlFunction")),
                ("ApproximateAgeOfOldestMessage", "RequestsQueue.QueueName"),
            },
        )
        without = {alarm["MetricName"] for alarm in self.alarms.values() if "Dimensions" not in alarm}
        self.assertEqual(without, {"Incidents", "IngestSucceeded", "Throttles"})
        # The sweep counts the dead letters.
        settings = resources("AWS::Serverless::Function")["SweepFunction"]["Environment"]["Variables"]
        self.assertEqual(settings["RUNNABLE_JOBS_DEAD_LETTERS_URL"], {"Ref": "RequestsDeadLetters"})

    def test_an_alarm_is_there_with_the_front_that_it_is_of(self) -> None:
        fronts = {
            "ApiErrorsAlarm": "HasHttpApi",
            "JobsErrorsAlarm": "HasFunctionUrl",
            "TriggerErrorsAlarm": "HasFunctionUrl",
            "ThrottlesAlarm": "HasFunctionUrl",
            "TaskclusterMissedAlarm": "HasTaskcluster",
        }

        for name in self.alarms:
            with self.subTest(name):
                self.assertEqual(section("Resources")[name].get("Condition"), fronts.get(name))

    def test_the_documents_say_which_alarm_sounds_for_each_failure(self) -> None:
        operations = OPERATIONS.read_text()
        chapters = re.findall(r"^#+ (.+)$", operations, re.MULTILINE)
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in operations.split("| failure | alarm |")[1].split("\n\n")[0].splitlines()[2:]
        ]
        self.assertGreater(len(rows), 12)

        sounding = set()
        for failure, alarms, read in rows:
            with self.subTest(failure):
                named = set(re.findall(r"\*(\w+)\*", alarms))
                self.assertTrue(named, alarms)
                self.assertLessEqual({f"{name}Alarm" for name in named}, self.alarms.keys())
                section = re.fullmatch(r"\[(.+)\]\(#.+\)", read)
                assert section, read
                self.assertIn(section[1], chapters)
                sounding |= named
        self.assertEqual({f"{name}Alarm" for name in sounding}, self.alarms.keys())

    def test_the_dashboard_is_there_when_it_is_wanted(self) -> None:
        self.assertEqual(section("Resources")["Dashboard"]["Condition"], "IsDashboardWanted")
        self.assertEqual(section("Outputs")["Dashboard"]["Condition"], "IsDashboardWanted")
        self.assertEqual(section("Conditions")["IsDashboardWanted"], {"Fn::Equals": [{"Ref": "HasDashboard"}, "true"]})
        self.assertEqual(parameters()["HasDashboard"]["Default"], "false")
        self.assertIn("3 dollars", parameters()["HasDashboard"]["Description"])

    def test_the_dashboard_shows_metrics_that_a_program_prints_or_parts_of_this_stack(self) -> None:
        [dashboard] = resources("AWS::CloudWatch::Dashboard").values()
        widgets = json.loads(written(dashboard["DashboardBody"]))["widgets"]
        self.assertGreater(len(widgets), 5)

        for widget in widgets:
            before: list[str] = []
            if widget["type"] == "log":
                self.assertTrue(widget["properties"]["query"].startswith("SOURCE '${EtlLogGroup}' | "))
                continue
            for line in widget["properties"]["metrics"]:
                words = [word for word in line if isinstance(word, str)]
                # A dot repeats the word of the line before.
                before = [before[place] if word == "." else word for place, word in enumerate(words)]
                namespace, metric, *rest = before
                values = [value.removeprefix("${").removesuffix("}") for value in rest[1::2]]
                dimensions = dict(zip(rest[::2], values, strict=True))
                with self.subTest(widget["properties"]["title"], metric=before):
                    self.assert_is_a_metric(namespace, metric, dimensions)

    def assert_is_a_metric(self, namespace: str, metric: str, dimensions: dict[str, str]) -> None:
        """The metric exists: a program prints it or a log's filter counts it, without dimensions; or AWS has it for a
        function, a queue or the API of this stack, or for all functions.
        """
        functions, queues = resources("AWS::Serverless::Function"), resources("AWS::SQS::Queue")
        match namespace, list(dimensions.items()):
            case "RunnableJobs", []:
                self.assertIn(
                    metric,
                    set(FACTS["metrics"])
                    | {
                        one["MetricName"]
                        for watched in resources("AWS::Logs::MetricFilter").values()
                        for one in watched["MetricTransformations"]
                    },
                )
            case "AWS/Lambda", []:
                self.assertEqual(metric, "Throttles")
            case "AWS/ApiGateway", [("ApiId", "HttpApi")]:
                # An HTTP API's; a REST API's has another name.
                self.assertEqual(metric, "5xx")
            case "AWS/Lambda", [("FunctionName", name)]:
                self.assertIn(metric, ("Duration", "Errors", "Invocations", "Url5xxCount"))
                self.assertIn(name, functions)
            case "AWS/SQS", [("QueueName", name)]:
                self.assertIn(
                    metric,
                    (
                        "ApproximateAgeOfOldestMessage",
                        "ApproximateNumberOfMessagesVisible",
                        "NumberOfMessagesDeleted",
                    ),
                )
                self.assertIn(name, [f"{queue}.QueueName" for queue in queues])
            case "AWS/DynamoDB", [("TableName", name)]:
                self.assertIn(metric, ("ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"))
                self.assertIn(name, resources("AWS::DynamoDB::Table"))
            case other:
                self.fail(f"there is no such metric: {other}")
