"""What people come for: from the choice of a push to the end of the jobs."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from localstack.fakes.taskcluster import Control as TaskclusterControl
from tests.page.conftest import NewVisit
from tests.page.visit import Visit, escaped

pytestmark = pytest.mark.xdist_group("page")
BUILD = "build-linux64/opt"


def choose_push(visit: Visit, push: int) -> None:
    """From the start of the page to the jobs of a push."""
    visit.open()
    visit.page.get_by_label("Project", exact=True).select_option("try")
    visit.page.locator(f'a[href$="push={push}"]').click()
    visit.sees_jobs()


@pytest.mark.usefixtures("buildbot")
def test_a_buildbot_job_is_chosen_previewed_run_and_watched_to_its_end(
    visit: Visit, builders: Iterator[str], pushes: Iterator[int]
) -> None:
    page, push = visit.page, next(pushes)
    first, second = next(builders), next(builders)
    choose_push(visit, push)
    expect(page).to_have_title(f"try {push} · Add new jobs")

    # With the mouse, and with the keyboard.
    visit.filter(f"^{escaped(first)}")
    visit.select(first)
    visit.filter(escaped(second))
    visit.field.press("ArrowDown")
    visit.job(second).focus()
    page.keyboard.press("Space")
    visit.has_selected(2)
    expect(visit.tray).to_contain_text("2 jobs")
    visit.tray.get_by_role("button", name="Take out all").click()
    visit.tray.get_by_role("button", name="Undo").click()
    visit.has_selected(2)

    # The person signs in on the way: the filter, the selection and the preview are still there.
    visit.preview()
    expect(visit.plan).to_contain_text(first)
    visit.plan.get_by_role("button", name="Sign in").click()
    visit.fill_provider()
    visit.previews(2)
    expect(visit.plan).to_contain_text(second)
    page.get_by_role("button", name="Back to the jobs").click()
    visit.has_selected(2)
    expect(visit.field).to_have_value(escaped(second))
    visit.preview()
    visit.previews(2)
    expect(visit.plan.locator(".plan-summary")).to_have_text("2 run.")
    expect(visit.plan).to_contain_text("2 jobs by Pulse, to Buildbot.")

    visit.run()
    visit.watches_to_the_end()
    expect(visit.watch).to_contain_text("2 of 2 jobs ended")
    expect(visit.watch.locator(".stage.succeeded .name")).to_have_text(sorted([first, second]))
    expect(visit.watch).to_contain_text(f"Requested by {visit.email}")
    run = visit.watch.get_by_role("link", name=f"Run of {first}")
    expect(run).to_have_attribute("href", re.compile(re.escape(visit.stack.env["TREEHERDER_URL"])))
    run.click()
    expect(page.get_by_text("Selected: ")).to_contain_text("completed, success")
    page.go_back()
    visit.watch.get_by_role("link", name="Jobs of this push").click()
    # What was sent is not selected any more, and its runs are shown.
    visit.has_selected(0)
    visit.filter(escaped(first))
    expect(visit.job(first)).to_have_attribute("title", re.compile("succeeded"))
    visit.header.get_by_role("link", name="My requests").click()
    expect(page.locator("main.requests li")).to_have_count(1)
    expect(page.locator("main.requests li")).to_contain_text(f"try, push {push}")


def test_a_label_of_taskcluster_runs_with_its_build_and_is_watched_to_its_end(
    visit: Visit, taskcluster: TaskclusterControl, pushes: Iterator[int]
) -> None:
    push = next(pushes)
    label = next(name for name, upstream in visit.listed(push).items() if upstream == BUILD)
    choose_push(visit, push)
    visit.sign_in()
    visit.filter(f"^{label}")
    visit.select(label)
    visit.preview()
    visit.previews(1)
    expect(visit.plan).to_contain_text("1 job by Taskcluster.")
    expect(visit.plan).to_contain_text("level 1")
    expect(visit.plan).to_contain_text(BUILD)

    visit.run()
    visit.watches_to_the_end()
    expect(visit.watch.locator(".stage.succeeded .name")).to_contain_text([label])
    task = visit.watch.get_by_role("link", name=re.compile("^Task "))
    expect(task).to_have_attribute("href", re.compile(re.escape(visit.stack.env["TASKCLUSTER_URL"]) + "/tasks/"))
    [action] = [each for each in taskcluster.actions() if label in each["input"]["tasks"]]
    expect(task).to_contain_text(action["task_id"])


def test_a_person_without_the_right_reads_who_has_it_and_keeps_the_selection(
    new_visit: NewVisit, builders: Iterator[str], pushes: Iterator[int]
) -> None:
    visit = new_visit("stranger@example.org")
    job = next(builders)
    visit.open_push(next(pushes))
    visit.filter(escaped(job))
    visit.select(job)
    visit.sign_in()
    visit.has_selected(1)
    visit.expect_failures(403)
    visit.preview()
    refusal = visit.plan.get_by_role("alert")
    expect(refusal).to_contain_text("mozilla.com")
    expect(refusal).to_contain_text("author")
    expect(visit.run_button).to_have_count(0)
    visit.page.get_by_role("button", name="Back to the jobs").click()
    visit.has_selected(1)
