"""What axe finds, in every state of the page: in light and dark, on a desktop computer and on a phone."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from localstack.fakes.taskcluster import Control as TaskclusterControl
from localstack.fakes.taskcluster import own_label
from tests.page.conftest import DESKTOP, PHONE, NewVisit
from tests.page.visit import Visit, escaped

pytestmark = pytest.mark.xdist_group("page-looks")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESKTOP, "color_scheme": "light"},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "has_touch": True, "is_mobile": True},
    "phone-dark": {"viewport": PHONE, "color_scheme": "dark", "has_touch": True, "is_mobile": True},
}
Check = Callable[[Visit], None]


@pytest.fixture(params=LOOKS)
def looking(request: pytest.FixtureRequest, new_visit: NewVisit) -> Visit:
    return new_visit(**LOOKS[request.param])


def test_the_choice_of_a_push_is_accessible(looking: Visit, axe: Check) -> None:
    looking.open("?project=try")
    expect(looking.page.locator("ul.pushes li").first).to_be_visible()
    axe(looking)
    looking.page.get_by_label("Find a push").fill("0123456789ab")
    looking.page.get_by_role("button", name="Find", exact=True).click()
    expect(looking.page.get_by_text("Treeherder has no push on try")).to_be_visible()
    axe(looking)


def test_the_grid_and_what_is_beside_it_are_accessible(looking: Visit, axe: Check, busy_push: int) -> None:
    page = looking.page
    looking.open_push(busy_push, "mochitest linux2404-64")
    expect(page.locator(".grid .ran").first).to_be_visible()
    axe(looking)

    # Jobs, groups and chunks that are selected in part, the panel of a job, and the tray, opened.
    page.locator(".grid [data-part=job]").nth(1).click()
    page.locator(".grid [data-part=fold], .grid [data-part=group]").first.click()
    expect(looking.panel).to_be_attached()
    if not looking.tray.is_visible():
        page.get_by_role("button", name="Selection", exact=True).click()
    looking.tray.locator(".rows [aria-expanded]").first.click()
    axe(looking)

    page.get_by_role("button", name="Quick picks").click()
    page.get_by_role("button", name="The push before", exact=True).click()
    expect(page.get_by_role("heading", name="Quick picks")).to_be_visible()
    axe(looking)
    page.get_by_role("button", name="Presets").click()
    page.get_by_label("Save the filter as").fill("My tests")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("“My tests” is saved.")).to_be_visible()
    axe(looking)
    page.get_by_role("button", name="Keys").click()
    expect(page.get_by_role("dialog", name="Help")).to_be_visible()
    axe(looking)


@pytest.mark.usefixtures("buildbot")
def test_the_preview_and_the_request_are_accessible(
    looking: Visit, axe: Check, taskcluster: TaskclusterControl, builders: Iterator[str], pushes: Iterator[int]
) -> None:
    page, push, job = looking.page, next(pushes), next(builders)
    taskcluster.set_pace(None)
    looking.open_push(push)
    for name in (job, own_label(push)):
        looking.filter(escaped(name))
        looking.select(name)
    looking.preview()
    expect(looking.plan.get_by_role("button", name="Sign in")).to_be_visible()
    axe(looking)
    looking.plan.get_by_role("button", name="Sign in").click()
    looking.fill_provider()
    looking.previews(2)
    axe(looking)

    looking.run()
    expect(looking.watch.locator("progress")).to_be_visible()
    axe(looking)
    taskcluster.set_pace(0.1)
    taskcluster.finish()
    looking.watches_to_the_end()
    looking.watch.get_by_text("History").click()
    axe(looking)
    looking.header.get_by_role("link", name="My requests").click()
    expect(page.locator("main.requests li")).to_have_count(1)
    axe(looking)


def test_errors_are_accessible(looking: Visit, axe: Check, pushes: Iterator[int]) -> None:
    page = looking.page
    looking.answer_with(
        r"/runnable_jobs/\?view=grid", 503, "store_unavailable", "The store does not answer.", Retry_After="3"
    )
    looking.open(f"?project=try&push={next(pushes)}")
    expect(page.get_by_role("alert")).to_be_visible()
    axe(looking)
    page.unroute_all()

    looking.expect_failures(404, 403)
    looking.open("?project=no-such-project")
    expect(page.get_by_text("There is no list of jobs of the project")).to_be_visible()
    axe(looking)
    looking.open_push(next(pushes))
    looking.filter("nothing-has-this-name")
    expect(page.get_by_text("No job matches.")).to_be_visible()
    axe(looking)
    looking.filter("xpcshell")
    page.get_by_role("button", name=re.compile("^Select the")).click()
    looking.sign_in("stranger@example.org")
    looking.preview()
    expect(looking.plan.get_by_role("alert")).to_be_visible()
    axe(looking)
