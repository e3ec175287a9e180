"""The pushes that the fakes of Treeherder and Taskcluster both know: every project has the same ones."""

import base64
import hashlib

# The pushes of every project, and one of them.
PUSH_IDS = range(1001, 1011)
PUSH_ID = PUSH_IDS[0]
# Their authors in turn: the first one wrote the first, the fourth, the seventh and the tenth push.
AUTHORS = ("someone@mozilla.com", "dev@example.org", "contributor@example.org")
# The time of the first push, 2026-11-02 09:00 UTC. Each is a minute after the one before.
FIRST_PUSHED_AT = 1_793_610_000


def author_of(push: int) -> str:
    """The author of one of the pushes."""
    return AUTHORS[(push - PUSH_ID) % len(AUTHORS)]


def pushed_at(push: int) -> int:
    """The time of a push, in seconds since 1970."""
    return FIRST_PUSHED_AT + 60 * (push - PUSH_ID)


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
