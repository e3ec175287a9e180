"""The scripts of the built page do not grow unnoticed: web/dist, as `make page` builds it."""

import gzip
import re

import pytest

from localstack.paths import ROOT

DIST = ROOT / "web" / "dist"
# In bytes of gzip. The goals are 20 KB before a sign-in and 45 KB with it; a limit is what there is, rounded up.
FIRST_VIEW, WITH_SIGN_IN, ALL = 24_000, 36_000, 63_000


@pytest.fixture(scope="module")
def scripts() -> dict[str, int]:
    """The size of each script, the first one first."""
    assert DIST.is_dir(), "the page is not built: run `make page`"
    [first] = re.findall(r'<script[^>]* src="\./assets/([^"]+)"', (DIST / "index.html").read_text())
    names = [first, *sorted(path.name for path in (DIST / "assets").glob("*.js") if path.name != first)]
    return {name: len(gzip.compress((DIST / "assets" / name).read_bytes(), 9)) for name in names}


def test_the_first_view_loads_little_before_a_sign_in(scripts: dict[str, int]) -> None:
    first, *_ = scripts.values()
    assert first <= FIRST_VIEW


def test_a_sign_in_loads_little_more(scripts: dict[str, int]) -> None:
    first, *_ = scripts.values()
    [library] = [size for name, size in scripts.items() if name.startswith("oidc-")]
    assert first + library <= WITH_SIGN_IN


def test_all_scripts_together_are_small(scripts: dict[str, int]) -> None:
    assert sum(scripts.values()) <= ALL
