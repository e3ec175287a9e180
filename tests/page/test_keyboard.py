"""All of it without a mouse. The focus is never lost to the document."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.page.visit import Visit, escaped

pytestmark = pytest.mark.xdist_group("page")
# More stops than any view has.
STOPS = 120
FOCUSED = "() => document.activeElement !== document.body"


class Keyboard:
    """Presses keys, after each of which something has the focus."""

    def __init__(self, visit: Visit) -> None:
        self.page = visit.page

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.has_focus()

    def has_focus(self) -> None:
        """Something has the focus."""
        expect(self.page.locator("body")).not_to_be_focused()

    def tab_to(self, wanted: Locator) -> None:
        """Press Tab until an element has the focus."""
        expect(wanted).to_be_visible()
        for _ in range(STOPS):
            if wanted.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {wanted}")

    def focused(self) -> str:
        """What has the focus, by its title or its text."""
        return self.page.evaluate("document.activeElement.title || document.activeElement.textContent")


@pytest.fixture
def keyboard(visit: Visit) -> Keyboard:
    return Keyboard(visit)


@pytest.mark.usefixtures("buildbot")
def test_jobs_are_chosen_previewed_run_and_watched_by_keyboard(
    visit: Visit, keyboard: Keyboard, builders: Iterator[str], pushes: Iterator[int]
) -> None:
    page, push = visit.page, next(pushes)
    first, second = next(builders), next(builders)
    visit.open("?project=try")
    keyboard.tab_to(page.locator(f'a[href$="push={push}"]'))
    page.keyboard.press("Enter")
    visit.sees_jobs()
    keyboard.has_focus()

    keyboard.press("/")
    expect(visit.field).to_be_focused()
    page.keyboard.type(escaped(first))
    keyboard.press("ArrowDown", "End")
    assert keyboard.focused().startswith(first)
    keyboard.press("Space")
    visit.has_selected(1)
    keyboard.press("/")
    # What was typed is marked: the next key replaces it.
    page.keyboard.type(escaped(second))
    keyboard.press("Alt+a")
    keyboard.press("Enter")

    expect(visit.plan).to_be_visible()
    keyboard.has_focus()
    keyboard.tab_to(visit.plan.get_by_role("button", name="Sign in"))
    page.keyboard.press("Enter")
    page.get_by_label("E-mail address").wait_for()
    page.keyboard.type(visit.email)
    page.keyboard.press("Enter")
    visit.is_back()
    expect(visit.plan.locator(".plan-summary")).to_be_visible()
    keyboard.has_focus()
    keyboard.press("Escape")
    visit.sees_jobs()
    keyboard.press("p")
    expect(visit.plan.locator(".plan-summary")).to_be_visible()
    keyboard.tab_to(visit.run_button)
    page.keyboard.press("Enter")
    expect(visit.watch).to_contain_text(first)
    keyboard.has_focus()
    visit.watches_to_the_end()
    keyboard.has_focus()
    keyboard.tab_to(visit.watch.get_by_role("link", name="Jobs of this push"))
    page.keyboard.press("Enter")
    visit.sees_jobs()
    keyboard.has_focus()


def test_the_keys_of_the_help_do_what_it_says(visit: Visit, keyboard: Keyboard, pushes: Iterator[int]) -> None:
    page = visit.page
    visit.open_push(next(pushes), "xpcshell")
    visible = int(page.locator(".counter b").first.inner_text())
    assert visible > 3

    keyboard.press("f")
    expect(visit.field).to_be_focused()
    # The field's text is marked first; only then all jobs are.
    keyboard.press("End", "Control+a")
    visit.has_selected(0)
    keyboard.press("Control+a")
    visit.has_selected(visible)
    keyboard.press("Alt+d")
    visit.has_selected(0)
    keyboard.press("Escape", "Space")
    expect(page.locator("footer b")).not_to_have_text("0")
    some = int(page.locator("footer b").inner_text())
    keyboard.press("Alt+i")
    visit.has_selected(visible - some)
    keyboard.press("Alt+c")
    visit.has_selected(0)
    keyboard.press("Control+a")
    visit.has_selected(visible)
    keyboard.press("Control+Enter")
    expect(visit.plan).to_be_visible()
    keyboard.press("Escape")
    visit.sees_jobs()

    keyboard.press("?")
    help_ = page.get_by_role("dialog", name="Help")
    expect(help_).to_be_visible()
    for key in ("Alt+A", "Home", "Ctrl+Enter", "Esc"):
        expect(help_.get_by_text(key, exact=True).first).to_be_visible()
    keyboard.press("Escape")
    expect(help_).to_have_count(0)
    keyboard.has_focus()
    keyboard.press("Alt+c")
    visit.has_selected(0)
    keyboard.press("p")
    expect(page.locator("footer")).to_contain_text("Nothing is selected yet.")


def test_the_arrows_move_through_the_grid_which_is_one_stop_of_the_tab_key(
    visit: Visit, keyboard: Keyboard, pushes: Iterator[int]
) -> None:
    page = visit.page
    visit.open_push(next(pushes), "mochitest linux2404-64")
    assert page.locator(".grid [tabindex='0']").count() == 1
    keyboard.tab_to(page.locator(".grid [tabindex='0']"))
    start = keyboard.focused()
    keyboard.press("ArrowRight")
    second = keyboard.focused()
    assert second != start
    keyboard.press("ArrowLeft")
    assert keyboard.focused() == start
    keyboard.press("ArrowDown")
    assert keyboard.focused() != start
    keyboard.press("ArrowUp", "Home")
    assert keyboard.focused() == start
    keyboard.press("End")
    last = keyboard.focused()
    assert last not in (start, second)
    keyboard.press("Control+Home", "Control+End", "Control+Home")
    assert keyboard.focused() == start
    # The grid keeps one stop, which is where the focus was.
    keyboard.press("ArrowRight", "Tab")
    expect(page.locator(".grid [tabindex='0']")).not_to_be_focused()
    keyboard.press("Shift+Tab")
    assert keyboard.focused() == second

    keyboard.press("s")
    expect(page.locator("footer b")).not_to_have_text("0")
    opener = page.locator(".grid [data-open=group]").first
    opener.focus()
    was_open = opener.get_attribute("aria-expanded")
    keyboard.press("o")
    expect(opener).not_to_have_attribute("aria-expanded", was_open or "")
    keyboard.press("Enter")
    expect(opener).to_have_attribute("aria-expanded", was_open or "")


def test_jobs_are_taken_out_of_the_tray_by_keyboard(visit: Visit, keyboard: Keyboard, pushes: Iterator[int]) -> None:
    page = visit.page
    visit.open_push(next(pushes), "xpcshell")
    keyboard.press("Control+a")
    rows = visit.tray.locator(".rows > li")
    expect(rows.first).to_be_visible()
    count = rows.count()
    keyboard.tab_to(rows.first.get_by_role("button", name="Take out").first)
    for left in range(count - 1, -1, -1):
        page.keyboard.press("Enter")
        expect(rows).to_have_count(left)
        keyboard.has_focus()
    visit.has_selected(0)
