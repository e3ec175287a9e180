"""A stack, a browser, and persons who look at the stack's page with it."""

import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from localstack import chromium
from localstack.fakes.buildbot import Buildbot
from localstack.fakes.pushes import PUSH_ID
from localstack.fakes.taskcluster import Control as TaskclusterControl
from localstack.fakes.treeherder import Control as TreeherderControl
from localstack.openid_process import TOKEN_SECONDS
from localstack.openid_provider import Control as ProviderControl
from localstack.paths import ROOT
from tests.page.visit import PROJECT, Visit
from tests.support.sources import sample_with_many_chunks
from tests.support.stack import Stack

# The builders of the sample, and the chunks that are added to `try`: it has more jobs than a request can have.
BUILDERS, CHUNKS = 2000, 800
# How long jobs stay in each state, in seconds.
PACE_SECONDS = 0.3
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
# The success criteria of WCAG 2.2 at the levels A and AA.
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")

NewVisit = Callable[..., Visit]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Stack]:
    """A stack that sends requests on, and follows them. Each worker has one."""
    source = sample_with_many_chunks(tmp_path_factory.mktemp("source"), BUILDERS, CHUNKS)
    found = Stack(source, "--no-listener", name=f"page-{worker_id}", forwards=True)
    yield found
    found.stop()


@pytest.fixture(scope="session")
def buildbot(stack: Stack) -> Iterator[Buildbot]:
    """Runs the Buildbot jobs that the stack sends on; `results` says how they end."""
    found = Buildbot(stack.env["TREEHERDER_URL"], PACE_SECONDS)
    with stack.listening_with("page", found.receive):
        yield found
    found.stop()


@pytest.fixture
def treeherder(stack: Stack) -> Iterator[TreeherderControl]:
    control = TreeherderControl(stack.env["TREEHERDER_URL"])
    yield control
    control.set_mode("ok")


@pytest.fixture
def taskcluster(stack: Stack) -> Iterator[TaskclusterControl]:
    control = stack.taskcluster()
    control.set_pace(PACE_SECONDS)
    yield control
    control.reset()


@pytest.fixture
def provider(stack: Stack) -> Iterator[ProviderControl]:
    control = ProviderControl(stack.env["OIDC_ISSUER"])
    yield control
    control.set_token_seconds(TOKEN_SECONDS)
    for path in ("/.well-known/openid-configuration", "/oauth2/authorize", "/oauth2/token"):
        control.set_fault(path, None)


@pytest.fixture(scope="session")
def builders(stack: Stack) -> Iterator[str]:
    """Names of Buildbot jobs that need no build, another one each time."""
    return itertools.cycle(stack.builds(PROJECT))


@pytest.fixture(scope="session")
def pushes() -> Iterator[int]:
    """Pushes: a new one each time, in turn."""
    return itertools.cycle(range(PUSH_ID, PUSH_ID + 10))


@pytest.fixture(scope="session")
def busy_push(stack: Stack) -> int:
    """The push that has runs in every state."""
    return int(stack.env["BUSY_PUSH_ID"])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium.program(), args=list(chromium.ARGUMENTS))
        yield found
        found.close()


@pytest.fixture
def new_visit(stack: Stack, browser: Browser) -> Iterator[NewVisit]:
    """Opens tabs, each of another person with another browser. None of them may log an error that a test does not
    expect.
    """
    visits: list[Visit] = []

    def begin(email: str | None = None, viewport: dict[str, int] = DESKTOP, **options: Any) -> Visit:
        context = browser.new_context(viewport=viewport, **options)
        context.set_default_timeout(30_000)
        visits.append(Visit(stack, context.new_page(), email or f"person-{uuid.uuid4().hex[:8]}@mozilla.com"))
        return visits[-1]

    yield begin
    complaints = [complaint for visit in visits for complaint in visit.complaints]
    for visit in visits:
        visit.page.context.close()
    assert complaints == []


@pytest.fixture
def visit(new_visit: NewVisit) -> Visit:
    """A person at a desktop computer."""
    return new_visit()


@pytest.fixture
def phone(new_visit: NewVisit) -> Visit:
    """A person with a phone."""
    return new_visit(viewport=PHONE, has_touch=True, is_mobile=True)


@pytest.fixture(scope="session")
def axe() -> Callable[[Visit], None]:
    """Checks that what a visit shows is accessible."""
    source = AXE.read_text()

    def check(visit: Visit) -> None:
        visit.page.evaluate(source)
        options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
        found = visit.page.evaluate("options => axe.run(document, options)", options)
        violations = {
            each["id"]: [f"{node['html'][:160]}: {node['failureSummary']}" for node in each["nodes"][:3]]
            for each in found["violations"]
        }
        assert not violations, json.dumps(violations, indent=2, ensure_ascii=False)

    return check
