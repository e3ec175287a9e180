"""Hawk, as a server checks it: the header `Authorization`, and the MACs in it."""

import base64
import binascii
import hashlib
import hmac
import re
from typing import NamedTuple

# Name and value of an attribute. A value has no quote and no backslash.
ATTRIBUTE = re.compile(r'(\w+)="([ !#-\[\]-~]+)"')
NAMES = {"id", "ts", "nonce", "hash", "ext", "mac", "app", "dlg"}
# The longest difference between the client's clock and the server's.
MAX_SKEW_SECONDS = 15 * 60


class BadHeader(Exception):
    """The header is not one of Hawk's; holds what is wrong."""


class Header(NamedTuple):
    """The attributes of a header."""

    id: str
    ts: int
    nonce: str
    mac: str
    hash: str = ""
    ext: str = ""


class Request(NamedTuple):
    """A request as it arrived. `path` has its query, and `content_type` has no parameters."""

    method: str
    path: str
    host: str
    port: int
    content_type: str
    body: bytes


def read(header: str) -> Header:
    """The attributes of a header."""
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "hawk":
        raise BadHeader("Unsupported scheme")
    found: dict[str, str] = {}
    for attribute in text.split(","):
        if not (match := ATTRIBUTE.fullmatch(attribute.strip())):
            raise BadHeader("Bad header format")
        name, value = match.groups()
        if name not in NAMES:
            raise BadHeader(f"Unknown attribute: {name}")
        if name in found:
            raise BadHeader(f"Duplicate attribute: {name}")
        found[name] = value
    if not {"id", "ts", "nonce", "mac"} <= found.keys() or not found["ts"].isdecimal():
        raise BadHeader("Missing attributes")
    return Header(
        found["id"], int(found["ts"]), found["nonce"], found["mac"], found.get("hash", ""), found.get("ext", "")
    )


def mac(key: bytes, header: Header, request: Request) -> str:
    """The MAC that the header of a request has if the client knows the key."""
    parts = (
        "hawk.1.header",
        str(header.ts),
        header.nonce,
        request.method,
        request.path,
        request.host.lower(),
        str(request.port),
        header.hash,
        header.ext.replace("\\", "\\\\").replace("\n", "\\n"),
    )
    return _base64(hmac.digest(key, "".join(f"{part}\n" for part in parts).encode(), "sha256"))


def payload_hash(content_type: str, body: bytes) -> str:
    """The hash of a body of this type."""
    return _base64(hashlib.sha256(b"hawk.1.payload\n" + content_type.encode() + b"\n" + body + b"\n").digest())


def temporary_token(issuer_token: str, seed: str) -> str:
    """The access token of temporary credentials."""
    digest = hmac.digest(issuer_token.encode(), seed.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def certificate_signature(
    issuer_token: str, seed: str, start: int, expiry: int, scopes: list[str], named: tuple[str, str] | None = None
) -> str:
    """The signature of a certificate; of named credentials, `named` are their client id and their issuer."""
    lines = ["version:1"]
    if named:
        lines += [f"clientId:{named[0]}", f"issuer:{named[1]}"]
    lines += [f"seed:{seed}", f"start:{start}", f"expiry:{expiry}", "scopes:", *scopes]
    return _base64(hmac.digest(issuer_token.encode(), "\n".join(lines).encode(), "sha256"))


def is_equal(one: str, other: str) -> bool:
    """Whether two MACs or hashes are equal."""
    return hmac.compare_digest(one.encode(), other.encode())


def decode(text: str) -> bytes:
    """Bytes from base64."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise BadHeader("ext is not base64") from None


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
