"""A person signs in at the stack's OpenID provider, with a browser and a page in place of which this is: the
authorization code flow with PKCE, by HTTP.
"""

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from localstack.signing import AUDIENCE
from tests.support.fake_taskcluster import Answer, ask

# Where the page is that the person comes from.
PAGE = "http://127.0.0.1:8000/page/"
FORM = "application/x-www-form-urlencoded"


class SignIn:
    """One sign-in, up to the token."""

    def __init__(self, issuer: str, **changes: str) -> None:
        self.discovered: dict[str, Any] = ask(f"{issuer}/.well-known/openid-configuration").json()
        self.verifier, self.state, self.nonce = (secrets.token_urlsafe(40) for _ in range(3))
        digest = hashlib.sha256(self.verifier.encode()).digest()
        self.query = {
            "client_id": AUDIENCE,
            "redirect_uri": PAGE,
            "response_type": "code",
            "scope": "openid email",
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        } | changes
        self.address = f"{self.discovered['authorization_endpoint']}?{urlencode(self.query)}"

    def form(self) -> Answer:
        """The form in which a person types an address."""
        return ask(self.address)

    def send(self, **fields: str) -> dict[str, str]:
        """Send the form; returns the query with which the browser returns to the page."""
        answer = ask(self.address, "POST", urlencode(fields).encode(), Content_Type=FORM)
        assert answer.status == 302, answer
        assert answer.headers["Location"].startswith(f"{PAGE}?")
        return {name: value for name, [value] in parse_qs(urlsplit(answer.headers["Location"]).query).items()}

    def exchange(self, code: str, verifier: str | None = None) -> Answer:
        """What the page gets for the code that it returned with."""
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": AUDIENCE,
            "redirect_uri": PAGE,
            "code_verifier": self.verifier if verifier is None else verifier,
        }
        return ask(self.discovered["token_endpoint"], "POST", urlencode(sent).encode(), Content_Type=FORM)


def id_token(issuer: str, email: str) -> str:
    """The ID token of a person who signs in."""
    sign_in = SignIn(issuer)
    returned = sign_in.send(sub=email)
    assert returned["state"] == sign_in.state
    return sign_in.exchange(returned["code"]).json()["id_token"]
