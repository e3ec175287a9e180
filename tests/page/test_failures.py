"""What does not answer, or answers with an error: the page says it, keeps what it has, and goes on."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Request, expect

from localstack.fakes.treeherder import Control as TreeherderControl
from tests.page.visit import Visit, escaped

pytestmark = pytest.mark.xdist_group("page")
LISTS = r"/runnable_jobs/\?view=grid"
TRIGGER = r"/trigger_runnable_jobs/$"
UNKNOWN_PUSH, UNKNOWN_PROJECT = 987_654, "no-such-project"


def test_a_list_that_cannot_be_read_is_said_and_tried_again(visit: Visit, pushes: Iterator[int]) -> None:
    end = visit.answer_with(LISTS, 503, "store_unavailable", "The store of the lists does not answer.", Retry_After="3")
    visit.open(f"?project=try&push={next(pushes)}&q=mochitest")
    alert = visit.page.get_by_role("alert")
    expect(alert).to_contain_text("The store of the lists does not answer.")
    expect(alert).to_contain_text("request id a1b2c3")
    end()
    alert.get_by_role("button", name="Try again").click()
    visit.sees_jobs()
    expect(alert).to_have_count(0)
    expect(visit.field).to_have_value("mochitest")


def test_projects_that_cannot_be_read_leave_a_field_for_a_name(visit: Visit) -> None:
    end = visit.answer_with(r"/api/projects/$", 503, "store_unavailable", "The store does not answer.")
    visit.open()
    expect(visit.page.get_by_role("alert")).to_contain_text("The list of projects is missing")
    field = visit.page.get_by_label("Project", exact=True)
    field.fill("mozilla-central")
    field.press("Enter")
    expect(visit.page.get_by_role("heading", name="Recent pushes on mozilla-central")).to_be_visible()
    end()
    visit.page.get_by_role("button", name="Try again").click()
    expect(visit.page.get_by_role("alert")).to_have_count(0)
    expect(visit.page.locator("select#open-project")).to_have_value("mozilla-central")


def test_treeherder_that_is_down_leaves_the_projects_list_and_says_what_is_missing(
    visit: Visit, treeherder: TreeherderControl, builders: Iterator[str], pushes: Iterator[int]
) -> None:
    visit.expect_failures(503)
    treeherder.set_mode("down")
    job = next(builders)
    visit.open_push(next(pushes))
    warnings = visit.page.locator(".notice.warning")
    expect(warnings.filter(has_text="What ran on this push is not shown")).to_be_visible()
    expect(warnings.filter(has_text="The list is that of the project")).to_be_visible()
    visit.filter(escaped(job))
    visit.select(job)
    treeherder.set_mode("ok")
    warnings.get_by_role("button", name="Try again").first.click()
    expect(warnings).to_have_count(0)
    visit.has_selected(1)

    treeherder.set_mode("down")
    visit.open("?project=try")
    expect(visit.page.get_by_role("alert")).to_contain_text("503")
    expect(visit.page.get_by_text("A push id in the field above opens a push without this list")).to_be_visible()


@pytest.mark.usefixtures("buildbot")
def test_a_request_that_the_service_cannot_take_is_sent_again_under_the_same_key(
    visit: Visit, builders: Iterator[str], pushes: Iterator[int]
) -> None:
    job = next(builders)
    visit.open_push(next(pushes))
    visit.filter(escaped(job))
    visit.select(job)
    visit.sign_in()
    visit.preview()
    visit.previews(1)
    keys = sent_keys(visit)
    end = visit.answer_with(TRIGGER, 503, "store_unavailable", "The store of the requests does not answer.")
    visit.run()
    expect(visit.plan.get_by_role("alert")).to_contain_text("The store of the requests does not answer.")
    expect(visit.plan).to_contain_text(job)
    end()
    expect(visit.run_button).to_have_text("Try again: run 1 job")
    visit.run()
    expect(visit.watch).to_contain_text(job)
    assert len(keys) == 2
    assert keys[0] == keys[1]


@pytest.mark.usefixtures("buildbot")
def test_a_person_with_too_many_requests_waits_as_long_as_the_answer_says(
    visit: Visit, builders: Iterator[str], pushes: Iterator[int]
) -> None:
    job = next(builders)
    visit.page.clock.install()
    visit.open_push(next(pushes))
    visit.page.clock.run_for(1000)
    visit.field.fill(escaped(job))
    visit.select(job)
    visit.sign_in()
    visit.preview()
    visit.previews(1)
    end = visit.answer_with(TRIGGER, 429, "too_many_requests", "More than 30 requests in a minute.", Retry_After="40")
    visit.run()
    expect(visit.run_button).to_have_text(re.compile(r"^Try again: run 1 job in \d+ s$"))
    expect(visit.run_button).to_be_disabled()
    end()
    visit.page.clock.fast_forward(41_000)
    expect(visit.run_button).to_be_enabled()
    visit.run()
    expect(visit.watch).to_contain_text(job)


def test_a_push_that_does_not_exist_is_said(visit: Visit) -> None:
    visit.expect_failures(404)
    visit.open(f"?project=try&push={UNKNOWN_PUSH}")
    expect(visit.page.locator(".notice")).to_contain_text([re.compile("push", re.IGNORECASE)])
    visit.sees_jobs()


def test_a_project_that_does_not_exist_is_said(visit: Visit) -> None:
    visit.expect_failures(404)
    visit.open(f"?project={UNKNOWN_PROJECT}")
    expect(visit.page.get_by_text(f"There is no list of jobs of the project {UNKNOWN_PROJECT}.")).to_be_visible()
    visit.page.get_by_label("Project", exact=True).select_option("try")
    expect(visit.page.locator("ul.pushes li").first).to_be_visible()

    visit.open(f"?project={UNKNOWN_PROJECT}&push=1001")
    alert = visit.page.get_by_role("alert")
    expect(alert).to_contain_text(f"There is no list of jobs of the project {UNKNOWN_PROJECT}.")
    alert.get_by_role("link", name="Choose another project").click()
    expect(visit.page.get_by_role("heading", name="Choose a push")).to_be_visible()


def test_an_empty_list_is_no_error(visit: Visit, pushes: Iterator[int]) -> None:
    visit.page.route(re.compile(LISTS), lambda route: route.fulfill(json=emptied(route.fetch().json())))
    visit.open(f"?project=try&push={next(pushes)}")
    expect(visit.page.get_by_text("No jobs can run on try yet: its list is empty.")).to_be_visible()


def test_a_filter_without_hits_says_how_to_go_on(visit: Visit, pushes: Iterator[int]) -> None:
    visit.open_push(next(pushes))
    visit.filter("no-such-job-anywhere")
    visit.has_visible(0)
    visit.page.get_by_role("button", name="Clear the filter").click()
    visit.sees_jobs()
    expect(visit.field).to_have_value("")


def test_a_page_without_its_configuration_says_so(visit: Visit) -> None:
    visit.answer_with(r"/config\.json$", 503, "unavailable", "The configuration cannot be read.")
    visit.open()
    expect(visit.page.get_by_role("alert")).to_contain_text("The configuration cannot be read.")


@pytest.mark.parametrize("part", ["open", "tray", "help"])
def test_a_part_of_the_page_that_is_gone_offers_to_reload(visit: Visit, pushes: Iterator[int], part: str) -> None:
    visit.expect_failures(404, "MIME type", "Failed to fetch dynamically imported module")
    pattern = re.compile(rf"/assets/{part}-[^/]*\.js$")
    visit.page.route(pattern, lambda route: route.fulfill(status=404, json={"title": "Not found"}))
    if part == "open":
        visit.open()
    else:
        visit.open_push(next(pushes), "xpcshell")
        visit.page.get_by_role("button", name=re.compile("^Select the")).click()
        if part == "help":
            visit.page.keyboard.press("?")
    alert = visit.page.get_by_role("alert")
    expect(alert).to_contain_text("A part of this page cannot be loaded.")
    visit.page.unroute(pattern)
    alert.get_by_role("button", name="Reload").click()
    expect(alert).to_have_count(0)
    if part == "open":
        expect(visit.page.get_by_role("heading", name="Choose a push")).to_be_visible()
    else:
        expect(visit.tray).to_be_visible()


def sent_keys(visit: Visit) -> list[str]:
    """The idempotency keys of the requests that the page sends from now on."""
    keys: list[str] = []

    def read(request: Request) -> None:
        if request.method == "POST" and "Idempotency-Key".lower() in request.headers:
            keys.append(request.headers["idempotency-key"])

    visit.page.on("request", read)
    return keys


def emptied(grid: dict) -> dict:
    """A list of the same form without jobs."""
    return grid | {"jobs": {column: [] for column in grid["jobs"]}}
