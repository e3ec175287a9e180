"""Runs the ingests of Buildbot that a day has."""

import json
import time
from pathlib import Path

from tools.cost.bill import Amounts, stored_bytes
from tools.cost.day import CALL_SECONDS, Day, say
from tools.cost.item_units import item_size

# The event of the rule that starts an ingest of Buildbot.
BUILDBOT = b'{"build_system": "buildbot"}'
# How long an ingest waits for the dump, in seconds.
DUMP_SECONDS = 10
DAY_SECONDS = 86_400
# DynamoDB deletes expired items within a few days.
LATE_DAYS = 2
ARCHIVE_DAYS = 30


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
            function = day.metered("etl", settings | {"AWS_ENDPOINT_URL": day.stack.env["AWS_ENDPOINT_URL"]}, starts=1)
            report = function.invoke(BUILDBOT, 1, DUMP_SECONDS, counts_calls=False)
        else:
            counted = Day(day.stack, day.recorder, day.programs, day.part, day.ends)
            # The recorder does not pass on calls to S3.
            report = counted.metered("etl", settings | {"RUNNABLE_JOBS_ARCHIVE_BUCKET": ""}).invoke(BUILDBOT, 1)
            # Its calls were not seen in the first one.
            day.wait("etl", CALL_SECONDS * len(day.recorder.calls))
            units = {name: counted.usage[name] for name in ("dynamodb_read_units", "dynamodb_write_units")}
            day.usage.add(units)
            say(f"  units: {units}; the report: {report['read_units']}, {report['write_units']}")
        changed = sum(1 for project in report["projects"].values() if project["added"] or project["removed"])
        say(f"  {changed} of {len(report['projects'])} lists changed")
    day.usage["schedule_events"] += 1
    # The archive first tries to copy the dump onto itself, which fails for a new one, and then uploads it.
    day.usage.add({"s3_writes": 2})
    kept = Amounts()
    kept["s3_bytes"] = archived_bytes(day) * ARCHIVE_DAYS
    day.tables.read_all()
    for key, item in day.tables.items[day.stack.env["CATALOG_TABLE"]].items():
        if "expires_at" not in item:
            kept["dynamodb_bytes"] += stored_bytes(item_size(item))
        elif key not in expired_before:
            kept["dynamodb_bytes"] += stored_bytes(item_size(item)) * days_kept(item)
    day.keep("ingest", kept)


def archived_bytes(day: Day) -> int:
    """The bytes of the last archived dump."""
    objects = day.stack.client("s3").list_objects_v2(Bucket=day.stack.env["ARCHIVE_BUCKET"], Prefix="allthethings/")[
        "Contents"
    ]
    return max(objects, key=lambda found: found["LastModified"])["Size"]


def days_kept(item: dict) -> float:
    """For how many days an item that expires is stored from now on."""
    return (int(item["expires_at"]["N"]) - time.time()) / DAY_SECONDS + LATE_DAYS


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
