"""People sign in at the stack's OpenID provider as any address, from a page that has no secret."""

import json
import re
import time
from collections.abc import Iterator

import jwt
import pytest

from localstack.openid_provider import Provider
from localstack.signing import AUDIENCE
from tests.support.fake_taskcluster import ask
from tests.support.sign_in import SignIn, id_token

EMAIL = "someone@mozilla.com"


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    found = Provider().start()
    yield found
    found.stop()


@pytest.fixture
def provider(running: Provider) -> Iterator[Provider]:
    yield running
    running.set_token_seconds(3600)


def verified(provider: Provider, token: str, **options: bool) -> dict:
    """The claims of a token, which one of the published keys signed."""
    [key] = jwt.PyJWKSet.from_json(provider.keys).keys
    return jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=provider.url, options=options)


def test_a_person_signs_in_as_any_address_and_it_is_verified(provider: Provider) -> None:
    sign_in = SignIn(provider.url)
    form = sign_in.form()
    returned = sign_in.send(sub=EMAIL)
    answer = sign_in.exchange(returned["code"])

    assert sign_in.discovered["issuer"] == provider.url
    assert (form.status, form.headers.get_content_type()) == (200, "text/html")
    assert returned["state"] == sign_in.state
    assert answer.status == 200, answer.body
    given = answer.json()
    # A page that does not ask for offline access gets no token that lives longer than the sign-in.
    assert "refresh_token" not in given
    claims = verified(provider, given["id_token"])
    assert (claims["email"], claims["email_verified"], claims["nonce"]) == (EMAIL, True, sign_in.nonce)
    assert claims["aud"] in (AUDIENCE, [AUDIENCE])
    assert claims["exp"] - claims["iat"] == given["expires_in"]
    assert ask(sign_in.discovered["jwks_uri"]).json() == json.loads(provider.keys)


def test_the_form_loads_nothing_from_elsewhere_and_has_the_address_that_the_page_suggests(provider: Provider) -> None:
    form = SignIn(provider.url, login_hint='"<a>@example.org').form().body.decode()

    assert not re.findall(r'(?:src|href)="', form)
    assert 'value="&#34;&lt;a&gt;@example.org"' in form


def test_a_code_is_worth_a_token_once_and_only_to_the_page_that_began(provider: Provider) -> None:
    sign_in = SignIn(provider.url)
    code = sign_in.send(sub=EMAIL)["code"]
    assert sign_in.exchange(code, verifier="x" * 50).json()["error"] == "invalid_grant"
    assert sign_in.exchange(sign_in.send(sub=EMAIL)["code"], verifier="").status == 400

    code = sign_in.send(sub=EMAIL)["code"]
    assert sign_in.exchange(code).status == 200
    assert sign_in.exchange(code).json()["error"] == "invalid_grant"


def test_a_sign_in_without_pkce_is_refused(provider: Provider) -> None:
    for changes in ({"code_challenge": ""}, {"code_challenge_method": "plain"}):
        answer = SignIn(provider.url, **changes).form()
        assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


def test_a_person_who_denies_returns_to_the_page(provider: Provider) -> None:
    sign_in = SignIn(provider.url)
    returned = sign_in.send(action="deny")

    assert (returned["error"], returned["state"]) == ("access_denied", sign_in.state)


def test_pages_of_all_origins_read_what_scripts_ask_for_and_no_form(provider: Provider) -> None:
    sign_in = SignIn(provider.url)
    names = ("token_endpoint", "jwks_uri", "userinfo_endpoint")
    for url in (f"{provider.url}/.well-known/openid-configuration", *(sign_in.discovered[name] for name in names)):
        preflight = ask(url, "OPTIONS", Origin="http://127.0.0.1:8000", Access_Control_Request_Method="POST")
        assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (200, "*"), url
        assert "authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert sign_in.exchange("unknown").headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Origin" not in sign_in.form().headers


def test_tokens_expire_when_a_test_says_so(provider: Provider) -> None:
    provider.set_token_seconds(-300)
    token = id_token(provider.url, EMAIL)

    with pytest.raises(jwt.ExpiredSignatureError):
        verified(provider, token)
    assert verified(provider, token, verify_exp=False)["exp"] == pytest.approx(time.time() - 300, abs=30)
    provider.set_token_seconds(60)
    assert verified(provider, id_token(provider.url, EMAIL))["exp"] == pytest.approx(time.time() + 60, abs=30)


def test_a_test_sets_the_claims_of_a_person(provider: Provider) -> None:
    provider.set_claims("unverified@example.org", email="unverified@example.org", email_verified=False)

    assert verified(provider, id_token(provider.url, "unverified@example.org"))["email_verified"] is False


def test_each_endpoint_fails_while_a_test_wants_it(provider: Provider) -> None:
    sign_in = SignIn(provider.url)
    code = sign_in.send(sub=EMAIL)["code"]
    provider.set_fault("/oauth2/token", 503)

    assert sign_in.exchange(code).status == 503
    assert sign_in.form().status == 200
    provider.set_fault("/oauth2/token", None)
    assert sign_in.exchange(code).status == 200
