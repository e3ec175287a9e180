"""What growth meets first: known units give known sums, and the document is what the script makes."""

import json
import re
import unittest

from localstack.paths import ROOT
from tests.unit.test_template import parameters, resources
from tools.cost import following, scale, slope
from tools.cost.bill import bill, load_prices
from tools.cost.scale import Growth, demand, load_limits, met_at, usage

# A day that can be worked out by hand.
METERED = {
    "events": {
        "ingest": 1,
        "list": 8_640,
        "trigger": 864,
        "sweep": 480,
        "round": 1_440,
        "follow": 1_728,
        "read": 120,
        "push": 864,
        "label": 864,
    },
    "invocations": {
        "etl": 1,
        "jobs": 8_640,
        "trigger": 8_640,
        "sweep": 480,
        "forward": 864,
        "follow": 1_440,
        "read": 120,
        "push": 8_640,
        "label": 8_640,
        "action": 864,
    },
    "causes": {
        "ingest": {"dynamodb_write_units": 1_000, "lambda_gb_seconds": 6},
        "list": {"http_api_requests": 8_640, "bytes_out": 1e9, "log_bytes": 1e6, "dynamodb_read_units": 8_640},
        "trigger": {"http_api_requests": 8_640, "dynamodb_write_units": 10_000, "log_bytes": 1e6},
        "sweep": {"dynamodb_read_units": 240},
        "polling": {"sqs_requests": 21_600},
        "round": {"dynamodb_read_units": 720},
        "follow": {"dynamodb_write_units": 20_000},
        "read": {"lambda_gb_seconds": 100},
        "push": {"bytes_out": 1e8, "dynamodb_write_units": 1_000},
        "label": {"dynamodb_write_units": 3_000},
    },
    "kept": {
        "ingest": {"dynamodb_bytes": 1e8},
        "trigger": {"dynamodb_bytes": 2e8},
        "read": {"dynamodb_bytes": 1e6},
        "push": {"dynamodb_bytes": 1e7},
        "label": {"dynamodb_bytes": 3e7},
    },
    "fixed": {"alarms": 5, "dashboards": 0, "sns_emails": 30},
    "metrics": 0.04,
    "log_packed": 0.1,
    "log_days": 30,
    "functions": {
        "etl": {"memory": 512, "seconds": 13},
        "jobs": {"memory": 512, "seconds": 0.01},
        "trigger": {"memory": 512, "seconds": 0.05},
        "sweep": {"memory": 256, "seconds": 0.03},
        "forward": {"memory": 256, "seconds": 0.5},
        "follow": {"memory": 256, "seconds": 2.1},
    },
    "followed": {"at_a_time": 50, "looks": 40, "changes": 13, "seconds_of_an_empty_round": 0.1},
    "index_write_units": {"open": 4, "by_push": 1, "by_requester": 1},
    "unchanged_lists": 5_184,
    "try_list_bytes": 300_000,
}


class Costs(unittest.TestCase):
    def test_traffic_multiplies_what_it_causes_and_nothing_else(self) -> None:
        once, tenfold = usage(METERED, Growth(1)), usage(METERED, Growth(10))

        for name, one, ten in (
            ("http_api_requests", 30 * 17_280, 300 * 17_280),
            ("bytes_out", 33e9, 330e9),
            ("dynamodb_write_units", 30 * 35_000, 30 * 341_000),
            ("dynamodb_read_units", 30 * 9_600, 30 * 87_360),
            ("lambda_gb_seconds", 30 * 106, 30 * 106),
            ("dynamodb_bytes", 3.41e8, 25.01e8),
            ("dynamodb_recovery_bytes", 3.41e8, 25.01e8),
            ("log_stored_bytes", 6e6, 60e6),
            ("sqs_requests", 648_000, 648_000),
            ("alarms", 5, 5),
            ("metrics", 0.04, 0.04),
        ):
            with self.subTest(name):
                self.assertAlmostEqual(once[name], one)
                self.assertAlmostEqual(tenfold[name], ten)
        # Each price has an amount, or the bill would refuse it.
        self.assertGreater(sum(bill(load_prices(), once, False).values()), 0)

    def test_ten_times_the_jobs_are_longer_lists_and_longer_ingests(self) -> None:
        more = usage(METERED, Growth(1, 10))

        self.assertAlmostEqual(more["bytes_out"], 330e9)
        self.assertAlmostEqual(more["lambda_gb_seconds"], 30 * 1_060)
        # Ingests and the lists of pushes write ten times as much.
        self.assertAlmostEqual(more["dynamodb_write_units"], 30 * 53_000)
        self.assertAlmostEqual(more["dynamodb_bytes"], 10e8 + 2e8 + 1e7 + 1e8 + 3e7)
        # A list of try has 3 MB then, six steps of half a mebibyte: five more for each that is sent.
        self.assertAlmostEqual(more["http_api_requests"], 30 * (17_280 + 5 * 0.68 * 3_456))


class Limits(unittest.TestCase):
    def test_the_busiest_minute_asks_for_what_can_be_worked_out_by_hand(self) -> None:
        asked = demand(METERED, Growth(100))

        # 8,640 a day are one in ten seconds, ten times that at the peak, and a hundred times that.
        for name, known in (
            # The lists of projects and those of pushes have one route.
            ("route_rate", 200),
            ("api_rate", 400),
            ("jobs_concurrency", 2),
            ("trigger_concurrency", 10),
            # Twenty a second, half a second each: batches of ten.
            ("forward_concurrency", 1),
            ("pulse_rate", 20),
            ("open_index", 80),
            # Three times the mean for an hour.
            ("followed", 15_000),
            ("round_time", 0.1 + 600),
            ("list_partition", 68),
            ("answer_size", 300_000),
            ("ingest_time", 13),
        ):
            with self.subTest(name):
                self.assertAlmostEqual(asked[name], known)
        self.assertEqual(asked.keys(), load_limits().keys())

    def test_a_limit_is_met_where_the_demand_is_the_limit(self) -> None:
        limits = load_limits()

        for name, times in (("route_rate", 25), ("open_index", 1_250), ("followed", 20_000 / 150)):
            met = met_at(METERED, name, limits[name])
            assert met
            self.assertAlmostEqual(met, times)
        self.assertIsNone(met_at(METERED, "ingest_time", limits["ingest_time"]))

    def test_the_bounds_of_this_stack_are_the_templates(self) -> None:
        limits, given = load_limits(), parameters()
        [stage] = resources("AWS::ApiGatewayV2::Stage").values()
        rates = {settings["ThrottlingRateLimit"] for settings in stage["RouteSettings"].values()}
        [mapping] = resources("AWS::Lambda::EventSourceMapping").values()

        self.assertEqual(rates | {stage["DefaultRouteSettings"]["ThrottlingRateLimit"]}, {limits["route_rate"].most})
        for name, parameter in (
            ("jobs_concurrency", "JobsConcurrency"),
            ("trigger_concurrency", "TriggerConcurrency"),
            ("forward_concurrency", "ForwardConcurrency"),
        ):
            self.assertEqual(limits[name].most, given[parameter]["Default"])
        messages = given["PulseMessagesPerSecond"]["Default"] * given["ForwardConcurrency"]["Default"]
        self.assertEqual(limits["pulse_rate"].most, messages)
        self.assertEqual(limits["ingest_time"].most, resources("AWS::Serverless::Function")["EtlFunction"]["Timeout"])
        self.assertEqual(mapping["BatchSize"], scale.BATCH)

    def test_a_limit_is_this_stacks_or_has_the_page_that_publishes_it(self) -> None:
        for name, limit in load_limits().items():
            with self.subTest(name):
                place = r"^(https://docs\.aws\.amazon\.com/|infra/template\.yaml, |functions/forward/src/follow\.rs, )"
                self.assertRegex(limit.page, place)

    def test_the_bounds_of_a_round_are_those_of_the_program_and_of_its_rule(self) -> None:
        source = (ROOT / "functions" / "forward" / "src" / "follow.rs").read_text()
        [most] = re.findall(r"const MAX_FOLLOWED: usize = ([\d_]+);", source)
        [at_a_time] = re.findall(r"const CONCURRENCY: usize = (\d+);", source)
        limits = load_limits()

        self.assertEqual(limits["followed"].most, int(most))
        self.assertEqual(following.CONCURRENCY, int(at_a_time))
        self.assertEqual(parameters()["FollowSchedule"]["Default"], "rate(1 minute)")
        self.assertEqual(limits["round_time"].most, 60)


class Slope(unittest.TestCase):
    def test_what_one_costs_is_what_its_cause_uses(self) -> None:
        # 8,640 requests at a dollar a million, 10,000 writes at 0.625, and a megabyte of log at half a dollar a GB.
        dollars = 8_640e-6 + 10_000 * 0.625e-6 + 1e6 * 0.5e-9

        self.assertAlmostEqual(slope.cost_of_one(METERED, "trigger"), dollars / 864)


class Document(unittest.TestCase):
    def test_its_tables_are_replaced_and_nothing_else_is(self) -> None:
        text = f"before\n{scale.BEGIN}old\n{scale.END}\nafter\n"

        written = scale.with_tables(text, METERED)

        self.assertTrue(written.startswith(f"before\n{scale.BEGIN}| dollars a month"))
        self.assertTrue(written.endswith(f"{scale.END}\nafter\n"))
        self.assertEqual(scale.with_tables(written, METERED), written)
        self.assertNotIn("old", written)
        self.assertIn("**A month**", written)
        self.assertEqual(len(re.findall(r"^\| limit ", written, re.MULTILINE)), 2)

    @unittest.skipUnless(scale.METERED.exists(), "there is no result of the meter yet: make cost writes it")
    def test_the_document_is_what_the_script_makes_of_what_was_metered(self) -> None:
        text = (ROOT / "docs" / "scale.md").read_text()

        self.assertEqual(scale.with_tables(text, json.loads(scale.METERED.read_text())), text)
