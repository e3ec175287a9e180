"""Artifacts: what is stored, in which form, and until when."""

import dataclasses
import functools
import gzip
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

from localstack.fakes.taskcluster.faults import Fault, Invalid

STORAGE_TYPES = ("s3", "object", "reference", "link", "error")
# `gzip`: packed, and labelled so, as workers store JSON. `unlabelled`: packed without a label, as a .json.gz file is.
# `doubled`: packed twice, labelled once.
ENCODINGS = ("gzip", "unlabelled", "doubled", "plain")
KEPT_SECONDS = 365 * 86_400
# Bodies that are larger are packed less well, to save time.
LARGE = 4 * 1024 * 1024


@dataclasses.dataclass
class Artifact:
    """An artifact of a task, in every run that has artifacts, or in `run` alone."""

    content: Callable[[], bytes] = bytes
    storage: str = "s3"
    content_type: str = "application/json"
    encoding: str = "gzip"
    run: int | None = None
    expires_at: float = dataclasses.field(default_factory=lambda: time.time() + KEPT_SECONDS)
    # Of a reference; of a link, the name of another artifact; of an error.
    url: str = ""
    target: str = ""
    reason: str = "file-missing-on-worker"
    message: str = "Could not read the file"
    # Whether the artifact host has lost it, while the Queue still knows it.
    is_gone: bool = False
    fault: Fault | None = None

    def __post_init__(self) -> None:
        if self.storage not in STORAGE_TYPES:
            raise Invalid(f"a storage type is one of {', '.join(STORAGE_TYPES)}")
        if self.encoding not in ENCODINGS:
            raise Invalid(f"an encoding is one of {', '.join(ENCODINGS)}")

    @property
    def has_body(self) -> bool:
        """Whether the artifact host has it."""
        return self.storage in ("s3", "object")

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at <= time.time()

    def pack(self) -> "Artifact":
        """Make the stored bytes now; returns itself."""
        assert self.stored is not None
        return self

    @functools.cached_property
    def parsed(self) -> Any:
        """The content of one that is JSON; None if it is not."""
        try:
            return json.loads(self.content())
        except ValueError:
            return None

    @functools.cached_property
    def stored(self) -> bytes:
        """The bytes that the artifact host sends."""
        body = self.content()
        packings = {"plain": 0, "doubled": 2}.get(self.encoding, 1)
        for _ in range(packings):
            body = gzip.compress(body, 1 if len(body) > LARGE else 6, mtime=0)
        return body

    @functools.cached_property
    def etag(self) -> str:
        """The validator that the artifact host sends."""
        return f'"{hashlib.md5(self.stored).hexdigest()}"'

    def headers(self) -> dict[str, str]:
        """The headers that the artifact host sends."""
        is_labelled = self.encoding in ("gzip", "doubled")
        return {"Content-Type": self.content_type, "ETag": self.etag} | (
            {"Content-Encoding": "gzip"} if is_labelled else {}
        )

    def info(self, name: str, expires: str) -> dict[str, Any]:
        """What the Queue says about it."""
        found = {"storageType": self.storage, "name": name, "expires": expires, "contentType": self.content_type}
        return found | ({"contentLength": len(self.stored)} if self.has_body else {})
