"""The OpenID provider of a stack: a person signs in as any address, without a password.

    python3 -m localstack.openid_provider [--host ADDRESS] [--port N] [--token-seconds N] [--with-parent]

It prints its address, which is the issuer, and its public keys as a JSON Web Key Set, each on a line of its own. The
protocol is that of `oidc-provider-mock`. This module adds what that leaves out and real providers have: verified
addresses, public clients with PKCE, answers that pages of other origins can read, and the state of a sign-in that is
denied. `Control` changes what it answers.
"""

import datetime
import json
import os
import threading
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import flask
import jinja2
import oidc_provider_mock
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from oidc_provider_mock._app import AuthorizationCodeGrant
from oidc_provider_mock._storage import storage
from werkzeug.serving import make_server

from localstack.fakes import serving
from localstack.openid_process import TOKEN_SECONDS

DISCOVERY, KEYS = "/.well-known/openid-configuration", "/jwks"
AUTHORIZE, TOKEN, USERINFO = "/oauth2/authorize", "/oauth2/token", "/userinfo"
# What pages ask for by script; a person visits the others.
FOR_SCRIPTS = (DISCOVERY, KEYS, TOKEN, USERINFO)
CONTROL_SECONDS = 10
TEMPLATES = Path(__file__).parent / "openid_templates"


class Control:
    """Sets what the provider at `url` answers from now on."""

    def __init__(self, url: str) -> None:
        self.url = url

    def set_token_seconds(self, seconds: int) -> None:
        """Set how long the tokens of new sign-ins are valid; with a negative number they have expired already."""
        self._put("/_control/token-seconds", {"seconds": seconds})

    def set_fault(self, path: str, status: int | None) -> None:
        """Make a path, such as `/oauth2/token`, answer with an error of this status; `None` ends that."""
        self._put("/_control/fault", {"path": path, "status": status})

    def set_claims(self, email: str, /, **claims: object) -> None:
        """Set the claims of a person, instead of their address, verified."""
        self._put(f"/users/{email}", claims)

    def _put(self, path: str, content: dict[str, Any]) -> None:
        body, headers = json.dumps(content).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, body, headers, method="PUT")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(request, timeout=CONTROL_SECONDS).close()


class Provider(Control):
    """The provider itself, on a port of the loopback interface by default; port 0 is any free one."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1", token_seconds: int = TOKEN_SECONDS) -> None:
        app = provider(token_seconds)
        self.keys: str = json.dumps(app.test_client().get(KEYS).get_json(), separators=(",", ":"))
        self._server = make_server(host, port, app, threaded=True)
        super().__init__(f"http://127.0.0.1:{self._server.server_port}")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> "Provider":
        """Start answering, in the background."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Lifetime(datetime.timedelta):
    """The time for which a token is valid. The provider asks for it at each token, so that it can change."""

    now: int

    def total_seconds(self) -> float:
        return self.now


def provider(token_seconds: int) -> flask.Flask:
    """The provider as an application of Flask. Its issuer is the address that a request is sent to."""
    # It speaks plain HTTP, which the library refuses otherwise.
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    # Clients in browsers have no secret; PKCE stands for it.
    AuthorizationCodeGrant.TOKEN_ENDPOINT_AUTH_METHODS = ["none"]
    lifetime = Lifetime(seconds=token_seconds)
    lifetime.now = token_seconds
    # Without a refresh token, as where a client does not ask for offline access.
    app = oidc_provider_mock.app(issue_refresh_token=False, access_token_max_age=lifetime)
    assert app.jinja_loader
    # Those of the library load a style from another host, which a test does not reach.
    app.jinja_loader = jinja2.ChoiceLoader([jinja2.FileSystemLoader(TEMPLATES), app.jinja_loader])
    _add_control(app, lifetime)
    _add_pkce(app)
    app.before_request(_verify_address)
    app.after_request(_complete_denial)

    @app.after_request
    def complete(response: flask.Response) -> flask.Response:
        path, content = flask.request.path, response.get_json(silent=True)
        if path == TOKEN and content and "expires_in" in content:
            response.data = json.dumps(content | {"expires_in": lifetime.now})
        elif path == DISCOVERY and content:
            more = {"code_challenge_methods_supported": ["S256"], "token_endpoint_auth_methods_supported": ["none"]}
            response.data = json.dumps(content | more)
        if path in FOR_SCRIPTS:
            response.headers["Access-Control-Allow-Origin"] = "*"
            response.headers["Access-Control-Allow-Headers"] = "authorization, content-type"
            response.headers["Access-Control-Allow-Methods"] = "GET, POST"
        return response

    return app


def _add_control(app: flask.Flask, lifetime: Lifetime) -> None:
    faults: dict[str, int] = {}

    @app.put("/_control/token-seconds")
    def set_token_seconds() -> dict[str, Any]:
        lifetime.now = int(flask.request.get_json()["seconds"])
        return {}

    @app.put("/_control/fault")
    def set_fault() -> dict[str, Any]:
        content = flask.request.get_json()
        faults.pop(content["path"], None)
        if content["status"] is not None:
            faults[content["path"]] = content["status"]
        return {}

    @app.before_request
    def fail() -> tuple[dict[str, str], int] | None:
        if status := faults.get(flask.request.path):
            return {"error": "server_error", "error_description": "as a test wants it"}, status
        return None


def _add_pkce(app: flask.Flask) -> None:
    """Require PKCE (RFC 7636), which the library ignores."""
    challenges: dict[str, str] = {}

    @app.before_request
    def check() -> tuple[dict[str, str], int] | None:
        request = flask.request
        if request.path == AUTHORIZE:
            if request.args.get("code_challenge") and request.args.get("code_challenge_method") == "S256":
                return None
            return _refusal("invalid_request", "code_challenge is required, with the method S256")
        if request.path == TOKEN and (challenge := challenges.pop(request.form.get("code", ""), None)):
            verifier = request.form.get("code_verifier", "")
            if create_s256_code_challenge(verifier) != challenge:
                return _refusal("invalid_grant", "code_verifier does not fit code_challenge")
        return None

    @app.after_request
    def remember(response: flask.Response) -> flask.Response:
        if flask.request.path == AUTHORIZE:
            for code in parse_qs(urlsplit(response.location or "").query).get("code", []):
                challenges[code] = flask.request.args["code_challenge"]
        return response


def _refusal(error: str, description: str) -> tuple[dict[str, str], int]:
    return {"error": error, "error_description": description}, HTTPStatus.BAD_REQUEST


def _verify_address() -> None:
    """The address that a person types in is verified, unless `Control` set other claims."""
    address = flask.request.form.get("sub")
    if flask.request.path == AUTHORIZE and address and not storage.get_user(address):
        claims: dict[str, object] = {"email": address, "email_verified": True}
        storage.store_user(oidc_provider_mock.User(sub=address, claims=claims))


def _complete_denial(response: flask.Response) -> flask.Response:
    """The client finds its own sign-in by the state (RFC 6749, 4.1.2.1)."""
    state = flask.request.args.get("state")
    if flask.request.path == AUTHORIZE and response.location and state:
        query = parse_qs(urlsplit(response.location).query)
        if "error" in query and "state" not in query:
            response.location += "&" + urlencode({"state": state})
    return response


def main() -> None:
    parser = serving.parser(__doc__)
    parser.add_argument(
        "--token-seconds",
        type=int,
        default=TOKEN_SECONDS,
        help="how long a token is valid, in seconds (default: %(default)s)",
    )
    options = parser.parse_args()

    def start() -> tuple[Provider, list[object]]:
        found = Provider(options.port, options.host, options.token_seconds).start()
        return found, [found.url, found.keys]

    serving.run(start, options.with_parent)


if __name__ == "__main__":
    main()
