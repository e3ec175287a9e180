"""A person with a tab of a browser that shows the page of a stack."""

import contextlib
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import ConsoleMessage, Locator, Page, expect
from playwright.sync_api import Error as PlaywrightError

from localstack.fakes.pushes import decision_task_id
from tests.support.stack import Stack, until

PROJECT = "try"
# Under load, all is slow.
expect.set_options(timeout=30_000)
# What Chromium itself logs of an answer with a status of an error.
FAILED_ANSWER = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")


class Visit:
    """One tab. `complaints` are the errors that the page logged, and those that it did not catch."""

    def __init__(self, stack: Stack, page: Page, email: str) -> None:
        self.stack, self.page, self.email = stack, page, email
        self.address = stack.env["PAGE_URL"]
        self.complaints: list[str] = []
        # The statuses of answers, and parts of other messages, that a test expects to be logged.
        self.expected: set[str] = set()
        page.on("console", self._read)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _read(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning") or message.location["url"].endswith("/favicon.ico"):
            return
        failed = FAILED_ANSWER.match(message.text)
        is_expected = failed[1] in self.expected if failed else any(part in message.text for part in self.expected)
        if not is_expected:
            self.complaints.append(f"{message.text} ({message.location['url']})")

    def expect_failures(self, *parts: int | str) -> None:
        """Expect that these statuses of answers, or messages with these parts, are logged."""
        self.expected.update(map(str, parts))

    # What a person does.

    def open(self, query: str = "") -> None:
        """Open the page at an address, without waiting for what it shows."""
        self.page.goto(self.address + query)

    def open_push(self, push: int, filter_: str = "", project: str = PROJECT) -> None:
        """Open the jobs of a push, and wait until they and the runs are there."""
        query = f"?project={project}&push={push}"
        self.page.goto(f"{self.address}{query}&q={filter_}" if filter_ else self.address + query)
        self.sees_jobs()

    def sees_jobs(self) -> None:
        """The grid has jobs."""
        expect(self.page.locator(".grid [data-part=row]").first).to_be_visible()

    def sign_in(self, email: str | None = None) -> None:
        """Sign in with the button of the header, and come back."""
        self.header.get_by_role("button", name="Sign in").click()
        self.fill_provider(email)
        expect(self.header.locator(".person")).to_have_text(email or self.email)

    def fill_provider(self, email: str | None = None) -> None:
        """Sign in on the page of the provider."""
        field = self.page.get_by_label("E-mail address")
        field.fill(email or self.email)
        field.press("Enter")
        self.is_back()

    def is_back(self) -> None:
        """The provider sent the person back to the page."""
        expect(self.header.get_by_role("link", name="Add new jobs")).to_be_visible()

    def filter(self, query: str) -> None:
        """Type a query; it is in the address once the page has settled."""
        self.field.fill(query)
        self.page.wait_for_url(lambda url: query_of(url) == query, wait_until="commit")

    def select(self, *names: str) -> None:
        """Select jobs by a click on each. They have to be visible, one by one."""
        for name in names:
            self.job(name).click()
            expect(self.job(name)).to_have_attribute("aria-checked", "true")

    def preview(self) -> None:
        """Open the preview."""
        self.page.get_by_role("button", name="Preview").click()
        expect(self.plan).to_be_visible()

    def run(self) -> None:
        """Send what the preview shows."""
        self.run_button.click()

    # What a person sees.

    @property
    def header(self) -> Locator:
        return self.page.locator("header.top")

    @property
    def field(self) -> Locator:
        return self.page.get_by_role("searchbox", name="Filter")

    @property
    def run_button(self) -> Locator:
        return self.page.get_by_role("button", name=re.compile(r"^(Run|Try again: run|Continue: run) [\d,]+ job"))

    @property
    def plan(self) -> Locator:
        return self.page.locator("main.plan")

    @property
    def watch(self) -> Locator:
        return self.page.locator("main.watch")

    @property
    def tray(self) -> Locator:
        return self.page.locator("section.tray")

    @property
    def panel(self) -> Locator:
        """What is known of the job that had the focus last."""
        return self.page.locator("section.job-panel")

    def listed(self, push: int) -> dict[str, str | None]:
        """The names in the list of a push, with the builds that they need."""
        path = f"/api/project/{PROJECT}/runnable_jobs/?decision_task_id={decision_task_id(PROJECT, push)}"
        return {job["ref_data_name"]: job["upstream"] for job in self.stack.ask("GET", path).json()["results"]}

    def job(self, name: str) -> Locator:
        """The check box of a job in the grid."""
        return self.page.locator(f'.grid [data-part=job][title^="{name}: "]')

    def has_selected(self, count: int) -> None:
        """So many jobs are selected."""
        expect(self.page.locator("footer b")).to_have_text(f"{count:,}")

    def has_visible(self, count: int) -> None:
        """So many jobs match the filter."""
        expect(self.page.locator(".counter b").first).to_have_text(f"{count:,}")

    def previews(self, count: int) -> None:
        """The preview of so many jobs is there, with the answer of the dry run."""
        word = "job" if count == 1 else "jobs"
        expect(self.page.get_by_role("heading", name=f"Preview of {count:,} {word}")).to_be_visible()
        expect(self.plan.locator(".plan-summary")).to_be_visible()

    def watches_to_the_end(self) -> None:
        """The request that is watched ends. The stack follows its jobs until then."""
        expect(self.watch.locator("progress")).to_be_visible()

        def has_ended() -> bool:
            if self.watch.get_by_text("Ended: all jobs that were sent have ended").is_visible():
                return True
            follow(self.stack)
            ask = self.page.get_by_role("button", name="Ask now")
            # The button goes when the request ends.
            with contextlib.suppress(PlaywrightError):
                if ask.is_visible():
                    ask.click(timeout=2_000)
            return False

        until(has_ended)

    def scrolls_sideways(self) -> bool:
        """Whether the page is wider than the screen."""
        return self.page.evaluate("document.scrollingElement.scrollWidth > innerWidth")

    def answer_with(self, path: str, status: int, code: str, detail: str, **headers: str) -> Any:
        """Make the API answer requests to a path with an error; returns what ends that."""
        body = json.dumps({"title": detail, "status": status, "detail": detail, "code": code, "request_id": "a1b2c3"})
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        pattern = re.compile(path)
        self.expect_failures(status)
        self.page.route(
            pattern,
            lambda route: route.fulfill(
                status=status, headers=sent, body=body, content_type="application/problem+json"
            ),
        )
        return lambda: self.page.unroute(pattern)


def query_of(url: str) -> str:
    """The query of the filter in an address."""
    return parse_qs(urlsplit(url).query).get("q", [""])[0]


def escaped(name: str) -> str:
    """A query that finds a name with blanks as one word."""
    return name.replace(" ", "\\ ")


def follow(stack: Stack) -> None:
    """Run a round of the follower, which else runs each minute."""
    answer = stack.client("lambda").invoke(FunctionName=stack.env["FORWARD_FUNCTION"], Payload=b'{"follow": true}')
    assert "FunctionError" not in answer, answer["Payload"].read()
