"""Shared by the benchmarks of functions: a stack with the functions as they are deployed, and the figures."""

import argparse
import contextlib
import math
import os
import statistics
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from localstack.programs import Programs
from tests.support.stack import Stack
from tools.bench.source import sample, say


@contextlib.contextmanager
def measured_stack(description: str) -> Iterator[tuple]:
    """A stack on the source that the command line names, or on a sample; with it cargo's target folder."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=Path, default=Path("target"), help="cargo's target folder")
    parser.add_argument("--source", type=Path, help="an allthethings.json, uncompressed")
    options = parser.parse_args()
    built = options.target.absolute()
    with tempfile.TemporaryDirectory() as folder:
        source = options.source or sample(programs_in(built), Path(folder) / "sample.json")
        stack = start_stack(built, source)
        try:
            yield stack, built
        finally:
            stack.stop()


def programs_in(built: Path) -> Programs:
    """The programs in cargo's target folder: the command line as `make run` builds it, the functions as deployed."""
    return Programs(built / "debug", built / "lambda")


def start_stack(built: Path, source: Path) -> Stack:
    """A stack with these programs."""
    return Stack(source.absolute(), name="bench", programs=programs_in(built))


def lambda_environment(stack: Stack, variable: str) -> dict[str, str]:
    """The environment of a deployed function's process; `variable` of `stack.env` has the name of the function."""
    function = stack.env[variable]
    deployed = stack.client("lambda").get_function_configuration(FunctionName=function)
    role = stack.as_role_of(function)
    return (
        deployed["Environment"]["Variables"]
        | {name.upper(): value for name, value in role.items()}
        | {
            "AWS_REGION": stack.env["AWS_REGION"],
            "AWS_LAMBDA_FUNCTION_NAME": function,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(deployed["MemorySize"]),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": "bench",
            "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
        }
    )


def on_aws(environment: dict[str, str]) -> dict[str, str]:
    """The same without the emulator's endpoint: the function starts as it does on AWS."""
    return {name: value for name, value in environment.items() if name != "AWS_ENDPOINT_URL"}


def fresh_for(seconds: int) -> dict[str, str]:
    return {"RUNNABLE_JOBS_FRESH_SECONDS": str(seconds)}


def p99(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[math.ceil(0.99 * len(ordered)) - 1]


def median_p99(values: list[float]) -> str:
    return f"{statistics.median(values):.3f}, {p99(values):.3f} ms"


def say_units(what: str, computed: float, reported: float, goal: str) -> None:
    """The units that the store charges by AWS's rules, and those that the emulator reports, which knows only some."""
    say(what, f"{computed:g}", f"{goal} (computed from the size; the emulator says {reported:g})".lstrip())


def cpu_seconds(process: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
