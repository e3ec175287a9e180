"""The programs of this repository: where a build puts them, and the words that start each of them.

Nothing else in Python knows the name or the path of a program.
"""

import dataclasses
import tomllib
from pathlib import Path

from localstack.paths import ROOT


@dataclasses.dataclass(frozen=True)
class Function:
    """A Lambda function, as infra/functions.toml describes it."""

    name: str
    binary: str
    output: str

    @property
    def variable(self) -> str:
        """The variable of `stack.env` that holds the name of the deployed function."""
        return f"{self.name.upper()}_FUNCTION"


FUNCTIONS: dict[str, Function] = {
    function["name"]: Function(**function)
    for function in tomllib.loads((ROOT / "infra" / "functions.toml").read_text())["functions"]
}


@dataclasses.dataclass(frozen=True)
class Programs:
    """The programs of one build. Commands are lists of words, the program's path first."""

    # The folder of the command line, such as target/debug.
    target: Path
    # The folder of the functions, where it is another one.
    function_folder: Path | None = None

    def function(self, name: str) -> Path:
        """The binary of a function, by its name in `FUNCTIONS`."""
        return (self.function_folder or self.target) / FUNCTIONS[name].binary

    def missing(self) -> list[Path]:
        """The programs that are not there."""
        commands = {
            Path(command[0]) for command in (self.ingest(), self.serve_lists(), self.requests(), self.forward())
        }
        return sorted(path for path in commands | set(map(self.function, FUNCTIONS)) if not path.is_file())

    def ingest(self, *words: str) -> list[str]:
        """Ingest a source."""
        return self._command("etl", "ingest", *words)

    def sample(self, *words: str) -> list[str]:
        """Print a made-up source."""
        return self._command("etl", "sample", *words)

    def runs(self, *words: str) -> list[str]:
        """List the latest ingests."""
        return self._command("etl", "runs", *words)

    def show(self, *words: str) -> list[str]:
        """Show the list of a project."""
        return self._command("etl", "show", *words)

    def serve_lists(self, *words: str) -> list[str]:
        """Serve the lists on a port."""
        return self._command("jobs", *words)

    def serve_triggering(self, *words: str) -> list[str]:
        """Serve the API of trigger requests on a port."""
        return self._command("trigger", "serve", *words)

    def requests(self, *words: str) -> list[str]:
        """List, show, retry, replay or sweep trigger requests."""
        return self._command("trigger", *words)

    def forward(self, *words: str) -> list[str]:
        """Forward the requests in the queue."""
        return self._command("forward", *words)

    def _command(self, program: str, *words: str) -> list[str]:
        return [str(self.target / program), *words]


def by_name(command: list[str]) -> list[str]:
    """The same command for a shell that has the folder of the program in its PATH."""
    return [Path(command[0]).name, *command[1:]]
