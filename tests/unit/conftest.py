"""The fakes of Taskcluster and Treeherder, for the tests of both."""

from collections.abc import Iterator

import pytest

from localstack.fakes.taskcluster import Taskcluster
from localstack.fakes.treeherder import Treeherder


@pytest.fixture(scope="module")
def running() -> Iterator[Taskcluster]:
    fake = Taskcluster(pace=None).start()
    yield fake
    fake.stop()


@pytest.fixture
def fake(running: Taskcluster) -> Taskcluster:
    """A fake as at its start. What it creates moves when a test says so."""
    running.reset()
    return running


@pytest.fixture
def treeherder() -> Iterator[Treeherder]:
    fake = Treeherder().start()
    yield fake
    fake.stop()
