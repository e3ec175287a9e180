"""Marks the tests that need a stack, and the stacks that several suites share."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.sources import sample_with_known_jobs
from tests.support.stack import Stack

# Tests in these folders need the emulator, the broker or the built programs.
STACK_FOLDERS = tuple(Path(__file__).with_name(name) for name in ("e2e", "faults", "page"))


# The groups of tests that share a stack, in the order in which they start. Those that wait most start first, beside
# those that compute most: otherwise they would be the last, and wait alone. A worker that has no more than two tests
# left gets the next group, so "both-destinations", which is a single test, is followed by the first after the fourth.
GROUPS = (
    "both-destinations",
    "HttpApi",
    "forward",
    "page",
    "faults",
    "page-looks",
    "taskcluster-trigger",
    "replay",
    "FunctionUrl",
    "kept-stack",
    "promises",
    "running-stack",
    "taskcluster",
    "failing-stack",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)
    for item in items:
        if any(folder in item.path.parents for folder in STACK_FOLDERS):
            item.add_marker(pytest.mark.stack)


def _place(item: pytest.Item) -> int:
    group = item.get_closest_marker("xdist_group")
    return GROUPS.index(group.args[0]) if group else len(GROUPS)


@pytest.fixture(scope="session")
def stack_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Stack]]:
    """Stacks for suites that change no configuration: one for each HTTP front, by its name as the template has it.

    Requests stay in the queue. A suite uses persons of its own, and empties the queue before it counts what is in it.
    """
    stacks: dict[str, Stack] = {}
    with contextlib.ExitStack() as ends:

        def start(front: str) -> Stack:
            if front not in stacks:
                source = sample_with_known_jobs(tmp_path_factory.mktemp("source"))
                stacks[front] = Stack(source, "--http-front", front, name=front)
                ends.callback(stacks[front].stop)
            return stacks[front]

        yield start
