"""The fake Taskcluster checks credentials as its services do; mohawk signs the requests."""

import base64
import json
import time
from typing import Any

import mohawk
import pytest

from localstack.fakes.taskcluster import Taskcluster, hawk
from tests.support.fake_taskcluster import (
    AUTH,
    HOOKS,
    QUEUE,
    TASK,
    Answer,
    ask,
    assert_error,
    hook_path,
    payload_of,
    signed,
    trigger,
)

LABEL = "test-linux2404-64/opt-xpcshell-1"
KEY = "werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn"
SCOPE = "hooks:trigger-hook:project-gecko/in-tree-action-1-generic/*"


def in_ext(content: Any) -> str:
    return base64.b64encode(json.dumps(content).encode()).decode()


def call(fake: Taskcluster, **how: Any) -> Answer:
    """Trigger an action with other credentials."""
    return trigger(fake, payload_of(fake, LABEL), **how)


def test_the_published_vectors_of_hawk_are_reproduced() -> None:
    header = hawk.Header("dh37fgj492je", 1353832234, "j4h3g2", "", ext="some-app-ext-data")
    request = hawk.Request("GET", "/resource/1?b=1&a=2", "example.com", 8000, "", b"")

    assert hawk.mac(KEY.encode(), header, request) == "6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE="
    assert (
        hawk.payload_hash("text/plain", b"Thank you for flying Hawk") == "Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY="
    )


@pytest.mark.parametrize("is_hashed", [False, True])
@pytest.mark.parametrize("skew", [0, 14 * 60, -14 * 60])
def test_what_mohawk_signs_is_accepted_with_and_without_a_hash_of_the_body(
    fake: Taskcluster, is_hashed: bool, skew: int
) -> None:
    assert call(fake, is_hashed=is_hashed, skew=skew).status == 200


def test_signatures_are_checked_with_a_clock_that_can_be_set(fake: Taskcluster) -> None:
    fake.set_clock(3600)

    assert call(fake, skew=3600).status == 200
    assert call(fake).status == 401


def test_what_was_triggered_can_be_verified_by_mohawk(fake: Taskcluster) -> None:
    call(fake, ext=in_ext({"authorizedScopes": [SCOPE]}), is_hashed=True)
    [found] = fake.triggers()
    headers = dict(found["headers"])

    credentials = {"id": fake.client_id, "key": fake.access_token, "algorithm": "sha256"}
    receiver = mohawk.Receiver(
        lambda _: credentials,
        headers["Authorization"],
        f"http://{headers['Host']}{found['path']}",
        found["method"],
        content=found["body"].encode(),
        content_type=headers["Content-Type"],
    )
    assert receiver.parsed_header["id"] == fake.client_id
    assert (found["status"], json.loads(found["body"])["user"]["input"]["tasks"]) == (200, [LABEL])


def test_wrong_tokens_unknown_clients_and_old_timestamps_are_401(fake: Taskcluster) -> None:
    assert_error(call(fake, token="x" * 44), 401, "AuthenticationFailed", "Unauthorized: Bad mac")
    assert_error(call(fake, client_id="x"), 401, "AuthenticationFailed", "Client with clientId 'x' not found")
    for skew in (16 * 60, -16 * 60):
        assert_error(call(fake, skew=skew), 401, "AuthenticationFailed", "Stale timestamp")
    assert fake.actions() == []


def test_a_header_of_another_form_is_401(fake: Taskcluster) -> None:
    for header in (
        "Bearer x",
        "Hawk",
        'Hawk id="x"',
        'Hawk id="x", id="y"',
        'Hawk x="y"',
        'Hawk id="x", ts="x", nonce="n", mac="m"',
    ):
        found = ask(f"{fake.url}{QUEUE}/task/{TASK}", Authorization=header)
        assert_error(found, 401, "AuthenticationFailed", "Unauthorized")


def test_a_hash_that_is_sent_has_to_be_that_of_the_body_and_of_its_type(fake: Taskcluster) -> None:
    url = f"{fake.url}{hook_path(fake)}/trigger"
    body = json.dumps(payload_of(fake, LABEL)).encode()
    header = signed(url, "POST", body, client_id=fake.client_id, token=fake.access_token, is_hashed=True)

    for sent, kind in ((body + b" ", "application/json"), (body, "text/plain")):
        found = ask(url, "POST", sent, Authorization=header, Content_Type=kind)
        assert_error(found, 401, "AuthenticationFailed", "Invalid payload hash")
    # The parameters of the type are not signed.
    assert ask(url, "POST", body, Authorization=header, Content_Type="application/json; charset=utf-8").status == 200


def test_path_and_query_method_and_host_are_signed(fake: Taskcluster) -> None:
    path = f"{QUEUE}/task/{TASK}/artifacts"
    known: dict[str, Any] = {"client_id": fake.client_id, "token": fake.access_token}
    url = f"{fake.url}{path}?limit=1"

    assert ask(url, Authorization=signed(url, **known)).status == 200
    for other in (
        signed(fake.url + path, **known),
        signed(url, "POST", **known),
        signed(url.replace("127.0.0.1", "localhost"), **known),
        signed(f"http://127.0.0.1{path}?limit=1", **known),
    ):
        assert_error(ask(url, Authorization=other), 401, "AuthenticationFailed", "Bad mac")


def test_the_same_nonce_is_accepted_twice(fake: Taskcluster) -> None:
    url = f"{fake.url}{QUEUE}/task/{TASK}"
    header = signed(url, client_id=fake.client_id, token=fake.access_token)

    assert [ask(url, Authorization=header).status for _ in range(2)] == [200, 200]


def test_bad_credentials_are_401_where_none_are_needed(fake: Taskcluster) -> None:
    url = f"{fake.url}{QUEUE}/task/{TASK}"
    header = signed(url, client_id=fake.client_id, token="other")

    assert_error(ask(url, Authorization=header), 401, "AuthenticationFailed", "Bad mac")


def test_without_credentials_or_scopes_it_is_403_before_404(fake: Taskcluster) -> None:
    missing = f"{HOOKS}/hooks/project-gecko/in-tree-action-1-generic%2F0000000000"
    for path in (hook_path(fake), missing):
        found = ask(f"{fake.url}{path}/trigger", "POST", payload_of(fake, LABEL))
        assert_error(found, 403, "InsufficientScopes", "requires Taskcluster credentials that satisfy")
        token = fake.set_client("project/other", ["queue:*"])
        found = call(fake, client_id="project/other", token=token, path=path)
        assert_error(
            found, 403, "InsufficientScopes", "project/other .* missing the following scopes:\n\n.*\nhooks:trigger-"
        )
    fake.set_client("project/other", None)
    assert_error(call(fake, client_id="project/other", token=token), 401, "AuthenticationFailed", "not found")


def test_authorized_scopes_limit_a_call_and_the_client_has_to_satisfy_them(fake: Taskcluster) -> None:
    assert call(fake, ext=in_ext({"authorizedScopes": [SCOPE]})).status == 200
    other = in_ext({"authorizedScopes": [SCOPE.replace("-1-", "-3-")]})
    assert_error(call(fake, ext=other), 403, "InsufficientScopes", "missing the following scopes")
    too_much = in_ext({"authorizedScopes": ["hooks:trigger-hook:*"]})
    found = call(fake, ext=too_much)
    assert_error(found, 401, "AuthenticationFailed", "oversteps your scopes")
    # The answer lists all that the client has.
    assert SCOPE.replace("-1-", "-2-") in found.json()["message"]


@pytest.mark.parametrize("ext", ["x", in_ext([]), in_ext({"authorizedScopes": "x"}), in_ext({"certificate": "x"})])
def test_a_malformed_ext_is_401(fake: Taskcluster, ext: str) -> None:
    assert_error(call(fake, ext=ext), 401, "AuthenticationFailed", "Unauthorized: ")


def temporary(
    fake: Taskcluster, name: str = "", hours: float = 1, begin: float = -60, **changes: Any
) -> dict[str, Any]:
    """Temporary credentials of the fake's client, named or not, as `call` takes them."""
    start = int((time.time() + begin) * 1000)
    expiry = start + int(hours * 3_600_000)
    scopes, seed = changes.pop("scopes", [SCOPE]), "s" * 44
    named = (name, fake.client_id) if name else None
    certificate = {
        "version": 1,
        "scopes": scopes,
        "start": start,
        "expiry": expiry,
        "seed": seed,
        "signature": hawk.certificate_signature(fake.access_token, seed, start, expiry, scopes, named),
    }
    if name:
        certificate["issuer"] = fake.client_id
    return {
        "client_id": name or fake.client_id,
        "token": hawk.temporary_token(fake.access_token, seed),
        "ext": in_ext({"certificate": certificate | changes, "authorizedScopes": [SCOPE]}),
    }


def test_temporary_credentials_are_accepted_unnamed_and_named(fake: Taskcluster) -> None:
    assert call(fake, **temporary(fake)).status == 200
    assert_error(call(fake, **temporary(fake, "person")), 401, "AuthenticationFailed", "auth:create-client:person")
    token = fake.set_client(fake.client_id, [SCOPE, "auth:create-client:person"])
    assert token == fake.access_token
    assert call(fake, **temporary(fake, "person")).status == 200
    assert [action["client_id"] for action in fake.actions()] == [fake.client_id, "person"]


def test_temporary_credentials_that_are_not_right_are_401(fake: Taskcluster) -> None:
    for changes, message in (
        ({"hours": 0.001}, "expiry < now"),
        ({"begin": 60}, "start > now"),
        ({"hours": 24 * 32}, "31 days"),
        ({"seed": "t" * 44}, "signature"),
        ({"scopes": ["*"]}, "doesn't satisfy all certificate scopes: \\*"),
        ({"version": 2}, "not valid"),
        ({"issuer": "missing"}, "'missing' not found"),
        ({"issuer": fake.client_id}, "must differ"),
    ):
        assert_error(call(fake, **temporary(fake, **changes)), 401, "AuthenticationFailed", message)


def test_scopes_expand_to_those_of_their_roles(fake: Taskcluster) -> None:
    def expand(*scopes: str) -> list[str]:
        return ask(f"{fake.url}{AUTH}/scopes/expand", "POST", {"scopes": scopes}).json()["scopes"]

    task = ask(f"{fake.url}{QUEUE}/task/{TASK}").json()
    assert expand(*task["scopes"]) == [
        *task["scopes"],
        "in-tree:hook-action:project-gecko/in-tree-action-1-generic/*",
        "queue:create-task:highest:gecko-1/*",
    ]
    assert expand("a:b", "a:*", "c", "c") == ["a:*", "c"]
    assert expand() == []
    fake.set_role("repo:hg.mozilla.org/try:*", ["assume:one"])
    fake.set_role("one", ["two:*", "assume:repo:hg.mozilla.org/try:x"])
    assert expand("assume:repo:hg.mozilla.org/t*") == ["assume:one", "assume:repo:hg.mozilla.org/t*", "two:*"]
    found = ask(f"{fake.url}{AUTH}/scopes/expand", "POST", {"scopes": "x"})
    assert_error(found, 400, "InputValidationError", "Schema Validation")
