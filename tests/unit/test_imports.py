"""The imports between the Python files of this repository."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

from localstack.paths import ROOT

FOLDERS = ("infra", "localstack", "tests", "tools")


def imported(path: Path) -> Iterator[str]:
    """The names that a file imports, each with its module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_file_imports_itself_through_others() -> None:
    files = {path: path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    modules = {".".join(name.with_suffix("").parts).removesuffix(".__init__"): path for path, name in files.items()}
    graph = {
        module: {
            found
            for name in imported(path)
            # What is imported is a module, or something in one.
            for found in (name if name in modules else name.rpartition(".")[0],)
            if found in modules
        }
        for module, path in modules.items()
    }
    assert "localstack.paths" in graph["localstack.process"]

    # Raises an error that names the files of a circle.
    graphlib.TopologicalSorter(graph).prepare()
