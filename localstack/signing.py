"""Sign-in without a browser: a key that the running stack makes, and the tokens that it signs in the name of its OpenID
provider.

The functions accept this key and those of the provider. On AWS an issuer such as Auth0 has all keys and signs all
tokens, those of services too, which the provider here cannot sign.
"""

import base64
import contextlib
import hashlib
import json
import os
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from localstack.openid_process import TOKEN_SECONDS
from localstack.paths import RUN, PartFailed

# The client id of the page.
AUDIENCE = "runnable-jobs-local"
SERVICE_AUDIENCE = "runnable-jobs-local-service"
SERVICE_SCOPE = "trigger:on-behalf"
# The client ids of the services that may make requests for people.
SERVICES = ("treeherder",)
# The key, and the issuer that it signs for.
KEY = RUN / "signing-key.json"


def make_key(issuer: str, keys: str) -> str:
    """Make a new private key that only its owner can read, for tokens of an issuer; returns its public half and the
    issuer's own keys as a JSON Web Key Set.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    remove_key()
    with open(os.open(KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"issuer": issuer, "key": ECAlgorithm.to_jwk(key, as_dict=True)}, file)
    return json.dumps({"keys": [*json.loads(keys)["keys"], _public(key)]}, separators=(",", ":"))


def remove_key() -> None:
    """Delete the key: no new tokens can be made. Existing ones stay valid where the public half is known."""
    with contextlib.suppress(FileNotFoundError):
        KEY.unlink()


def id_token(email: str) -> str:
    """The ID token that the issuer would give a person who signs in."""
    return _sign(
        {
            "aud": AUDIENCE,
            "sub": f"local|{email}",
            "email": email,
            "email_verified": True,
        }
    )


def service_token(service: str) -> str:
    """The access token that the issuer would give a service with this client id. The functions accept `SERVICES`."""
    return _sign(
        {
            "aud": SERVICE_AUDIENCE,
            "sub": f"{service}@clients",
            "azp": service,
            "scope": SERVICE_SCOPE,
            "gty": "client-credentials",
        }
    )


def _sign(claims: dict[str, Any]) -> str:
    try:
        kept = json.loads(KEY.read_text())
    except FileNotFoundError:
        raise PartFailed("token", "no local stack runs in this checkout; start one with `make run`") from None
    key = ECAlgorithm.from_jwk(kept["key"])
    now = int(time.time())
    claims = {"iss": kept["issuer"], "iat": now, "exp": now + TOKEN_SECONDS} | claims
    return jwt.encode(claims, key, algorithm="ES256", headers={"kid": _public(key)["kid"]})


def _public(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """The key's public half as a JSON Web Key, named by its thumbprint (RFC 7638)."""
    found = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    named = {member: found[member] for member in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(json.dumps(named, separators=(",", ":"), sort_keys=True).encode()).digest()
    kid = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return named | {"alg": "ES256", "use": "sig", "kid": kid}
