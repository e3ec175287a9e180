"""Writes docs/scale.md's tables: which limit growth meets first, and what it costs, from what the meter has written.

    make cost FLAGS='--json tools/cost/metered.json'
    .venv/bin/python -m tools.cost.scale

Every cause of cost is linear: twice the requests use twice the units. `tools.cost.slope` checks that.
"""

import argparse
import dataclasses
import json
import tomllib
from collections import Counter
from pathlib import Path

from tools.cost.bill import DAYS_A_MONTH, bill, load_prices, month
from tools.cost.ingest import DAY_SECONDS, DUMP_SECONDS
from tools.cost.traffic import PROJECTS, SIZES

LIMITS = Path(__file__).with_name("limits.toml")
METERED = Path(__file__).with_name("metered.json")
DOCUMENT = Path(__file__).parents[2] / "docs" / "scale.md"
BEGIN, END = "<!-- what tools/cost/scale.py prints -->\n", "<!-- end -->"
FACTORS = (1, 10, 100, 1_000)
# The busiest minute has so many times the mean rate of a day.
PEAK = 10
# The busiest hour, about as long as a request is followed, has so many times the mean rate.
BUSY_HOUR = 3
# Messages that Lambda gives one invocation of the forward function, if so many wait.
BATCH = 10
# The size at which an HTTP API bills another request.
STEP = 512 * 1024


@dataclasses.dataclass(frozen=True)
class Limit:
    """One line of the file of limits."""

    label: str
    unit: str
    most: float
    page: str
    change: str


@dataclasses.dataclass(frozen=True)
class Growth:
    """So many times the traffic, and so many times the jobs."""

    traffic: float = 1
    jobs: float = 1


def load_limits() -> dict[str, Limit]:
    return {name: Limit(**limit) for name, limit in tomllib.loads(LIMITS.read_text()).items()}


def usage(metered: dict, growth: Growth) -> dict[str, float]:
    """A month's usage, by the names of the price file."""
    day: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for cause, used in metered["causes"].items():
        times = growth.traffic if cause in BY_TRAFFIC else growth.jobs if cause in BY_JOBS else 1
        for name, amount in used.items():
            more = growth.jobs if name in PER_LIST_BYTE.get(cause, ()) else 1
            day[name] += amount * times * more
    # A list of more than half a mebibyte is billed as several requests.
    steps = -(-metered["try_list_bytes"] * growth.jobs // STEP) - 1
    day["http_api_requests"] += steps * sent_lists(metered) * PROJECTS["try"] / 100 * growth.traffic
    for cause, used in metered["kept"].items():
        for name, amount in used.items():
            more = growth.jobs if cause == "push" else 1
            kept[name] += amount * (growth.jobs if cause in BY_JOBS else growth.traffic * more)
    known = dict.fromkeys(load_prices(), 0.0) | month(day) | dict(kept) | metered["fixed"]
    return known | {
        "dynamodb_recovery_bytes": kept["dynamodb_bytes"],
        "metrics": metered["metrics"],
        "log_stored_bytes": day["log_bytes"] * metered["log_packed"] * metered["log_days"],
    }


# What grows with the traffic, and what grows with the jobs. The rest stays as it is.
BY_TRAFFIC = ("list", "trigger", "follow", "push", "label")
BY_JOBS = ("ingest", "read")
# What a list uses by its length: bytes to a client, time to read and send it, units to read it. That of a push is
# written too.
PER_LIST_BYTE = {
    "list": ("bytes_out", "lambda_gb_seconds", "dynamodb_read_units"),
    "push": ("bytes_out", "lambda_gb_seconds", "dynamodb_read_units", "dynamodb_write_units"),
}


def sent_lists(metered: dict) -> float:
    """The lists of a day that are sent whole. The others are answered without a body."""
    return metered["causes"]["list"]["http_api_requests"] - metered["unchanged_lists"]


def demand(metered: dict, growth: Growth) -> dict[str, float]:
    """What the busiest minute asks of each limit, in its unit."""
    peak = growth.traffic * PEAK / DAY_SECONDS
    causes, functions, followed = metered["causes"], metered["functions"], metered["followed"]
    invocations, events = metered["invocations"], metered["events"]
    lists = events["list"] + invocations.get("push", 0)
    triggers = events["trigger"] + events["label"]
    calls = invocations["trigger"] + invocations.get("label", 0)
    waits = functions["forward"]["seconds"]
    # One message is a batch while they come alone; when more wait, a batch takes little longer.
    rate = triggers * peak
    batch = min(max(rate * waits, 1), BATCH)
    concurrency = {
        "jobs": lists * peak * functions["jobs"]["seconds"] * growth.jobs,
        "trigger": calls * peak * functions["trigger"]["seconds"],
        "forward": rate * waits / batch,
    }
    ingest = functions["etl"]["seconds"] - DUMP_SECONDS
    empty = followed["seconds_of_an_empty_round"]
    busy = growth.traffic * BUSY_HOUR
    return {
        # Requests to run jobs have two routes: one to make them and one for their status, which is most.
        "route_rate": max(lists, calls) * peak,
        "api_rate": (lists + calls) * peak,
        "jobs_concurrency": concurrency["jobs"],
        "trigger_concurrency": concurrency["trigger"],
        "forward_concurrency": concurrency["forward"],
        "lambda_concurrency": sum(concurrency.values()),
        "pulse_rate": rate,
        "open_index": rate * metered["index_write_units"]["open"],
        "followed": followed["at_a_time"] * busy,
        "round_time": empty + (functions["follow"]["seconds"] - empty) * busy,
        "list_partition": causes["list"]["dynamodb_read_units"] * PROJECTS["try"] / 100 * peak * growth.jobs,
        "answer_size": metered["try_list_bytes"] * growth.jobs,
        "ingest_time": (ingest + DUMP_SECONDS) * growth.jobs,
    }


def met_at(metered: dict, name: str, limit: Limit) -> float | None:
    """The factor of the traffic at which a limit is met, or None if it does not depend on the traffic."""
    if demand(metered, Growth(1))[name] == demand(metered, Growth(2))[name]:
        return None
    low, high = 0.0, 1e9
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if demand(metered, Growth(middle))[name] < limit.most else (low, middle)
    return high


def document(metered: dict) -> str:
    """The generated part of docs/scale.md."""
    limits, prices = load_limits(), load_prices()
    growths = [*(Growth(factor) for factor in FACTORS), Growth(1, 10)]
    heads = [*(f"{factor:,} x" for factor in FACTORS), "10 x the jobs"]
    costs = [bill(prices, usage(metered, growth), False) for growth in growths]
    shown = [name for name in prices if any(cost[name] >= 0.005 for cost in costs)]
    rows = [["dollars a month, without a free tier", *heads], ["---", *["---:"] * len(heads)]]
    rows += [[prices[name].label, *(f"{cost[name]:,.2f}" for cost in costs)] for name in shown]
    rows.append(["**A month**", *(f"**{sum(cost.values()):,.2f}**" for cost in costs)])
    out = table(rows)

    first = {name: met_at(metered, name, limit) for name, limit in limits.items()}
    rows = [["limit (share that is used at the peak)", "most", *heads, "met at"], ["---", "---:", *["---:"] * 6]]
    for name, limit in sorted(limits.items(), key=lambda entry: first[entry[0]] or float("inf")):
        used = [demand(metered, growth)[name] / limit.most for growth in growths]
        at = first[name]
        rows.append(
            [
                limit.label,
                f"{limit.most:,} {limit.unit}",
                *(f"**{share:,.0%}**" if share >= 1 else f"{share:.0%}" if share >= 0.01 else "< 1%" for share in used),
                f"{at:,.0f} x" if at else "by the jobs",
            ]
        )
    out += "\n" + table(rows)

    rows = [["limit", "what to change", "source"], ["---"] * 3]
    for limit in limits.values():
        page = f"[AWS]({limit.page})" if limit.page.startswith("https://") else f"`{limit.page}`"
        rows.append([limit.label, limit.change, page])
    return out + "\n" + table(rows)


def table(rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def with_tables(text: str, metered: dict) -> str:
    """The document with these tables in place of those that it has."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + document(metered) + END + rest.split(END, 1)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metered", type=Path, default=METERED, help="what the meter wrote (default: %(default)s)")
    options = parser.parse_args()
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(), json.loads(options.metered.read_text())))
    print(f"{DOCUMENT}: {DAYS_A_MONTH} days a month, requests of {sum(SIZES) / len(SIZES):.1f} jobs")


if __name__ == "__main__":
    main()
