"""Takes the pictures of the page in docs/images, each in light and in dark, on a stack of its own.

    make screenshots

A person filters and selects jobs of the push that has runs in every state, previews them, runs them, and watches them.
Each picture has 1280 by 800 pixels, and a palette instead of all colours: pngquant, which is installed if it is
missing and this process may do that, makes it a third as large.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
import urllib.parse
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from localstack import apt, chromium
from localstack.fakes.buildbot import Buildbot
from localstack.fakes.pushes import AUTHORS, BUSY_PUSH
from localstack.paths import ROOT, PartFailed
from localstack.programs import Programs
from tests.page.visit import Visit, follow
from tests.support.stack import Stack, until

IMAGES = ROOT / "docs" / "images"
WINDOW = {"width": 1280, "height": 800}
BUILDERS = 20_000
QUERY = "a11y | mochitest-media linux !asan"
# How long jobs stay in each state, in seconds, and one that fails. Tests whose build was busted wait meanwhile.
PACE_SECONDS = 2.0
FAILED = {"Ubuntu VM 12.04 x64 try opt test mochitest-a11y": "testfailed"}
QUANTISE = ("pngquant", "--speed", "1", "--strip", "96", "-")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=Path, default=Path("target"), help="cargo's target folder")
    options = parser.parse_args()
    programs = Programs((options.target / "debug").absolute())
    if not shutil.which(QUANTISE[0]):
        if not apt.is_usable():
            raise PartFailed("pngquant", "pngquant is not installed. On Debian: `sudo apt-get install pngquant`")
        apt.install("pngquant", "pngquant", "pngquant")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "sample.json"
        with open(source, "wb") as output:
            subprocess.run(programs.sample("--builders", str(BUILDERS), "--seed", "1"), stdout=output, check=True)
        stack = Stack(source, "--no-listener", name="screenshots", forwards=True, programs=programs)
        buildbot = Buildbot(stack.env["TREEHERDER_URL"], PACE_SECONDS, FAILED)
        try:
            with stack.listening_with("screenshots", buildbot.receive), sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium.program(), args=[*chromium.ARGUMENTS, "--disable-lcd-text"]
                )
                page = browser.new_page(viewport=WINDOW)
                page.set_default_timeout(60_000)
                take_all(Visit(stack, page, AUTHORS[0]))
                browser.close()
        finally:
            buildbot.stop()
            stack.stop()


def take_all(visit: Visit) -> None:
    """Go through the story of a request, and take a picture of each step."""
    page, stack = visit.page, visit.stack
    stack.taskcluster().set_pace(PACE_SECONDS)
    visit.open_push(BUSY_PUSH)
    visit.sign_in()
    visit.sees_jobs()
    page.locator(".grid .ran").first.wait_for()
    take(visit, "grid")

    visit.filter(QUERY)
    page.get_by_role("button", name="Select the").click()
    expect(visit.tray).to_be_visible()
    visit.tray.locator("button.fold").first.click()
    take(visit, "filter")

    visit.preview()
    expect(visit.plan.locator(".plan-summary")).to_be_visible()
    take(visit, "preview")

    visit.run()
    expect(visit.watch.locator("progress")).to_be_visible()

    # The request is followed once its last job is sent: the tests whose build was busted wait for the new one.
    [request] = urllib.parse.parse_qs(urllib.parse.urlsplit(page.url).query)["request"]
    until(lambda: is_sent(stack, request), pause=PACE_SECONDS)

    def has_ended_in_part() -> bool:
        follow(stack)
        page.get_by_role("button", name="Ask now").click()
        stages = ("failed", "running", "succeeded")
        return all(visit.watch.locator(f"section.stage.{stage}").count() for stage in stages)

    until(has_ended_in_part)
    take(visit, "outcome")


def is_sent(stack: Stack, request: str) -> bool:
    """Whether all jobs of a request are sent, now that it looks again whether their builds are there."""
    stack.in_shell("runnable-jobs", "requests", "retry", request)
    shown = stack.in_shell("runnable-jobs", "requests", "show", request, "--json")
    return json.loads(shown.stdout)["state"] == "forwarded"


def take(visit: Visit, name: str) -> None:
    """Take a picture in light and in dark."""
    visit.page.wait_for_timeout(1000)
    for scheme in ("light", "dark"):
        visit.page.emulate_media(color_scheme=scheme)
        picture = visit.page.screenshot(animations="disabled", caret="hide")
        path = IMAGES / f"{name}-{scheme}.png"
        path.write_bytes(subprocess.run(QUANTISE, input=picture, capture_output=True, check=True).stdout)
        print(f"{path.relative_to(ROOT)}: {len(picture) / 1e3:.0f} KB, {path.stat().st_size / 1e3:.0f} KB as a file")


if __name__ == "__main__":
    main()
