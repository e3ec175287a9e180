"""The arithmetic of the cost meter: known traffic gives known sums, and no price is left out."""

import copy
import functools
import json
import statistics
import unittest
from unittest import mock

from tests.support.store_calls import Call
from tools.cost import day, ingest, meter, table
from tools.cost import traffic as cost_traffic
from tools.cost.bill import (
    Asked,
    Naive,
    bill,
    consistent_units,
    gb_seconds,
    http_api_requests,
    load_prices,
    metric_months,
    month,
    receives_a_day,
    stored_bytes,
)
from tools.cost.calls import Tables
from tools.cost.item_units import from_wire, item_size

# An amount for every line of the bill, and its price without and beyond the free tier, worked out by hand.
KNOWN = {
    "lambda_requests": (3_000_000, 0.60, 0.40),
    "lambda_gb_seconds": (1_000_000, 13.3334, 8.00004),
    "http_api_requests": (500_000, 0.50, 0.50),
    "bytes_out": (150e9, 13.50, 4.50),
    "dynamodb_read_units": (8_000_000, 1.00, 1.00),
    "dynamodb_write_units": (1_600_000, 1.00, 1.00),
    "dynamodb_bytes": (30e9, 7.50, 1.25),
    "dynamodb_recovery_bytes": (30e9, 6.00, 6.00),
    "s3_bytes": (100e9, 2.30, 2.30),
    "s3_writes": (30, 0.00015, 0.00015),
    "sqs_requests": (1_500_000, 0.60, 0.20),
    "schedule_events": (14_400, 0.00, 0.00),
    "log_bytes": (6e9, 3.00, 0.50),
    "log_stored_bytes": (1e9, 0.03, 0.03),
    "metrics": (12, 3.60, 0.60),
    "alarms": (11, 1.10, 0.10),
    "dashboards": (2, 6.00, 0.00),
    "sns_emails": (2_000, 0.04, 0.02),
    "parameter_calls": (20_000, 0.00, 0.00),
}
USAGE = {name: used for name, (used, _, _) in KNOWN.items()}


class Bill(unittest.TestCase):
    def test_a_known_usage_costs_what_the_price_pages_say(self) -> None:
        prices = load_prices()

        for place, free in ((1, False), (2, True)):
            dollars = bill(prices, USAGE, free)
            for name, known in KNOWN.items():
                with self.subTest(name, free=free):
                    self.assertAlmostEqual(dollars[name], known[place])
        self.assertAlmostEqual(sum(bill(prices, USAGE, False).values()), 60.10355)

    def test_a_usage_below_what_is_free_costs_nothing(self) -> None:
        prices = load_prices()
        little = {name: min(used, prices[name].free) for name, used in USAGE.items()}

        self.assertEqual(sum(bill(prices, little, True).values()), 0)

    def test_a_price_without_a_count_is_an_error(self) -> None:
        for name in KNOWN:
            with self.subTest(name), self.assertRaisesRegex(ValueError, f"a price without a count.*: {name}$"):
                bill(load_prices(), {other: used for other, used in USAGE.items() if other != name}, False)

    def test_a_count_without_a_price_is_an_error(self) -> None:
        with self.assertRaisesRegex(ValueError, "a count without a price: wishes$"):
            bill(load_prices(), USAGE | {"wishes": 3}, False)

    def test_every_price_has_its_own_label_and_the_page_where_aws_publishes_it(self) -> None:
        prices = load_prices()

        self.assertEqual(len({price.label for price in prices.values()}), len(prices))
        for name, price in prices.items():
            self.assertRegex(price.page, r"^https://aws\.amazon\.com/[a-z0-9/-]*pricing/", name)
            self.assertGreater(price.per, 0, name)

    def test_amounts_are_printed_in_the_unit_of_their_price(self) -> None:
        prices = load_prices()

        self.assertEqual(table.amount(prices["bytes_out"], 8.52e9), "8.52")
        self.assertEqual(table.amount(prices["log_stored_bytes"], 250e9), "250")
        self.assertEqual(table.amount(prices["lambda_gb_seconds"], 28_097.2), "28,097")


class Units(unittest.TestCase):
    def test_an_invocation_is_billed_by_whole_milliseconds_and_by_memory(self) -> None:
        # A tenth of a millisecond of a processor is 0.35 ms of the share that 512 MB buy.
        self.assertAlmostEqual(gb_seconds(0.0001, 512), 0.001 * 0.5)
        # 10 ms are 34.55 ms of it.
        self.assertAlmostEqual(gb_seconds(0.010, 512), 0.035 * 0.5)
        self.assertAlmostEqual(gb_seconds(0.010, 1769), 0.010 * 1769 / 1024)
        # To wait for others takes as long as it takes.
        self.assertAlmostEqual(gb_seconds(0.010, 512, 0.2), 0.235 * 0.5)

    def test_an_answer_counts_once_for_each_half_mebibyte(self) -> None:
        self.assertEqual([http_api_requests(size) for size in (0, 524_288, 524_289, 1_970_000)], [1, 1, 2, 4])

    def test_an_empty_queue_is_polled_all_day(self) -> None:
        self.assertEqual(month({"sqs_requests": receives_a_day(5, 20)}), {"sqs_requests": 648_000})

    def test_a_metric_costs_by_the_hours_in_which_it_is_printed(self) -> None:
        self.assertAlmostEqual(metric_months([10_000, 24, 12, 1]), 2 + 13 / 24)

    def test_items_and_index_entries_are_stored_with_their_overhead(self) -> None:
        self.assertEqual(stored_bytes(500, [60, 70]), 930)

    def test_consistent_reads_are_charged_by_four_kilobytes(self) -> None:
        self.assertEqual([consistent_units(size) for size in (0, 4096, 4097)], [1, 1, 2])


class NaiveDesign(unittest.TestCase):
    def test_the_usage_of_a_known_day_matches_a_calculation_by_hand(self) -> None:
        naive = Naive(
            catalog={"try": [800] * 9 + [1100], "larch": [900]},
            answers={"try": 600_000, "larch": 1_000},
            lists={"try": 100, "larch": 10},
            asked=[Asked(200, [100, 150], 50)],
            days_kept=90,
            polls=4,
            looks=6,
        )
        same = {"dynamodb_read_units": 7, "dynamodb_write_units": 5, "dynamodb_bytes": 3}

        usage = naive.usage(USAGE, our_list_bytes=2_000_000, same=same)

        self.assertEqual(
            {name for name in USAGE if usage[name] != USAGE[name]},
            {
                "http_api_requests",
                "bytes_out",
                "dynamodb_read_units",
                "dynamodb_write_units",
                "dynamodb_bytes",
                "dynamodb_recovery_bytes",
            },
        )
        # A list of try has 8,300 bytes in items: 3 units. A request's 2 jobs are looked up, and it is read 5 times, and
        # 6 times while it is followed.
        self.assertEqual(usage["dynamodb_read_units"], 30 * (100 * 3 + 10 + 50 * (2 + 5 + 6)) + 7)
        # One of the 11 jobs has more than 1 KB. A head is written three times, and 2 jobs five times.
        self.assertEqual(usage["dynamodb_write_units"], 30 * (12 + 50 * (3 + 2 * 5)) + 5)
        self.assertEqual(usage["dynamodb_bytes"], 8_300 + 900 + 11 * 100 + 50 * 90 * (450 + 3 * 100) + 3)
        self.assertEqual(usage["dynamodb_recovery_bytes"], usage["dynamodb_bytes"])
        # An answer of try counts twice.
        self.assertEqual(usage["http_api_requests"], 500_000 + 30 * 100)
        self.assertEqual(usage["bytes_out"], 150e9 + 30 * (100 * 600_000 + 10 * 1_000 - 2_000_000))

    def test_the_item_of_a_job_leaves_out_empty_fields(self) -> None:
        item = meter.naive_item("try", {"ref_data_name": "a build", "job_type_id": 12, "upstream": None})

        self.assertEqual(item, {"project": {"S": "try"}, "ref_data_name": {"S": "a build"}, "job_type_id": {"N": "12"}})
        self.assertEqual(item_size(item), 7 + 3 + 13 + 7 + 11 + 2)


class Store:
    """A fake of a DynamoDB client: a table with an index, and its items."""

    def __init__(self) -> None:
        self.items: list[dict] = []

    def describe_table(self, TableName: str) -> dict:
        index = {
            "IndexName": "open",
            "KeySchema": [{"AttributeName": "open", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
        keys = [{"AttributeName": name, "KeyType": kind} for name, kind in (("pk", "HASH"), ("sk", "RANGE"))]
        return {"Table": {"TableName": TableName, "KeySchema": keys, "GlobalSecondaryIndexes": [index]}}

    def get_paginator(self, operation: str) -> mock.Mock:
        return mock.Mock(paginate=lambda **_: [{"Items": copy.deepcopy(self.items)}])

    def get_item(self, Key: dict, **_: object) -> dict:
        [found] = [item for item in self.items if item.items() >= Key.items()]
        return {"Item": found}

    def query(self, **asked: object) -> dict:
        self.asked = asked
        return {"Items": self.items}


class Calls(unittest.TestCase):
    def setUp(self) -> None:
        self.store = Store()
        self.stack = mock.Mock(env={"CATALOG_TABLE": "c", "REQUESTS_TABLE": "r"})
        self.stack.client.return_value = self.store

    def cost(self, *calls: tuple[str, dict]) -> dict[str, float]:
        """The cost of these calls, given by their operations and contents."""
        made = [Call(target, "/", "application/json", json.dumps(content).encode()) for target, content in calls]
        return dict(Tables(self.stack).cost(made))

    def units(self, operation: str, **content: object) -> tuple[float, float]:
        found = self.cost((f"DynamoDB_20120810.{operation}", {"TableName": "c"} | content))
        return found["dynamodb_read_units"], found["dynamodb_write_units"]

    def test_reads_are_charged_by_size_and_consistency(self) -> None:
        self.store.items = [item(5_000)]

        self.assertEqual(self.units("GetItem", Key=KEY), (1, 0))
        self.assertEqual(self.units("GetItem", Key=KEY, ConsistentRead=True), (2, 0))
        self.assertEqual(self.units("GetItem", Key={"pk": {"S": "p"}, "sk": {"S": "none"}}), (0.5, 0))
        wanted = {"c": {"Keys": [KEY, KEY], "ConsistentRead": True}}
        self.assertEqual(self.units("BatchGetItem", RequestItems=wanted), (4, 0))

    def test_a_query_is_charged_for_what_it_finds_and_not_for_what_it_returns(self) -> None:
        self.store.items = [item(5_000), item(5_000)]

        units = self.units(
            "Query",
            KeyConditionExpression="pk = :pk AND begins_with(sk, :list)",
            FilterExpression="written_at < :young",
            ProjectionExpression="pk",
            ExpressionAttributeValues={":pk": {"S": "p"}, ":list": {"S": "list#"}, ":young": {"N": "1"}},
        )

        self.assertEqual(units, (1.5, 0))
        self.assertEqual(
            self.store.asked,
            {
                "TableName": "c",
                "KeyConditionExpression": "pk = :pk AND begins_with(sk, :list)",
                "ExpressionAttributeValues": {":pk": {"S": "p"}, ":list": {"S": "list#"}},
            },
        )

    def test_each_page_of_a_query_is_charged_by_itself(self) -> None:
        self.store.items = [item(5_000)]
        key = {"pk": {"S": "p"}, "sk": {"S": "a"}}

        condition = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "p"}}}
        self.assertEqual(self.units("Query", ExclusiveStartKey=key, **condition), (1, 0))
        self.assertEqual(self.store.asked["ExclusiveStartKey"], key)

    def test_binary_values_count_as_they_are_stored_wherever_they_are(self) -> None:
        packed = {"B": "AAAA"}
        wire = KEY | {"data": packed, "map": {"M": {"in": packed, "is": {"BOOL": True}}}, "list": {"L": [packed]}}

        self.assertEqual(item_size(from_wire(wire)), 6 + (4 + 3) + (3 + 3 + 6 + 4) + (4 + 3 + 1 + 3))

    def test_a_small_change_of_a_large_item_costs_the_whole_item(self) -> None:
        self.store.items = [item(5_000)]

        self.assertEqual(self.units("UpdateItem", Key=KEY), (0, 5))
        self.assertEqual(self.units("PutItem", Item=item(10)), (0, 5))

    def test_a_deleted_item_costs_its_size_and_a_missing_one_the_minimum(self) -> None:
        self.store.items = [item(1_500)]

        self.assertEqual(self.units("DeleteItem", Key=KEY), (0, 2))
        self.assertEqual(self.units("DeleteItem", Key={"pk": {"S": "p"}, "sk": {"S": "none"}}), (0, 1))

    def test_a_transaction_costs_twice_and_an_index_entry_once_more(self) -> None:
        write = {"Put": {"TableName": "c", "Item": item(1_500)}}
        self.assertEqual(self.units("TransactWriteItems", TransactItems=[write]), (0, 4))
        put = {"PutRequest": {"Item": item(100) | {"open": {"S": "open"}}}}
        self.assertEqual(self.units("BatchWriteItem", RequestItems={"c": [put]}), (0, 2))

    def test_an_update_and_a_deletion_cost_the_same_in_a_batch_and_twice_in_a_transaction(self) -> None:
        self.store.items = [item(1_500)]
        delete, update = {"Delete": {"TableName": "c", "Key": KEY}}, {"Update": {"TableName": "c", "Key": KEY}}

        self.assertEqual(self.units("BatchWriteItem", RequestItems={"c": [{"DeleteRequest": {"Key": KEY}}]}), (0, 2))
        self.assertEqual(self.units("TransactWriteItems", TransactItems=[update]), (0, 4))
        self.assertEqual(self.units("TransactWriteItems", TransactItems=[delete]), (0, 4))
        with self.assertRaises(SystemExit):
            self.units("TransactWriteItems", TransactItems=[{"ConditionCheck": {}}])

    def test_a_call_sees_the_writes_of_earlier_calls(self) -> None:
        put = ("DynamoDB_20120810.PutItem", {"TableName": "c", "Item": item(5_000)})
        get = ("DynamoDB_20120810.GetItem", {"TableName": "c", "Key": KEY})

        self.assertEqual(self.cost(put, get), {"dynamodb_read_units": 1, "dynamodb_write_units": 5})

    def test_calls_of_other_services_are_counted(self) -> None:
        self.assertEqual(
            self.cost(("AmazonSQS.SendMessage", {}), ("AmazonSSM.GetParameter", {}), ("AmazonSQS.SendMessage", {})),
            {"sqs_requests": 2, "parameter_calls": 1},
        )

    def test_an_unknown_call_is_an_error(self) -> None:
        with self.assertRaises(SystemExit):
            self.units("ExecuteStatement")


KEY = {"pk": {"S": "p"}, "sk": {"S": "s"}}


def item(size: int) -> dict:
    """An item of so many bytes in addition to its key."""
    return KEY | {"text": {"S": "x" * (size - 4)}}


class Drawn(unittest.TestCase):
    """Random traffic has the stated shares."""

    def test_projects_and_repeats_have_their_shares(self) -> None:
        traffic = mock.Mock(options=mock.Mock(repeats=60), random=cost_traffic.random.Random(1))

        drawn = cost_traffic.Traffic.mixed(traffic, 200)

        self.assertEqual(len(drawn), 200)
        self.assertEqual(sum(project == "try" for project, _ in drawn), 136)
        self.assertEqual(sum(held for project, held in drawn if project == "try"), 82)
        self.assertEqual(sum(cost_traffic.PROJECTS.values()), 100)

    def test_a_part_of_a_day_stands_for_all_of_it(self) -> None:
        traffic = mock.Mock(options=mock.Mock(part=50))

        for a_day in (10_000, 1_000, 480, 7):
            count, times = cost_traffic.Traffic.times(traffic, a_day)
            self.assertAlmostEqual(count * times, a_day)
        self.assertEqual(cost_traffic.Traffic.times(traffic, 480)[0], 10)

    def test_the_plan_represents_the_requested_day(self) -> None:
        options = mock.Mock(part=50, lists=10_000, triggers=1_000, sweeps=480, repeats=60)
        traffic = mock.Mock(options=options, random=cost_traffic.random.Random(1), seconds=57.6)
        traffic.times = functools.partial(cost_traffic.Traffic.times, traffic)
        traffic.mixed = functools.partial(cost_traffic.Traffic.mixed, traffic)
        traffic.counted = lambda _, act: act

        for _, act in cost_traffic.Traffic.plan(traffic):
            act()

        for asked, a_day in (
            (traffic.request_list, 10_000),
            (traffic.request_jobs, 1_000),
            (traffic.sweep.invoke, 480),
        ):
            self.assertAlmostEqual(sum(call.args[-1] for call in asked.call_args_list), a_day)
        self.assertEqual(sorted(call.args[1] for call in traffic.request_jobs.call_args_list), cost_traffic.SIZES)

    def test_any_number_of_requests_has_the_same_mean_size(self) -> None:
        for count in (5, 10, 20, 30, 60):
            sizes = cost_traffic.sizes_of(count)

            self.assertEqual(len(sizes), count)
            self.assertAlmostEqual(statistics.mean(sizes), statistics.mean(cost_traffic.SIZES), delta=1.5, msg=count)

    def test_a_drift_renames_a_hundredth(self) -> None:
        names = [f"builder {number:03}" for number in range(300)]
        document: dict[str, dict[str, dict]] = {"builders": {name: {} for name in names}}

        ingest.drift(document, 50)

        self.assertEqual(
            sorted(set(document["builders"]) - set(names)), ["builder 050-99", "builder 150-99", "builder 250-99"]
        )
        self.assertEqual(len(document["builders"]), 300)

    def test_the_size_of_an_answer_is_that_of_the_bytes_on_the_wire(self) -> None:
        packed = {"headers": {"etag": '"x"'}, "body": "AAECAw==", "isBase64Encoded": True}

        self.assertEqual(day.answer_size(packed), 19 + len('etag: "x"\r\n') + day.FRONT_BYTES + 4)
