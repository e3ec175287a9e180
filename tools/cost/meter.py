"""Meters the cost of the product on AWS at a day's traffic, and prints a table of a month beside a naive design.

    make cost
    make cost FLAGS='--lists 20000'

A part of a day is run on the local stack: the functions as they are deployed, fed through a stand-in of Lambda's
Runtime API with the settings and the roles that the template gave them, beside a real broker. What AWS would bill is
counted, and multiplied. Time is run faster by as much as `FreshSeconds` is longer than a second, so that lists are
checked as often as they would be. docs/cost.md lists the assumptions. Needs Linux, the builds that `make cost` makes,
and that no stack runs in this checkout.
"""

import argparse
import contextlib
import functools
import gzip
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.support.store_calls import Recorder
from tools.bench.function import programs_in, start_stack
from tools.bench.source import sample
from tools.cost.bill import (
    DAYS_A_MONTH,
    LINE_OVERHEAD,
    Asked,
    Naive,
    bill,
    load_prices,
    metric_months,
    month,
    stored_bytes,
)
from tools.cost.day import Day, say
from tools.cost.item_units import index_entry, item_size
from tools.cost.table import print_table, say_what_drives
from tools.cost.traffic import DAY_SECONDS, DUMP_SECONDS, PERSON, REPEATS, Traffic

# DynamoDB deletes expired items within a few days.
# The event of the rule that starts an ingest of Buildbot.
BUILDBOT = b'{"build_system": "buildbot"}'
LATE_DAYS = 2
ARCHIVE_DAYS = 30
EMAILS_A_MONTH = 30
# The resources of the template that have a price.
RESOURCES = {"alarms": "AWS::CloudWatch::Alarm", "dashboards": "AWS::CloudWatch::Dashboard"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=Path, default=Path("target"), help="cargo's target folder")
    whole = functools.partial(parser.add_argument, type=int, metavar="N")
    whole("--lists", default=10_000, help="lists asked for in a day (default: %(default)s)")
    whole(
        "--repeats",
        default=REPEATS,
        help="of a hundred, whose browser has the list already (default: %(default)s)",
    )
    whole("--triggers", default=1_000, help="requests to run jobs (default: %(default)s)")
    whole(
        "--polls",
        default=4,
        help="how often each is asked about, half of it before it is forwarded (default: %(default)s)",
    )
    whole("--sweeps", default=480, help="sweeps in a day (default: %(default)s)")
    whole(
        "--part",
        default=50,
        help="what part of the day is run; an environment lives as long (default: a %(default)sth)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the metered units to this file")
    options = parser.parse_args()
    built = options.target.absolute()
    with tempfile.TemporaryDirectory() as folder:
        programs = programs_in(built)
        source = sample(programs, Path(folder) / "sample.json")
        stack = start_stack(built, source)
        recorder = Recorder(stack.env["AWS_ENDPOINT_URL"])
        try:
            with contextlib.ExitStack() as ends:
                day = Day(stack, recorder, programs, options.part, ends)
                say("ingesting, twice, each with 1 % of the builders changed")
                with day.caused_by("ingest"):
                    ingest(day, source)
                traffic = Traffic(day, options)
                say(f"running a {options.part}th of a day in {traffic.seconds:.0f} s")
                traffic.run(ends)
                show(day, traffic)
        finally:
            recorder.stop()
            stack.stop()


# An ingest.


def ingest(day: Day, source: Path) -> None:
    """Run two ingests, of the next day's dump and of the one after that.

    Time, log and archived dump are counted for the first; the calls to the store for the second, which finds the items
    of the first.
    """
    document = json.loads(source.read_bytes())
    settings = {"RUNNABLE_JOBS_SOURCE": str(source)}
    for number in range(2):
        make_older(day)
        drift(document, number * 50)
        source.write_text(json.dumps(document))
        day.tables.read_all()
        catalog = day.tables.items[day.stack.env["CATALOG_TABLE"]]
        expired_before = {key for key, item in catalog.items() if "expires_at" in item}
        if number == 0:
            function = day.metered("etl", AWS_ENDPOINT_URL=day.stack.env["AWS_ENDPOINT_URL"], **settings)
            report = function.invoke(BUILDBOT, 1, DUMP_SECONDS, counts_calls=False)
        else:
            counted = Day(day.stack, day.recorder, day.programs, day.part, day.ends)
            # The recorder does not pass on calls to S3.
            report = counted.metered("etl", RUNNABLE_JOBS_ARCHIVE_BUCKET="", **settings).invoke(BUILDBOT, 1)
            units = {name: counted.usage[name] for name in ("dynamodb_read_units", "dynamodb_write_units")}
            day.usage.add(units)
            say(f"  units: {units}; the report: {report['read_units']}, {report['write_units']}")
        changed = sum(1 for project in report["projects"].values() if project["added"] or project["removed"])
        say(f"  {changed} of {len(report['projects'])} lists changed")
    day.usage["schedule_events"] += 1
    # The archive first tries to copy the dump onto itself, which fails for a new one, and then uploads it.
    day.usage.add({"s3_writes": 2})
    day.kept["s3_bytes"] += archived_bytes(day) * ARCHIVE_DAYS
    day.tables.read_all()
    now = time.time()
    for key, item in day.tables.items[day.stack.env["CATALOG_TABLE"]].items():
        if "expires_at" not in item:
            day.kept["dynamodb_bytes"] += stored_bytes(item_size(item))
        elif key not in expired_before:
            day.kept["dynamodb_bytes"] += stored_bytes(item_size(item)) * days_kept(item, now)


def archived_bytes(day: Day) -> int:
    """The bytes of the last archived dump."""
    objects = day.stack.client("s3").list_objects_v2(Bucket=day.stack.env["ARCHIVE_BUCKET"], Prefix="allthethings/")[
        "Contents"
    ]
    return max(objects, key=lambda found: found["LastModified"])["Size"]


def days_kept(item: dict, now: float) -> float:
    return (int(item["expires_at"]["N"]) - now) / DAY_SECONDS + LATE_DAYS


def make_older(day: Day) -> None:
    """Make the lists a day older: an ingest does not delete what was written within the last hour."""
    table = day.stack.table
    for item in table.scan(ProjectionExpression="pk, sk, written_at", ConsistentRead=True)["Items"]:
        if "written_at" in item:
            table.update_item(
                Key={"pk": item["pk"], "sk": item["sk"]},
                UpdateExpression="SET written_at = :then",
                ExpressionAttributeValues={":then": item["written_at"] - DAY_SECONDS},
            )


def drift(document: dict, first: int) -> None:
    """Give each hundredth builder, counted from `first`, another name."""
    builders = document["builders"]
    for name in sorted(builders)[first::100]:
        builders[f"{name}-99"] = builders.pop(name)


# The result.


def show(day: Day, traffic: Traffic) -> None:
    options = traffic.options
    expected = {
        "jobs": options.lists,
        "trigger": options.triggers * (3 + options.polls),
        "forward": options.triggers,
        "sweep": options.sweeps,
        "etl": 1,
    }
    if {name: round(count, 6) for name, count in day.invocations.items()} != expected:
        raise SystemExit(f"in a day there should be {expected} invocations, not {dict(day.invocations)}")
    ingested = dict(day.kept)
    keep_requests(day, traffic)
    requested = {name: amount - ingested.get(name, 0.0) for name, amount in day.kept.items()}
    kept = {"ingest": ingested, "trigger": requested}
    usage = {**month(day.usage), **day.kept, **fixed(day)}
    usage["dynamodb_recovery_bytes"] = usage["dynamodb_bytes"]
    usage["metrics"] = metric_months(day.metrics.values())
    packed = len(gzip.compress(bytes(day.log), 6)) + day.log.count(b"\n") * LINE_OVERHEAD
    usage["log_stored_bytes"] = usage["log_bytes"] * packed / len(day.log) * log_days(day) / DAYS_A_MONTH
    naive = naive_of(traffic).usage(usage, traffic.list_bytes)
    prices = load_prices()
    columns = [bill(prices, used, free) for used in (usage, naive) for free in (False, True)]
    if options.json:
        options.json.write_text(json.dumps(result(day, traffic, kept), indent=2, sort_keys=True) + "\n")
    print_table(prices, usage, naive, columns)
    say_what_drives(day, columns, prices)


def result(day: Day, traffic: Traffic, kept: dict[str, dict[str, float]]) -> dict:
    """The metered units, for `tools.cost.scale`: those of a day by their cause, and what is stored."""
    options = traffic.options
    packed = len(gzip.compress(bytes(day.log), 6)) + day.log.count(b"\n") * LINE_OVERHEAD
    indexes = {name: units / options.triggers for name, units in day.tables.index_units.items()}
    return {
        "events": {"ingest": 1, "list": options.lists, "trigger": options.triggers, "sweep": options.sweeps},
        "invocations": dict(day.invocations),
        "causes": {cause: dict(used) for cause, used in day.causes.items()},
        "kept": {cause: dict(used) for cause, used in kept.items()},
        "fixed": fixed(day),
        "metrics": metric_months(day.metrics.values()),
        "log_packed": packed / len(day.log),
        "log_days": log_days(day),
        # The memory of each function, in MB, and how long an invocation takes, in seconds.
        "functions": {
            name: {"memory": memory, "seconds": day.gb_seconds[name] / day.invocations[name] * 1024 / memory}
            for name, memory in day.memory.items()
        },
        "index_write_units": indexes,
        # Lists whose browser already has them, in a day.
        "unchanged_lists": traffic.unchanged,
        "try_list_bytes": max(len(gzip.compress(body, 6)) for body in traffic.bodies.values()),
    }


def fixed(day: Day) -> dict[str, float]:
    """The resources that cost the same in each month, whatever happens."""
    resources = day.stack.client("cloudformation").describe_stack_resources(StackName="runnable-jobs")
    kinds = Counter(resource["ResourceType"] for resource in resources["StackResources"])
    emails = EMAILS_A_MONTH if kinds["AWS::SNS::Topic"] else 0
    return {"sns_emails": emails, **{name: kinds[kind] for name, kind in RESOURCES.items()}}


def log_days(day: Day) -> int:
    """How long logs are kept."""
    function = day.stack.client("lambda").get_function_configuration(FunctionName=day.stack.env["JOBS_FUNCTION"])
    groups = day.stack.client("logs").describe_log_groups(logGroupNamePrefix=function["LoggingConfig"]["LogGroup"])
    return groups["logGroups"][0]["retentionInDays"]


def keep_requests(day: Day, traffic: Traffic) -> None:
    """Count the storage of a day's requests, each item for as long as it is stored."""
    name = day.stack.env["REQUESTS_TABLE"]
    table, now = day.tables.tables[name], time.time()
    _, times = traffic.times(traffic.options.triggers)
    day.tables.read_all()
    for item in day.tables.items[name].values():
        entries = [index_entry(table, index, item) for index in table.get("GlobalSecondaryIndexes", [])]
        size = stored_bytes(item_size(item), [item_size(entry) for entry in entries if entry])
        day.kept["dynamodb_bytes"] += times * size * days_kept(item, now)


def naive_of(traffic: Traffic) -> Naive:
    catalog = {
        project: [item_size(naive_item(project, job)) for job in json.loads(body)["results"]]
        for project, body in traffic.bodies.items()
    }
    asked = []
    for made in traffic.made:
        name = {"S": "01KAS4B0MRJ6WJ0RGDX8T0E4JQ"}
        head = {
            "request": name,
            "job": {"S": "-"},
            "project": {"S": made.project},
            "push": {"N": "1001"},
            "requester": {"S": PERSON},
            "state": {"S": "forwarded"},
            "created_at": {"N": "1795415400"},
            "expires_at": {"N": "1803191400"},
        }
        jobs = [
            {"request": name, "job": {"S": job}, "state": {"S": "forwarded"}, "expires_at": {"N": "1803191400"}}
            for job in made.names
        ]
        asked.append(Asked(item_size(head), [item_size(job) for job in jobs]))
    _, times = traffic.times(traffic.options.triggers)
    return Naive(
        catalog,
        {project: len(body) for project, body in traffic.bodies.items()},
        dict(traffic.list_requests),
        asked,
        times,
        90 + LATE_DAYS,
        traffic.options.polls,
    )


def naive_item(project: str, job: dict) -> dict:
    """A job as an item, without the fields that have no value."""
    item = {"project": {"S": project}}
    for name, value in job.items():
        if isinstance(value, str):
            item[name] = {"S": value}
        elif value is not None:
            item[name] = {"N": str(value)}
    return item


if __name__ == "__main__":
    main()
