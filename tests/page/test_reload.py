"""A reload, and the browser's back and forward, lose nothing."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.page.conftest import NewVisit
from tests.page.visit import Visit, query_of

pytestmark = pytest.mark.xdist_group("page")


@pytest.mark.usefixtures("buildbot")
def test_each_state_of_the_page_is_the_same_after_a_reload(
    visit: Visit, builders: Iterator[str], pushes: Iterator[int]
) -> None:
    page = visit.page
    visit.open("?project=autoland")
    page.reload()
    expect(page.get_by_role("heading", name="Recent pushes on autoland")).to_be_visible()

    job = next(builders)
    visit.open_push(next(pushes))
    visit.filter("mochitest linux")
    visible = page.locator(".counter b").first.inner_text()
    page.reload()
    visit.sees_jobs()
    expect(visit.field).to_have_value("mochitest linux")
    expect(page.locator(".counter b").first).to_have_text(visible)

    # At once after a click: the selection is kept before the page is left.
    visit.filter(job.split()[0])
    page.get_by_role("button", name=re.compile("^Select the")).click()
    selected = page.locator("footer b").inner_text()
    page.reload()
    expect(page.locator("footer b")).to_have_text(selected)

    visit.sign_in()
    expect(page.locator("footer b")).to_have_text(selected)
    page.get_by_role("button", name="Clear selection").click()
    visit.filter(job.replace(" ", "\\ "))
    visit.select(job)
    visit.preview()
    visit.previews(1)
    page.reload()
    visit.previews(1)
    expect(visit.header.locator(".person")).to_have_text(visit.email)

    visit.run()
    expect(visit.watch).to_contain_text(job)
    address = page.url
    page.reload()
    expect(visit.watch).to_contain_text(job)
    expect(page).to_have_url(address)
    visit.header.get_by_role("link", name="My requests").click()
    page.reload()
    expect(page.locator("main.requests li")).to_have_count(1)


@pytest.mark.usefixtures("buildbot")
def test_back_and_forward_go_through_the_places_and_not_through_each_key(
    visit: Visit, builders: Iterator[str], pushes: Iterator[int]
) -> None:
    page, push, job = visit.page, next(pushes), next(builders)
    visit.open("?project=try")
    page.locator(f'a[href$="push={push}"]').click()
    visit.sees_jobs()
    visit.filter("xpcshell")
    visit.filter("xpcshell linux")
    visit.filter(job.replace(" ", "\\ "))
    visit.select(job)
    visit.sign_in()
    visit.preview()
    visit.previews(1)
    visit.run()
    expect(visit.watch).to_contain_text(job)
    visit.header.get_by_role("link", name="My requests").click()
    expect(page.locator("main.requests li")).to_have_count(1)

    page.go_back()
    expect(visit.watch).to_contain_text(job)
    page.go_back()
    visit.sees_jobs()
    assert query_of(page.url) == job.replace(" ", "\\ ")
    expect(visit.field).to_have_value(job.replace(" ", "\\ "))
    visit.has_selected(0)
    page.go_forward()
    expect(visit.watch).to_contain_text(job)


def test_an_address_can_be_sent_to_a_colleague(new_visit: NewVisit, pushes: Iterator[int]) -> None:
    push = next(pushes)
    one, other = new_visit(), new_visit()
    one.open_push(push)
    one.filter("xpcshell !debug")
    other.page.goto(one.page.url)
    other.sees_jobs()
    expect(other.field).to_have_value("xpcshell !debug")
    expect(other.page.locator(".counter")).to_have_text(one.page.locator(".counter").inner_text())
