"""The bill of AWS for a usage: the arithmetic, with the prices in `prices.toml`.

A usage has, for each name of the price file, how much of its unit was used in a month.
"""

import collections
import dataclasses
import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.cost.item_units import READ_STEP, WRITE_STEP

PRICES = Path(__file__).with_name("prices.toml")
DAYS_A_MONTH = 30
HOURS_A_DAY = 24
# The memory of a function buys a share of a processor: this much, in MB, buys a whole one (AWS Lambda Developer Guide,
# "Configure Lambda function memory").
MB_A_PROCESSOR = 1769
HTTP_API_STEP = 512 * 1024
# The bytes that DynamoDB adds to each stored item, and to each entry of an index (Amazon DynamoDB
# Developer Guide, "DynamoDB item sizes and formats").
ITEM_OVERHEAD = 100
# The bytes that CloudWatch adds to each stored line, compressed (its price page).
LINE_OVERHEAD = 26


class Amounts(collections.defaultdict[str, float]):
    """Amounts by their names. What was never added is 0."""

    def __init__(self) -> None:
        super().__init__(float)

    def add(self, amounts: Mapping[str, float]) -> None:
        """Add each amount to the one of its name."""
        for name, amount in amounts.items():
            self[name] += amount


@dataclasses.dataclass(frozen=True)
class Price:
    """One line of the price file."""

    label: str
    unit: str
    dollars: float
    per: float
    free: float
    page: str


def load_prices() -> dict[str, Price]:
    return {name: Price(**price) for name, price in tomllib.loads(PRICES.read_text()).items()}


def bill(prices: Mapping[str, Price], usage: Mapping[str, float], free: bool) -> dict[str, float]:
    """The dollars for each price, with or without the free tier.

    Raises ValueError for a price without a count, or a count without a price.
    """
    if odd := set(prices) ^ set(usage):
        raise ValueError(f"a price without a count, or a count without a price: {', '.join(sorted(odd))}")
    return {
        name: max(usage[name] - (price.free if free else 0), 0) / price.per * price.dollars
        for name, price in prices.items()
    }


def gb_seconds(seconds: float, memory: int, away_seconds: float = 0) -> float:
    """The GB-seconds of one invocation that used a whole processor for `seconds`, and waited for other services beside
    that, in a function of `memory` MB.
    """
    milliseconds = math.ceil(round((seconds * MB_A_PROCESSOR / memory + away_seconds) * 1000, 6))
    return milliseconds / 1000 * memory / 1024


def http_api_requests(size: int) -> int:
    """The requests that API Gateway bills for one answer of `size` bytes."""
    return max(math.ceil(size / HTTP_API_STEP), 1)


def receives_a_day(pollers: int, seconds: int) -> float:
    """The receives of an empty queue in a day, with so many pollers of which each waits for `seconds`."""
    return pollers * HOURS_A_DAY * 3600 / seconds


def metric_months(lines_a_day: Iterable[float]) -> float:
    """The metrics that CloudWatch bills: each counts by the share of hours in which a line has it, if its lines are
    spread over the day.
    """
    return sum(min(lines, HOURS_A_DAY) / HOURS_A_DAY for lines in lines_a_day)


def stored_bytes(size: int, entries: Iterable[int] = ()) -> int:
    """The bytes that DynamoDB bills for an item with these entries in indexes."""
    return sum(part + ITEM_OVERHEAD for part in (size, *entries))


def consistent_units(size: int) -> int:
    """The units of a consistent query that finds so many bytes."""
    return max(math.ceil(size / READ_STEP), 1)


def write_units(size: int) -> int:
    return math.ceil(size / WRITE_STEP)


def month(day: Mapping[str, float]) -> dict[str, float]:
    return {name: amount * DAYS_A_MONTH for name, amount in day.items()}


@dataclasses.dataclass(frozen=True)
class Asked:
    """A trigger request as the naive design stores it: the bytes of its item, and of an item for each of its jobs; and
    how many of a day it represents.
    """

    head: int
    jobs: list[int]
    times: float

    @property
    def size(self) -> int:
        return self.head + sum(self.jobs)


@dataclasses.dataclass(frozen=True)
class Naive:
    """A day's traffic for the naive design: each job is an item; lists are queried as a whole, and not compressed."""

    # For each project, the bytes of the items of its jobs, all of which are written each day.
    catalog: dict[str, list[int]]
    # For each project, the bytes of an answer, and the number of answers in a day.
    answers: dict[str, int]
    lists: dict[str, float]
    # Trigger requests, for how many days they are stored, and how often the status of each is requested.
    asked: list[Asked]
    days_kept: float
    polls: int
    # How often each is looked at until its jobs have ended.
    looks: float

    def usage(
        self, ours: Mapping[str, float], our_list_bytes: float, same: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """A month's usage, which is ours where the designs do not differ. `our_list_bytes` are those of a day, and
        `same` is a part of our usage that both have.
        """
        reads: float = sum(
            count * consistent_units(sum(self.catalog[project])) for project, count in self.lists.items()
        )
        writes: float = sum(write_units(size) for jobs in self.catalog.values() for size in jobs)
        stored: float = sum(stored_bytes(size) for jobs in self.catalog.values() for size in jobs)
        for one in self.asked:
            # Each job is looked up in the catalog; the request is read to be forwarded, and at every poll.
            looked_up = sum(consistent_units(size) for size in one.jobs)
            reads += one.times * (looked_up + (1 + self.polls + self.looks) * consistent_units(one.size))
            # Written when it is made, and when it is forwarded; each job also when it is pending, when it runs and when
            # it ends, and the head once more at the end.
            writes += one.times * (3 * write_units(one.head) + 5 * sum(map(write_units, one.jobs)))
            kept = stored_bytes(one.head) + sum(map(stored_bytes, one.jobs))
            stored += one.times * self.days_kept * kept
        list_bytes = sum(count * self.answers[project] for project, count in self.lists.items())
        more = sum(count * (http_api_requests(self.answers[project]) - 1) for project, count in self.lists.items())
        both = collections.Counter(same or {})
        return dict(ours) | {
            "http_api_requests": ours["http_api_requests"] + more * DAYS_A_MONTH,
            "bytes_out": ours["bytes_out"] + (list_bytes - our_list_bytes) * DAYS_A_MONTH,
            "dynamodb_read_units": reads * DAYS_A_MONTH + both["dynamodb_read_units"],
            "dynamodb_write_units": writes * DAYS_A_MONTH + both["dynamodb_write_units"],
            "dynamodb_bytes": stored + both["dynamodb_bytes"],
            "dynamodb_recovery_bytes": stored + both["dynamodb_bytes"],
        }
