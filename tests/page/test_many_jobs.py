"""More jobs than a request can have."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Route, expect

from localstack.fakes.buildbot import EVERY, NEVER, Buildbot
from tests.page.visit import Visit, escaped

pytestmark = pytest.mark.xdist_group("page")
COUNT = 1_001
TRIGGER = re.compile(r"/trigger_runnable_jobs/$")


@pytest.fixture
def idle_buildbot(buildbot: Buildbot) -> Iterator[None]:
    """A Buildbot that runs nothing: a thousand jobs would take it a while."""
    buildbot.results[EVERY] = NEVER
    yield
    del buildbot.results[EVERY]


@pytest.mark.usefixtures("idle_buildbot")
def test_jobs_above_a_thousand_are_two_requests_and_a_send_that_stops_in_between_goes_on(
    visit: Visit, pushes: Iterator[int]
) -> None:
    page, push = visit.page, next(pushes)
    visit.open_push(push)
    # As a person who selected them one by one: the tab keeps the names.
    names = list(visit.listed(push))[:COUNT]
    kept = json.dumps({"version": 1, "names": names})
    page.evaluate("([key, value]) => sessionStorage.setItem(key, value)", [f"selection try {push}", kept])
    visit.open_push(push, escaped(names[0]))
    visit.has_selected(COUNT)
    expect(page.locator("footer")).to_contain_text("above 1,000, jobs run at a lower priority")
    expect(visit.tray.locator(".notice.warning")).to_contain_text("at a lower priority")
    visit.sign_in()
    visit.preview()
    visit.previews(COUNT)
    expect(visit.plan.locator(".notice.warning")).to_contain_text("2 requests")

    # The answer to the second request is lost: the API has it.
    sent: list[tuple[str, int]] = []

    def lose_second(route: Route) -> None:
        request = route.request
        sent.append((request.headers["idempotency-key"], len(request.post_data_json["requested_jobs"])))
        if len(sent) == 2:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    visit.expect_failures("net::ERR_FAILED")
    page.route(TRIGGER, lose_second)
    visit.run()
    expect(visit.plan.get_by_role("alert")).to_contain_text("cannot be reached")
    expect(visit.plan).to_contain_text("1 of 2 requests were sent")
    assert [count for _, count in sent] == [1_000, COUNT - 1_000]

    # Also after a reload.
    page.reload()
    visit.previews(1_001)
    expect(visit.plan).to_contain_text("1 of 2 requests were sent")
    expect(visit.plan).to_contain_text(re.compile("not run twice"))
    visit.run()
    expect(page.locator("main.requests li").filter(has_text=visit.email)).to_have_count(2)
    assert sent[2] == sent[1]
    visit.header.get_by_role("link", name="My requests").click()
    expect(page.get_by_role("heading", name="My requests")).to_be_visible()
    expect(page.locator("main.requests li")).to_have_count(2)
