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

    @property
    def command_line(self) -> Path:
        """The program for operators."""
        return self.target / "runnable-jobs"

    def missing(self) -> list[Path]:
        """The programs that are not there."""
        return sorted(path for path in (self.command_line, *map(self.function, FUNCTIONS)) if not path.is_file())

    def ingest(self, *words: str) -> list[str]:
        """Ingest a source."""
        return self._command("ingest", *words)

    def sample(self, *words: str) -> list[str]:
        """Print a made-up source."""
        return self._command("sample", *words)

    def runs(self, *words: str) -> list[str]:
        """List the latest ingests."""
        return self._command("runs", *words)

    def show(self, *words: str) -> list[str]:
        """Show the list of a project."""
        return self._command("show", *words)

    def serve(self, *words: str) -> list[str]:
        """Serve the whole API on a port; without the settings of the trigger function, only the lists."""
        return self._command("serve", *words)

    def requests(self, *words: str) -> list[str]:
        """List, show, retry, replay or sweep trigger requests."""
        return self._command("requests", *words)

    def forward(self, *words: str) -> list[str]:
        """Forward the requests in the queue."""
        return self._command("forward", *words)

    def _command(self, *words: str) -> list[str]:
        return [str(self.command_line), *words]


def by_name(command: list[str]) -> list[str]:
    """The same command for a shell that has the folder of the program in its PATH."""
    return [Path(command[0]).name, *command[1:]]
