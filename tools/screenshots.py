"""Takes the pictures of the page in docs/images, each in light and in dark, on a stack of its own.

    make screenshots

A person filters and selects jobs of the push that has runs in every state, previews them, and runs them. Each step
is a picture of 1280 by 800 pixels, whose colours are reduced to a palette, which keeps its file small.
"""

import argparse
import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from localstack import chromium
from localstack.fakes.buildbot import Buildbot
from localstack.fakes.pushes import AUTHORS, BUSY_PUSH
from localstack.paths import ROOT
from localstack.programs import Programs
from tests.page.visit import Visit, follow
from tests.support.stack import Stack

IMAGES = ROOT / "docs" / "images"
WINDOW = {"width": 1280, "height": 800}
BUILDERS = 20_000
COLOURS = 96
# How long jobs stay in each state, in seconds.
PACE_SECONDS = 1.0
QUERY = "mochitest linux2404 !asan"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=Path, default=Path("target"), help="cargo's target folder")
    options = parser.parse_args()
    programs = Programs((options.target / "debug").absolute())
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "sample.json"
        with open(source, "wb") as output:
            subprocess.run(programs.sample("--builders", str(BUILDERS), "--seed", "1"), stdout=output, check=True)
        stack = Stack(source, "--no-listener", name="screenshots", forwards=True, programs=programs)
        try:
            take_all(stack)
        finally:
            stack.stop()
