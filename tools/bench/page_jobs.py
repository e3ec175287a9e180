"""A push for the measurements of the page: a task graph in gecko's shape, and runs of some of its jobs.

Which combinations exist is invented; how many there are, and what they are called, is not. The jobs in
`web/tests/support/labels.ts`, for the tests of the model, have the same shape.
"""

import itertools
from collections.abc import Iterator
from typing import Any

PLATFORMS = (
    *(f"linux2404-64{variant}" for variant in ("", "-asan", "-tsan", "-ccov", "-shippable", "-devedition")),
    *("linux1804-64-qr", "linux2204-64-wayland", "linux2404-32", "windows11-32-24h2", "windows11-aarch64-24h2"),
    *(f"windows11-64-24h2{variant}" for variant in ("", "-ccov", "-shippable", "-hw-ref", "-asan")),
    *("macosx1470-64", "macosx1015-64-qr", "macosx1500-aarch64", "macosx1500-aarch64-shippable"),
    *("android-em-14-x86_64", "android-em-14-x86_64-lite", "android-hw-a55-14-0-aarch64"),
)
WITH_ONE_OPTION = ("shippable", "ccov", "devedition")
# Suite, symbol, symbol and name of the group, chunks.
SUITES = (
    ("mochitest-plain", "", "M", "Mochitests", 18),
    ("mochitest-browser-chrome", "bc", "M", "Mochitests", 24),
    ("mochitest-devtools-chrome", "dt", "M", "Mochitests", 12),
    ("mochitest-chrome", "c", "M", "Mochitests", 4),
    ("mochitest-a11y", "a11y", "M", "Mochitests", 1),
    ("reftest", "R", "R", "Reftests", 9),
    ("crashtest", "C", "R", "Reftests", 3),
    ("jsreftest", "J", "R", "Reftests", 5),
    ("web-platform-tests", "wpt", "W", "Web platform tests", 30),
    ("web-platform-tests-reftest", "Wr", "W", "Web platform tests", 6),
    ("web-platform-tests-wdspec", "Wd", "W", "Web platform tests", 4),
    ("xpcshell", "X", "X", "Xpcshell tests", 16),
    ("marionette-integration", "Mn", "?", "unknown", 1),
    ("gtest-1proc", "GTest", "?", "unknown", 1),
    ("talos-tp5o", "tp5o", "T", "Talos performance tests", 1),
    ("browsertime-tp6-firefox-amazon", "amazon", "Btime", "Browsertime performance tests on Firefox", 1),
)
VARIANTS = ("", "swr", "spi-nw", "a11y-checks", "nofis", "1proc", "http3", "msix", "vt", "condprof")
# How runs ended, in turn.
RESULTS = (*["success"] * 12, "testfailed", "success", "busted", "retry", "exception", "success", "usercancel")
PUSHED_AT = 1_793_610_000


def graph(labels: int) -> dict[str, dict[str, Any]]:
    """So many labels, as the artifact of a decision task describes them."""
    return dict(itertools.islice(_labels(), labels))


def runs(labels: dict[str, dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Jobs of Treeherder that ran: so many of the labels, evenly."""
    step = len(labels) // count
    chosen = itertools.islice(labels.items(), 0, None, step)
    return [
        {
            "build_system_type": "taskcluster",
            "platform": job["platform"],
            "platform_option": next(iter(job["collection"])),
            "job_group_name": job["groupName"],
            "job_group_symbol": job["groupSymbol"],
            "job_type_name": label,
            "job_type_symbol": job["symbol"],
            # Of a job of Taskcluster Treeherder has a hash in place of the name.
            "ref_data_name": f"{number:040x}",
            "state": "completed",
            "result": result,
            "submit_timestamp": PUSHED_AT + number,
            "start_timestamp": PUSHED_AT + number + 60,
            "end_timestamp": PUSHED_AT + number + 900,
        }
        for number, ((label, job), result) in enumerate(zip(chosen, itertools.cycle(RESULTS), strict=False))
    ][:count]


def _labels() -> Iterator[tuple[str, dict[str, Any]]]:
    """All labels that there could be: without an end, as suites get ever more chunks."""
    for start in itertools.count():
        for variant, platform in itertools.product(VARIANTS, PLATFORMS):
            has_one = any(word in platform for word in WITH_ONE_OPTION)
            for option in ("opt",) if has_one else ("opt", "debug"):
                yield from _of_platform(platform, option, variant, start)


def _of_platform(platform: str, option: str, variant: str, start: int) -> Iterator[tuple[str, dict[str, Any]]]:
    shared = {"collection": {option: True}, "platform": platform}
    if start == 0 and not variant:
        yield f"build-{platform}/{option}", shared | {"symbol": "B", "groupSymbol": "?", "groupName": "unknown"}
    suffix = f"-{variant}" if variant else ""
    for suite, symbol, group, name, chunks in SUITES:
        label = f"test-{platform}/{option}-{suite}{suffix}"
        described = shared | {
            "groupSymbol": group if group == "?" else group + suffix,
            "groupName": f"{name} with {variant}" if variant and group != "?" else name,
        }
        if chunks > 1:
            for chunk in range(start * chunks + 1, (start + 1) * chunks + 1):
                yield f"{label}-{chunk}", described | {"symbol": f"{symbol}{chunk}"}
        elif start == 0:
            yield label, described | {"symbol": symbol}
