"""What the measurements of a function share: a stack with the function as it is deployed, and the figures."""

import argparse
import contextlib
import math
import os
import statistics
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench_source import sample, say


@contextlib.contextmanager
def measured_stack(description: str) -> Iterator[tuple]:
    """The stack on the source that the command line names, or on a sample; with it cargo's target folder."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=Path, default=Path("target"), help="cargo's target folder")
    parser.add_argument("--source", type=Path, help="an allthethings.json, uncompressed")
    options = parser.parse_args()
    built = options.target.absolute()
    with tempfile.TemporaryDirectory() as folder:
        source = options.source or sample(built / "release" / "etl", Path(folder) / "sample.json")
        stack = start_stack(built, source)
        try:
            yield stack, built
        finally:
            stack.stop()


def start_stack(built: Path, source: Path):
    """The stack of the tests, with the function as it is deployed."""
    # The module takes the binaries from these as it is imported.
    os.environ["ETL_BIN"] = str(built / "release" / "etl")
    os.environ["ETL_FUNCTION_BIN"] = str(built / "lambda" / "etl-function")
    for name in ("JOBS", "TRIGGER", "SWEEP", "FORWARD"):
        os.environ[f"{name}_FUNCTION_BIN"] = str(built / "lambda" / f"{name.lower()}-function")
    from running_stack import STACK_ENV, Stack

    if STACK_ENV.exists():
        raise SystemExit(f"{STACK_ENV} is there: a stack runs in this checkout; end it first")
    return Stack(source.absolute())


def lambda_environment(stack, variable: str) -> dict[str, str]:
    """All that a deployed function's process has in its environment; `variable` tells its name in `stack.env`."""
    function = stack.env[variable]
    deployed = stack.client("lambda").get_function_configuration(FunctionName=function)
    role = stack.as_role_of(function)
    return deployed["Environment"]["Variables"] | {name.upper(): value for name, value in role.items()} | {
        "AWS_REGION": stack.env["AWS_REGION"], "AWS_LAMBDA_FUNCTION_NAME": function,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(deployed["MemorySize"]), "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": "bench", "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
    }


def on_aws(environment: dict[str, str]) -> dict[str, str]:
    """The same without another endpoint: the function gets ready for AWS's own, as it does there."""
    return {name: value for name, value in environment.items() if name != "AWS_ENDPOINT_URL"}


def fresh_for(seconds: int) -> dict[str, str]:
    return {"RUNNABLE_JOBS_FRESH_SECONDS": str(seconds)}


def p99(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[math.ceil(0.99 * len(ordered)) - 1]


def median_p99(values: list[float]) -> str:
    return f"{statistics.median(values):.3f}, {p99(values):.3f} ms"


def say_units(what: str, computed: float, told: float, goal: str) -> None:
    """What the store charges by AWS's rules, and what the emulator says, which may know some of them only."""
    say(what, f"{computed:g}", f"{goal} (computed from the size; the emulator says {told:g})".lstrip())


def zipped_size(binary: Path) -> int:
    """The bytes of a function as it is uploaded."""
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(binary, "bootstrap")
        return file.tell()


def cpu_seconds(process: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
