"""What AWS bills for what was used: arithmetic alone, and the prices it is done with (`prices.toml`).

A usage tells for each price how much of its unit was used in a month, by the names of the price file.
"""

import dataclasses
import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.cost.item_units import READ_STEP, WRITE_STEP

PRICES = Path(__file__).with_name("prices.toml")
DAYS_A_MONTH = 30
HOURS_A_DAY = 24
# Memory buys a share of a processor: this much, in MB, buys a whole one (AWS Lambda Developer Guide, "Configure Lambda
# function memory").
MB_A_PROCESSOR = 1769
HTTP_API_STEP = 512 * 1024
# What DynamoDB counts as stored for each item, and for each entry of an index, beside its bytes (Amazon DynamoDB
# Developer Guide, "DynamoDB item sizes and formats").
ITEM_OVERHEAD = 100
# What CloudWatch counts as kept for each line, beside its packed bytes (its price page).
LINE_OVERHEAD = 26


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
    """The dollars for each price, after what is always free or without. Each price is for something that was counted,
    and everything that was counted has a price: otherwise a ValueError says which does not."""
    if odd := set(prices) ^ set(usage):
        raise ValueError(f"a price without a count, or a count without a price: {', '.join(sorted(odd))}")
    return {
        name: max(usage[name] - (price.free if free else 0), 0) / price.per * price.dollars
        for name, price in prices.items()
    }


def gb_seconds(seconds: float, memory: int, away_seconds: float = 0) -> float:
    """What Lambda bills for one invocation that took so long on a whole processor, and waited for others beside that,
    in a function of so many MB. As if all of the time on this machine were the processor's: that is the most."""
    milliseconds = math.ceil(round((seconds * MB_A_PROCESSOR / memory + away_seconds) * 1000, 6))
    return milliseconds / 1000 * memory / 1024


def http_api_requests(size: int) -> int:
    """What API Gateway bills for one answer of so many bytes."""
    return max(math.ceil(size / HTTP_API_STEP), 1)


def receives_a_day(pollers: int, seconds: int) -> float:
    """What Lambda asks of an empty queue, with so many pollers that wait so long each time."""
    return pollers * HOURS_A_DAY * 3600 / seconds


def metric_months(lines_a_day: Iterable[float]) -> float:
    """What CloudWatch bills for metrics that so many lines a day have, spread over the day: hours with a line of all
    hours."""
    return sum(min(lines, HOURS_A_DAY) / HOURS_A_DAY for lines in lines_a_day)


def stored_bytes(size: int, entries: Iterable[int] = ()) -> int:
    """What DynamoDB counts as stored for an item with these entries in indexes."""
    return sum(part + ITEM_OVERHEAD for part in (size, *entries))


def consistent_units(size: int) -> int:
    """What a consistent query that finds so many bytes costs."""
    return max(math.ceil(size / READ_STEP), 1)


def write_units(size: int) -> int:
    return math.ceil(size / WRITE_STEP)


def month(day: Mapping[str, float]) -> dict[str, float]:
    return {name: amount * DAYS_A_MONTH for name, amount in day.items()}


@dataclasses.dataclass(frozen=True)
class Asked:
    """A request to run jobs as the naive design keeps it: the bytes of its item, and of one for each of its jobs."""

    head: int
    jobs: list[int]

    @property
    def size(self) -> int:
        return self.head + sum(self.jobs)


@dataclasses.dataclass(frozen=True)
class Naive:
    """A day's traffic as the naive design meets it: each job is an item, a list is queried whole and sent as it is."""

    # For each project, the bytes of the items of its jobs, all of them written each day.
    catalog: dict[str, list[int]]
    # For each project, the bytes of an answer, and how many there are in a day.
    answers: dict[str, int]
    lists: dict[str, float]
    # Requests of which each stands for so many in a day, for how many days they are kept, and how often each is asked
    # about.
    asked: list[Asked]
    times: float
    days_kept: float
    polls: int

    def usage(self, ours: Mapping[str, float], our_list_bytes: float) -> dict[str, float]:
        """A month's usage: where the designs do not differ, ours. `our_list_bytes` are those of our lists of a day."""
        reads: float = sum(
            count * consistent_units(sum(self.catalog[project])) for project, count in self.lists.items()
        )
        writes: float = sum(write_units(size) for jobs in self.catalog.values() for size in jobs)
        stored: float = sum(stored_bytes(size) for jobs in self.catalog.values() for size in jobs)
        for one in self.asked:
            # Each job is looked up in the catalog; the whole is read to be forwarded, and at every poll.
            looked_up = sum(consistent_units(size) for size in one.jobs)
            reads += self.times * (looked_up + (1 + self.polls) * consistent_units(one.size))
            # Made, and changed when it was forwarded.
            writes += self.times * 2 * (write_units(one.head) + sum(map(write_units, one.jobs)))
            kept = stored_bytes(one.head) + sum(map(stored_bytes, one.jobs))
            stored += self.times * self.days_kept * kept
        list_bytes = sum(count * self.answers[project] for project, count in self.lists.items())
        more = sum(count * (http_api_requests(self.answers[project]) - 1) for project, count in self.lists.items())
        return dict(ours) | {
            "http_api_requests": ours["http_api_requests"] + more * DAYS_A_MONTH,
            "bytes_out": ours["bytes_out"] + (list_bytes - our_list_bytes) * DAYS_A_MONTH,
            "dynamodb_read_units": reads * DAYS_A_MONTH,
            "dynamodb_write_units": writes * DAYS_A_MONTH,
            "dynamodb_bytes": stored,
            "dynamodb_recovery_bytes": stored,
        }
