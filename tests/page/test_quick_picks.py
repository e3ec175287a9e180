"""A push with runs in every state: what is shown of them, quick picks, presets, and chunks."""

import collections
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from localstack.busy_push import UNLISTED
from localstack.fakes.pushes import PUSH_ID
from localstack.fakes.treeherder import Control as TreeherderControl
from tests.page.visit import Visit, escaped
from tests.support.fake_taskcluster import ask

pytestmark = pytest.mark.xdist_group("page")
# Signs and words of states and results.
MARKS = {
    "success": ("✓", "succeeded"),
    "testfailed": ("✗", "failed tests"),
    "busted": ("!", "busted"),
    "exception": ("▲", "ended by an exception"),
    "retry": ("↻", "was retried"),
    "usercancel": ("⊘", "was cancelled"),
    "superseded": ("»", "was superseded"),
    "skipped": ("\N{EN DASH}", "was skipped"),
    "running": ("▸", "is running"),
    "pending": ("…", "is pending"),
    "unscheduled": ("○", "is not scheduled"),
}
FAILURES = ("testfailed", "busted", "exception")
WITHOUT_RESULT = ("retry", "usercancel", "superseded", "skipped")


def runs_of(visit: Visit, push: int) -> dict[str, list[dict[str, Any]]]:
    """The runs on a push by the names of their jobs, oldest first."""
    path = f"/api/project/try/jobs/?push_id={push}&count=2000"
    found = collections.defaultdict(list)
    for job in sorted(ask(visit.stack.env["TREEHERDER_URL"] + path).json()["results"], key=lambda job: job["id"]):
        is_task = job["build_system_type"] == "taskcluster"
        found[job["job_type_name"] if is_task else job["ref_data_name"]].append(job)
    return found


def status_of(run: dict[str, Any]) -> str:
    if run.get("job_coalesced_to_guid"):
        return "superseded"
    return run["result"] if run["state"] == "completed" else run["state"]


def test_each_run_is_shown_by_a_sign_and_a_word(visit: Visit, busy_push: int) -> None:
    runs = runs_of(visit, busy_push)
    visit.open_push(busy_push)
    shown: set[str] = set()
    for name, all_ in runs.items():
        status = status_of(all_[-1])
        if status in shown or "Gecko Decision" in name:
            continue
        shown.add(status)
        visit.field.fill(f"^{escaped(name)}")
        job = visit.job(name)
        sign, word = MARKS[status]
        if job.count() == 0:
            visit.page.locator(".grid [data-open=fold]").first.click()
        expect(job.locator("i")).to_have_text(sign)
        more = f", {len(all_)} runs" if len(all_) > 1 else ""
        expect(job).to_have_attribute("title", re.compile(re.escape(f"{name}: {word}{more}")))
    assert shown == set(MARKS) - {"retry"}


def test_jobs_that_are_not_in_the_list_are_shown_and_cannot_be_selected(visit: Visit, busy_push: int) -> None:
    visit.open_push(busy_push)
    for *_, name, _group, _symbol, result in UNLISTED:
        visit.field.fill(f"^{escaped(name)}")
        job = visit.job(name)
        expect(job).to_have_attribute("aria-disabled", "true")
        expect(job).to_have_attribute("title", f"{name}: {MARKS[result][1]}, cannot be requested")
        job.click(force=True)
        expect(visit.page.locator("footer")).to_contain_text("is not in the list of jobs that can run")
        expect(visit.panel).to_contain_text("It ran here, and cannot be requested")
    visit.has_selected(0)


def test_the_panel_of_a_job_has_its_runs_with_links(visit: Visit, busy_push: int) -> None:
    runs = runs_of(visit, busy_push)
    name, all_ = next((name, all_) for name, all_ in runs.items() if len(all_) == 4 and name.startswith("test-"))
    visit.open_push(busy_push)
    visit.filter(f"^{escaped(name)}")
    expect(visit.job(name)).to_contain_text("\N{MULTIPLICATION SIGN}4")
    visit.job(name).click()
    rows = visit.panel.locator("tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.first).to_contain_text(status_of(all_[-1]))
    tasks = visit.stack.env["TASKCLUSTER_URL"] + "/tasks/" + all_[-1]["task_id"]
    expect(rows.first.get_by_role("link", name="Task")).to_have_attribute("href", tasks)
    rows.first.get_by_role("link", name="Treeherder").click()
    expect(visit.page.get_by_text("Selected: ")).to_contain_text(name)


def test_all_that_failed_here_is_picked(visit: Visit, busy_push: int) -> None:
    listed = visit.listed(busy_push)
    failed, classified = set(), set()
    for name, all_ in runs_of(visit, busy_push).items():
        ended = [run for run in all_ if run["state"] == "completed" and status_of(run) not in WITHOUT_RESULT]
        is_underway = any(run["state"] in ("pending", "running") for run in all_)
        if ended and status_of(ended[-1]) in FAILURES and name in listed and not is_underway:
            failed.add(name)
            if ended[-1]["failure_classification_id"] != 1:
                classified.add(name)
    assert failed
    assert classified
    visit.open_push(busy_push)
    visit.page.get_by_role("button", name="Quick picks").click()
    pick = visit.page.get_by_role("button", name="All that failed here")
    expect(pick).to_contain_text(f"{len(failed)} jobs")
    visit.page.get_by_label("unclassified failures only").check()
    expect(pick).to_contain_text(f"{len(failed - classified)} jobs")
    pick.click()
    visit.has_selected(len(failed - classified))
    expect(visit.page.locator(".picks .notice")).to_contain_text("are added to the selection")


def test_tests_of_builds_that_exist_are_picked(visit: Visit, busy_push: int) -> None:
    runs = runs_of(visit, busy_push)
    listed = visit.listed(busy_push)

    def is_there(build: str) -> bool:
        return any(status_of(run) == "success" for run in runs.get(build, ()))

    tests = {name for name, upstream in listed.items() if upstream and is_there(upstream)}
    ran = {name for name in tests if any(status_of(run) not in WITHOUT_RESULT for run in runs.get(name, ()))}
    visit.open_push(busy_push)
    visit.page.get_by_role("button", name="Quick picks").click()
    pick = visit.page.get_by_role("button", name="Tests of the builds that exist here")
    expect(pick).to_contain_text(f"{len(tests - ran):,} jobs")
    pick.click()
    visit.has_selected(len(tests - ran))


def test_what_another_push_ran_is_picked(
    visit: Visit, busy_push: int, treeherder: TreeherderControl, builders: Iterator[str]
) -> None:
    visit.expect_failures(404)  # These pushes have no decision task.
    first, second = next(builders), next(builders)
    parent, push = PUSH_ID + 20, PUSH_ID + 21
    for each in (parent, push):
        treeherder.set_author("try", each, "dev@example.org")
        treeherder.set_decision_task("try", each, "")
    treeherder.set_jobs("try", parent, [{"ref_data_name": first}, {"ref_data_name": second}])
    treeherder.set_jobs("try", push, [{"ref_data_name": second}])
    visit.open_push(push)
    visit.page.get_by_role("button", name="Quick picks").click()
    visit.page.get_by_role("button", name="The push before", exact=True).click()
    visit.page.get_by_role("button", name=re.compile("^Select 1 job$")).click()
    visit.has_selected(1)
    expect(visit.tray).to_contain_text("1 job")
    visit.page.get_by_role("textbox", name="Another push").fill(str(busy_push))
    visit.page.get_by_role("button", name="Compare").click()
    expect(visit.page.get_by_role("button", name=re.compile(r"^Select [\d,]+ jobs"))).to_be_visible()


def test_presets_are_saved_used_on_another_push_and_removed(
    visit: Visit, busy_push: int, pushes: Iterator[int]
) -> None:
    page = visit.page
    visit.open_push(busy_push, "xpcshell")
    page.get_by_role("button", name="Presets").click()
    page.get_by_label("Save the filter as").fill("My tests")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("“My tests” is saved.")).to_be_visible()
    visit.open_push(next(pushes))
    page.get_by_role("button", name="Presets").click()
    page.get_by_role("button", name="My tests xpcshell", exact=True).click()
    expect(visit.field).to_have_value("xpcshell")
    page.get_by_role("button", name="Remove the preset My tests").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="My tests xpcshell", exact=True)).to_be_visible()
    page.get_by_role("button", name="Remove the preset My tests").click()
    page.reload()
    page.get_by_role("button", name="Presets").click()
    expect(page.get_by_role("button", name="My tests xpcshell", exact=True)).to_have_count(0)


def test_chunks_are_selected_by_ranges(visit: Visit, pushes: Iterator[int]) -> None:
    visit.open_push(next(pushes))
    prefix = "test-macosx1470-64/opt-web-platform-tests-"
    visit.filter(f"^{prefix} !reftest !wdspec")
    visit.job(f"{prefix}1").wait_for()
    field = visit.page.locator(".grid input.ranges").first
    field.fill("1,4-6")
    field.press("Enter")
    for number in range(1, 9):
        job = visit.job(f"{prefix}{number}")
        if job.count():
            expect(job).to_have_attribute("aria-checked", "true" if number in (1, 4, 5, 6) else "false")
    field.fill("many")
    field.press("Enter")
    assert field.evaluate("field => field.validationMessage") == "Write numbers and ranges, such as 1,4-6"
    field.fill("77")
    field.press("Enter")
    expect(visit.page.locator("footer")).to_contain_text("No chunk that is visible has one of these numbers.")
    # Nothing is lost by a mistake.
    expect(visit.page.locator("footer b")).not_to_have_text("0")
