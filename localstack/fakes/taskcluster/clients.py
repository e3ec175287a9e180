"""The clients of Taskcluster: who they are by the credentials that they send, and what they may."""

import dataclasses
import json
import secrets
import time
from typing import Any, NamedTuple

from localstack.fakes.taskcluster import hawk
from localstack.fakes.taskcluster.errors import ApiError
from localstack.fakes.taskcluster.faults import Invalid
from localstack.fakes.taskcluster.scopes import expand, satisfies

# The client that a fake starts with, which may trigger the actions of all levels.
CLIENT_ID = "project/runnable-jobs/local"
TRIGGER = "hooks:trigger-hook:"
CLIENT_SCOPES = [f"{TRIGGER}project-gecko/in-tree-action-{level}-generic/*" for level in (1, 2, 3)]
# What repositories of each level may, in the hooks of actions; and what everyone may.
ROLES: dict[str, list[str]] = {
    "anonymous": ["queue:get-artifact:public/*", "queue:get-task:*", "queue:status:*", "index:find-task:*"],
    **{
        f"repo:hg.mozilla.org/{repository}:*": [
            f"in-tree:hook-action:project-gecko/in-tree-action-{level}-generic/*",
            f"queue:create-task:highest:gecko-{level}/*",
        ]
        for repository, level in (("try", 1), ("integration/autoland", 3), ("mozilla-central", 3))
    },
}
MAX_CERTIFICATE_MS = 31 * 86_400_000


@dataclasses.dataclass
class Client:
    """A client that Taskcluster knows."""

    token: str
    scopes: list[str]


class Caller(NamedTuple):
    """Who sends a request, and what they may: without credentials, no client."""

    client_id: str | None
    scopes: list[str]

    def require(self, scope: str) -> None:
        """Refuse a caller without this scope."""
        if satisfies(self.scopes, scope):
            return
        if self.client_id is None:
            raise ApiError(
                "InsufficientScopes",
                "This request requires Taskcluster credentials that satisfy the following scope expression:\n\n"
                f"```\n{scope}\n```",
            )
        raise ApiError(
            "InsufficientScopes",
            f"Client ID {self.client_id} does not have sufficient scopes and is missing the following scopes:\n\n"
            f"```\n{scope}\n```\n\n"
            "This request requires the client to satisfy the following scope expression:\n\n"
            f"```\n{scope}\n```",
        )


class Clients:
    """The clients and the roles of a fake."""

    def __init__(self, token: str) -> None:
        self.clients = {CLIENT_ID: Client(token, list(CLIENT_SCOPES))}
        self.roles = {role: list(scopes) for role, scopes in ROLES.items()}
        # How far the clock that signatures are checked with is ahead, in seconds.
        self.ahead = 0.0

    def set_client(self, client_id: str, scopes: list[str] | None, token: str | None) -> str:
        """Add, change or remove a client; returns its access token."""
        if scopes is None:
            self.clients.pop(client_id, None)
            return ""
        if not client_id or not all(isinstance(scope, str) for scope in scopes):
            raise Invalid("a client has an id and a list of scopes")
        old = self.clients.get(client_id)
        client = Client(token or (old.token if old else new_token()), list(scopes))
        self.clients[client_id] = client
        return client.token

    def set_role(self, role: str, scopes: list[str]) -> None:
        """Set the scopes of a role."""
        self.roles[role] = list(scopes)

    def expanded(self, scopes: list[str]) -> list[str]:
        """The scopes, and those of the roles that they assume."""
        return expand(scopes, self.roles)

    def caller(self, header: str | None, request: hawk.Request) -> Caller:
        """Who sends a request with this header `Authorization`."""
        if header is None:
            return Caller(None, self.expanded(["assume:anonymous"]))
        try:
            return self._authenticated(hawk.read(header), request)
        except hawk.BadHeader as error:
            raise _unauthorized(str(error)) from None

    def _authenticated(self, header: hawk.Header, request: hawk.Request) -> Caller:
        ext = _extension(header.ext)
        certificate = ext.get("certificate")
        issuer = (certificate or {}).get("issuer", header.id)
        client = self.clients.get(issuer)
        if not client:
            raise _unauthorized(f"Client with clientId '{issuer}' not found")
        token, scopes = client.token, self.expanded([*client.scopes, "assume:anonymous"])
        if certificate is not None:
            scopes = self._of_certificate(certificate, header.id, issuer, client.token, scopes)
            token = hawk.temporary_token(client.token, certificate["seed"])
        if not hawk.is_equal(hawk.mac(token.encode(), header, request), header.mac):
            raise _unauthorized("Bad mac")
        if abs(self._now() - header.ts) > hawk.MAX_SKEW_SECONDS:
            raise _unauthorized("Stale timestamp")
        # The services check the hash of a body after the rest, and answer in their own words.
        if header.hash and not hawk.is_equal(hawk.payload_hash(request.content_type, request.body), header.hash):
            raise ApiError("AuthenticationFailed", "Invalid payload hash")
        if (authorized := ext.get("authorizedScopes")) is not None:
            if missing := [scope for scope in authorized if not satisfies(scopes, scope)]:
                raise _unauthorized(
                    f"ext.authorizedScopes oversteps your scopes: {', '.join(missing)}; clientId '{header.id}' has: "
                    + ", ".join(scopes)
                )
            scopes = self.expanded([*authorized, "assume:anonymous"])
        return Caller(header.id, scopes)

    def _now(self) -> float:
        return time.time() + self.ahead

    def _of_certificate(
        self, certificate: dict[str, Any], client_id: str, issuer: str, token: str, scopes: list[str]
    ) -> list[str]:
        """The scopes of temporary credentials."""
        match certificate:
            case {
                "version": 1,
                "seed": str(seed),
                "start": int(start),
                "expiry": int(expiry),
                "scopes": [*given],
                "signature": str(signature),
            } if len(seed) == 44 and all(isinstance(scope, str) for scope in given):
                pass
            case _:
                raise _unauthorized("ext.certificate is not valid")
        now = self._now() * 1000
        if start > now:
            raise _unauthorized("ext.certificate.start > now")
        if expiry < now:
            raise _unauthorized("ext.certificate.expiry < now")
        if expiry - start > MAX_CERTIFICATE_MS:
            raise _unauthorized("ext.certificate cannot last longer than 31 days")
        named = None
        if "issuer" in certificate:
            if issuer == client_id:
                raise _unauthorized("ext.certificate.issuer must differ from the supplied clientId")
            named = (client_id, issuer)
            if not satisfies(scopes, f"auth:create-client:{client_id}"):
                raise _unauthorized(f"ext.certificate issuer `{issuer}` doesn't have `auth:create-client:{client_id}`")
        if not hawk.is_equal(hawk.certificate_signature(token, seed, start, expiry, given, named), signature):
            raise _unauthorized("ext.certificate.signature is not valid")
        if missing := [scope for scope in given if not satisfies(scopes, scope)]:
            raise _unauthorized(
                f"ext.certificate issuer `{issuer}` doesn't satisfy all certificate scopes: {', '.join(missing)}"
            )
        return self.expanded([*given, "assume:anonymous"])


def new_token() -> str:
    """A new access token."""
    return secrets.token_urlsafe(33)


def _extension(text: str) -> dict[str, Any]:
    """What `ext` holds."""
    if not text:
        return {}
    try:
        found = json.loads(hawk.decode(text))
    except ValueError:
        raise _unauthorized("Failed to parse ext") from None
    match found:
        case {"certificate": certificate} if not isinstance(certificate, dict | None):
            raise _unauthorized("ext.certificate must be an object")
        case {"authorizedScopes": scopes} if not (
            isinstance(scopes, list) and all(isinstance(scope, str) for scope in scopes)
        ):
            raise _unauthorized("ext.authorizedScopes must be an array of valid scopes")
        case {}:
            return found
    raise _unauthorized("ext must be an object")


def _unauthorized(message: str) -> ApiError:
    return ApiError("AuthenticationFailed", f"Unauthorized: {message}")
