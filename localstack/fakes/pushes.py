"""The pushes that the fakes of Treeherder and Taskcluster both know: every project has the same ones."""

import base64
import hashlib
from collections.abc import Iterator

# The pushes of every project, and one of them.
PUSH_IDS = range(1001, 1011)
PUSH_ID = PUSH_IDS[0]
# An older one, which has jobs in every state in a running stack. The others have only those that a test adds.
BUSY_PUSH = PUSH_IDS[0] - 1
ALL_PUSHES = (BUSY_PUSH, *PUSH_IDS)
# Their authors in turn: the first one wrote the first, the fourth, the seventh and the tenth push.
AUTHORS = ("someone@mozilla.com", "dev@example.org", "contributor@example.org")
NAMES = {AUTHORS[0]: "Some One", AUTHORS[1]: "Robin Developer", AUTHORS[2]: "Kim Contributor"}
REVIEW = "Differential Revision: https://phabricator.example.org/D"
# What commits do, and, for some of them, more about it. One in each group of a push is its tip.
COMMITS = (
    ("Keep the scroll position of the sidebar when it is opened again. r=dev", "The position was lost with the frame."),
    ("Use a span for the bytes of a decoded frame. r=contributor", ""),
    ("Reject headers with a NUL in HTTP/2. r=dev,necko-reviewers", "They reached the cache, whose keys end at a NUL."),
    ("Part 2: Remove the old preference. r=someone", ""),
    (
        "Part 1: Read the new preference, and migrate the old one. r=someone",
        "Profiles of the last ESR have the old one.",
    ),
    ("Disable test_slow_network.js on Windows debug for frequent failures. r=intermittent-reviewers DONTBUILD", ""),
    ("Update the list of top sites. r=contributor", ""),
    ("Do not paint a tab that is hidden; and <measure> what that saves. r=gfx-reviewers", "It saves 3 ms a frame."),
    ("Make the profiler's buffer larger on machines with much memory. r=profiler-reviewers,dev", ""),
    (
        'Revert "Cache the style of :has() by its subject" for failures in web-platform tests',
        "They fail in debug builds.",
    ),
    ("Fix a leak of the media element's audio track when its page is closed. r=media-playback-reviewers", ""),
)
# What the pushes to `try` asked for, in turn.
QUERIES = ("'linux64 'mochitest", "xpcshell !asan", "build-android", "'windows11 'opt 'wpt-1 | 'windows11 'opt 'wpt-2")
# How many commits pushes have, in turn.
COMMIT_COUNTS = (1, 3, 1, 2, 12, 1, 5)
# The time of the first push, 2026-11-02 09:00 UTC. Each is a minute after the one before.
FIRST_PUSHED_AT = 1_793_610_000


def author_of(push: int) -> str:
    """The author of one of the pushes."""
    return AUTHORS[(push - PUSH_ID) % len(AUTHORS)]


def pushed_at(push: int) -> int:
    """The time of a push, in seconds since 1970."""
    return FIRST_PUSHED_AT + 60 * (push - PUSH_ID)


def commits_of(project: str, push: int) -> Iterator[dict[str, str]]:
    """The commits of a push, its tip first. A push to `try` has one more, which says what was asked for."""
    email = AUTHORS[(push - PUSH_ID) % len(AUTHORS)]
    author = f"{NAMES[email]} <{email}>"
    if project == "try":
        comments = f"Fuzzy (query={QUERIES[push % len(QUERIES)]!r})\n\nPushed via `mach try fuzzy`"
        yield {"revision": revision_of(project, push), "author": author, "comments": comments}
    for number in range(COMMIT_COUNTS[push % len(COMMIT_COUNTS)]):
        is_tip = project != "try" and number == 0
        what, why = COMMITS[(push * 5 + number) % len(COMMITS)]
        # Each third one was written by another person.
        other = AUTHORS[(push - PUSH_ID + number // 2) % len(AUTHORS)]
        bug = 1_990_000 + push % 1000 * 13 + number // 3
        yield {
            "revision": revision_of(project, push) if is_tip else revision_of(f"{project} commit {number}", push),
            "author": f"{NAMES[other]} <{other}>",
            "comments": "\n\n".join(part for part in (f"Bug {bug} - {what}", why, f"{REVIEW}{bug % 10_000}") if part),
        }


def revision_of(project: str, push: int) -> str:
    """The revision of a push."""
    return hashlib.sha1(f"{project} {push}".encode()).hexdigest()


def slugid(*parts: object) -> str:
    """A task id: always the same for the same parts.

    It is a UUID of version 4 in base64url, whose first bit is 0 so that no id starts with a hyphen.
    """
    raw = bytearray(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:16])
    raw[0] &= 0x7F
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decision_task_id(project: str, push: int) -> str:
    """The id of a push's decision task."""
    return slugid("decision task", project, push)
