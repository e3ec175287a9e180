"""Sign-ins that end, that are refused, and that fail: nothing is lost, and the page says what to do."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from localstack.openid_provider import Control as ProviderControl
from tests.page.visit import Visit, escaped

pytestmark = pytest.mark.xdist_group("page")
# The item of the tab's storage that holds the token.
TOKEN = "sign-in.token"
# A signature that does not fit: what the page shows is the same, and the API refuses it.
SPOIL = f"""() => {{
    const token = sessionStorage.getItem("{TOKEN}");
    sessionStorage.setItem("{TOKEN}", token.slice(0, token.lastIndexOf(".") + 1) + "A".repeat(86));
}}"""


@pytest.fixture
def selecting(visit: Visit, builders: Iterator[str], pushes: Iterator[int]) -> str:
    """A person who is not signed in has selected this job."""
    job = next(builders)
    visit.open_push(next(pushes))
    visit.filter(escaped(job))
    visit.select(job)
    return job


def sign_in_again(visit: Visit, place: str) -> None:
    """Sign in at what the view itself offers; the person comes back to the same address."""
    address = visit.page.url
    visit.page.locator(f"{place} .sign-in").get_by_role("button", name="Sign in").click()
    visit.fill_provider()
    expect(visit.page).to_have_url(address)


def test_a_token_that_ends_during_the_preview_is_renewed_where_the_person_is(
    visit: Visit, selecting: str, provider: ProviderControl
) -> None:
    visit.page.clock.install()
    visit.sign_in()
    visit.preview()
    visit.previews(1)
    visit.page.clock.fast_forward("08:00:01")
    visit.run()
    expect(visit.plan).to_contain_text("Your sign-in has ended.")
    expect(visit.plan).to_contain_text("nothing is lost")
    # By this tab's clock, another one of eight hours would have ended too.
    provider.set_token_seconds(24 * 3600)
    sign_in_again(visit, ".plan")
    visit.previews(1)
    expect(visit.plan).to_contain_text(selecting)


@pytest.mark.usefixtures("buildbot")
def test_a_token_that_the_api_refuses_is_renewed_where_the_person_is(visit: Visit, selecting: str) -> None:
    visit.expect_failures(401)
    visit.sign_in()
    visit.preview()
    visit.previews(1)
    visit.page.evaluate(SPOIL)
    visit.run()
    expect(visit.plan).to_contain_text("Your sign-in has ended.")
    sign_in_again(visit, ".plan")
    visit.previews(1)
    visit.run()
    expect(visit.watch).to_contain_text(selecting)

    visit.page.evaluate(SPOIL)
    visit.page.get_by_role("button", name="Ask now").click()
    expect(visit.watch).to_contain_text("Your sign-in has ended.")
    # What was known stays.
    expect(visit.watch).to_contain_text(selecting)
    sign_in_again(visit, ".watch")
    expect(visit.watch).to_contain_text(selecting)


def test_a_token_that_has_ended_before_it_arrives_says_that_the_clock_is_wrong(
    visit: Visit, selecting: str, provider: ProviderControl
) -> None:
    provider.set_token_seconds(-60)
    visit.header.get_by_role("button", name="Sign in").click()
    visit.fill_provider()
    expect(visit.page.get_by_role("alert")).to_contain_text(re.compile("clock|ended", re.IGNORECASE))
    visit.has_selected(1)
    provider.set_token_seconds(3600)
    visit.sign_in()
    visit.has_selected(1)


def test_a_person_who_denies_the_sign_in_comes_back_to_the_same_place(visit: Visit, selecting: str) -> None:
    visit.preview()
    address = visit.page.url
    visit.plan.get_by_role("button", name="Sign in").click()
    visit.page.get_by_role("button", name="Deny").click()
    expect(visit.page.get_by_role("alert")).to_contain_text("access was denied")
    expect(visit.page).to_have_url(address)
    expect(visit.plan).to_contain_text(selecting)
    sign_in_again(visit, ".plan")
    visit.previews(1)


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/oauth2/token"])
def test_a_provider_that_is_down_is_named_and_nothing_is_lost(
    visit: Visit, selecting: str, provider: ProviderControl, path: str
) -> None:
    provider.set_fault(path, 503)
    visit.expect_failures(503)
    visit.header.get_by_role("button", name="Sign in").click()
    if path == "/oauth2/token":
        visit.fill_provider()
    host = visit.stack.env["OIDC_ISSUER"].removeprefix("http://")
    expect(visit.page.get_by_role("alert")).to_contain_text(host)
    visit.has_selected(1)
    provider.set_fault(path, None)
    visit.sign_in()
    visit.has_selected(1)


def test_signing_out_keeps_the_selection_and_ends_the_rights(visit: Visit, selecting: str) -> None:
    visit.sign_in()
    visit.preview()
    visit.previews(1)
    visit.header.get_by_role("button", name="Sign out").click()
    expect(visit.plan.get_by_role("button", name="Sign in")).to_be_visible()
    expect(visit.plan).to_contain_text(selecting)
    assert visit.page.evaluate(f"sessionStorage.getItem({json.dumps(TOKEN)})") is None
