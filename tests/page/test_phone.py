"""The page on a phone: a narrow screen without a mouse."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.page.visit import Visit, escaped

pytestmark = pytest.mark.xdist_group("page-looks")


def fits(visit: Visit) -> None:
    """Nothing scrolls sideways."""
    wide = visit.page.evaluate(
        """() => [...document.querySelectorAll("body *")]
            .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
            .map((element) => `${element.tagName} ${element.className}: ${element.textContent.slice(0, 60)}`)
            .slice(0, 5)"""
    )
    assert not visit.scrolls_sideways(), wide


@pytest.mark.usefixtures("buildbot")
def test_the_whole_way_fits_on_a_phone(phone: Visit, builders: Iterator[str], pushes: Iterator[int]) -> None:
    page, push, job = phone.page, next(pushes), next(builders)
    phone.open("?project=try")
    expect(page.locator("ul.pushes li").first).to_be_visible()
    fits(phone)
    page.locator(f'a[href$="push={push}"]').tap()
    phone.sees_jobs()
    fits(phone)
    phone.filter(escaped(job))
    phone.job(job).tap()
    phone.has_selected(1)
    fits(phone)

    expect(phone.tray).to_be_hidden()
    page.get_by_role("button", name="Selection", exact=True).tap()
    expect(phone.tray).to_be_visible()
    expect(phone.tray).to_be_in_viewport()
    expect(phone.panel).to_contain_text(job)
    fits(phone)
    page.get_by_role("button", name="Selection", exact=True).tap()
    expect(phone.tray).to_be_hidden()
    for panel in ("Quick picks", "Presets"):
        page.get_by_role("button", name=panel).tap()
        expect(page.get_by_role("heading", name=panel)).to_be_visible()
        fits(phone)
    page.get_by_role("button", name="Keys").tap()
    expect(page.get_by_role("dialog", name="Help")).to_be_visible()
    fits(phone)
    page.get_by_role("dialog").get_by_role("button", name="Close").tap()

    page.get_by_role("button", name="Preview").tap()
    fits(phone)
    phone.plan.get_by_role("button", name="Sign in").tap()
    phone.fill_provider()
    phone.previews(1)
    fits(phone)
    phone.run_button.tap()
    phone.watches_to_the_end()
    fits(phone)
    phone.header.get_by_role("link", name="My requests").tap()
    expect(page.locator("main.requests li")).to_have_count(1)
    fits(phone)


def test_the_busy_push_fits_on_a_phone(phone: Visit, busy_push: int) -> None:
    phone.open_push(busy_push)
    fits(phone)
    phone.filter("mochitest")
    fits(phone)
    phone.page.locator(".grid [data-part=row]").first.tap()
    fits(phone)
    phone.page.get_by_role("button", name="Preview").scroll_into_view_if_needed()
    expect(phone.page.get_by_role("button", name="Preview")).to_be_in_viewport()
