"""The OpenID provider (`openid_provider.py`) as a child process of the running stack."""

from pathlib import Path

from localstack.paths import PartFailed, tail
from localstack.process import check, end, start_module

STOP_SECONDS = 5
# How long a token is valid, in seconds.
TOKEN_SECONDS = 8 * 60 * 60


class OpenidProcess:
    """A provider on a free loopback port: `issuer`, its address, and `keys`, its public keys as a JSON Web Key Set.
    Both are known once it is ready.
    """

    def __init__(self, log: Path, token_seconds: int) -> None:
        self.log = log
        self.issuer = self.keys = ""
        with open(log, "w") as output:
            self.process = start_module(
                "localstack.openid_provider", "--token-seconds", str(token_seconds), errors=output
            )

    def wait_until_ready(self) -> None:
        """Return when it answers."""
        assert self.process.stdout
        self.issuer, self.keys = (self.process.stdout.readline().strip() for _ in range(2))
        if not self.keys:
            raise PartFailed("OpenID provider", f"does not start:{tail(self.log)}", self.log)

    def check(self) -> None:
        """Fail if the provider has ended by itself."""
        check(self.process, "OpenID provider", self.log)

    def stop(self) -> None:
        """End the provider."""
        end(self.process, STOP_SECONDS)
        assert self.process.stdout
        self.process.stdout.close()
