"""What `stack.py` does: `run` the whole stack, or `execute` a command beside an empty emulator."""

import argparse
import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import environment
from checkout import RUN, STACK_ENV, VENV, PartFailed, Stopped, ignore_signals, lock, say, shown
from deployment import Deployment
from emulator import Emulator

EMULATOR_LOG = RUN / "emulator.log"
EXECUTE_LOG = RUN / "exec.log"
SAMPLE = RUN / "sample.json"
SAMPLE_BUILDERS = 20_000
# What the template's `Source` is until the source is uploaded: the bucket has no name before the stack exists.
NOT_UPLOADED = "s3://not-uploaded-yet/sources"


def run(options: argparse.Namespace) -> int:
    """Start everything, ingest, say what to try, wait for a signal, and leave nothing behind."""
    with lock("lock", wait=False) as locked, _cleanup() as ends:
        if not locked:
            raise PartFailed("local stack", "one runs in this checkout already; end that one first (Ctrl-C)")
        # What a killed run could not remove.
        for stale in (STACK_ENV, *RUN.glob("*.pid")):
            stale.unlink(missing_ok=True)
        _record_process(ends, "stack", os.getpid())
        emulator = _start_emulator(ends, RUN / "emulator", EMULATOR_LOG)
        _record_process(ends, "emulator", emulator.process.pid)

        deployment = _deploy(ends, options, emulator)
        variables = _variables(emulator, deployment)
        environment.use(variables)
        say("Invoking the deployed ETL function")
        deployment.ingest()
        _etl(options.etl, "runs", "--last", "1")
        say("Asking the deployed API whether it is well")
        deployment.ask("/__heartbeat__")

        # Last, so that whoever waits for it finds everything in place.
        _write_stack_env(ends, variables, options.etl)
        _say_what_to_try(variables)
        if not options.once:
            _wait_for_signal(emulator)
    return 0


def execute(words: list[str]) -> int:
    """Run a command beside an empty emulator that its environment points to; returns the command's exit code."""
    with _cleanup() as ends:
        folder = Path(tempfile.mkdtemp(prefix="exec-", dir=RUN))
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        log = folder / "emulator.log"
        _start_emulator(ends, folder / "data", log)
        try:
            child = subprocess.Popen(words)
        except OSError as error:
            raise PartFailed(words[0], error.strerror or str(error)) from None
        try:
            code = child.wait()
        except Stopped as stopped:
            child.send_signal(stopped.number)
            child.wait()
            raise
        if code != 0:
            shutil.copy(log, EXECUTE_LOG)
            say(f"`{shlex.join(words)}` failed; the emulator's log: {shown(EXECUTE_LOG)}")
        return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _cleanup() -> Iterator[contextlib.ExitStack]:
    """An exit stack whose work a second Ctrl-C does not cut short."""
    with contextlib.ExitStack() as ends:
        try:
            yield ends
        finally:
            ignore_signals()


def _record_process(ends: contextlib.ExitStack, name: str, pid: int) -> None:
    file = RUN / f"{name}.pid"
    file.write_text(f"{pid}\n")
    ends.callback(file.unlink, missing_ok=True)


def _start_emulator(ends: contextlib.ExitStack, folder: Path, log: Path) -> Emulator:
    emulator = Emulator(folder, log)
    ends.callback(emulator.stop)
    emulator.wait_until_ready()
    environment.use(environment.settings(emulator.endpoint))
    return emulator


def _deploy(ends: contextlib.ExitStack, options: argparse.Namespace, emulator: Emulator) -> Deployment:
    source = options.source or _make_sample(options.etl)
    is_file = isinstance(source, Path)
    say(f"Deploying infra/template.yaml to {emulator.endpoint}")
    deployment = Deployment(emulator.folder / "package", EMULATOR_LOG)
    deployment.package({"etl": options.etl_function, "jobs": options.jobs_function})
    parameters = {
        "EndpointUrl": emulator.endpoint,
        "HttpFront": options.http_front,
        "Schedule": options.schedule,
        "Source": NOT_UPLOADED if is_file else source,
    }
    deployment.deploy(parameters)
    ends.callback(deployment.save_function_logs)
    if is_file:
        say(f"Uploading {shown(source)}")
        deployment.deploy(parameters | {"Source": deployment.upload(source)})
    return deployment


def _make_sample(etl: Path) -> Path:
    say(f"Making a sample of {SAMPLE_BUILDERS} builders")
    with open(SAMPLE, "wb") as output:
        _etl(etl, "sample", "--builders", str(SAMPLE_BUILDERS), "--seed", "1", stdout=output)
    return SAMPLE


def _etl(etl: Path, *words: str, stdout=None) -> None:
    done = subprocess.run([etl, *words], stdout=stdout, check=False)
    if done.returncode != 0:
        raise PartFailed(f"etl {words[0]}", f"`{shlex.join([shown(etl), *words])}` ended with code {done.returncode}")


def _variables(emulator: Emulator, deployment: Deployment) -> dict[str, str]:
    """What people, tests and the command line need to use the stack: the contents of `stack.env`."""
    outputs = deployment.outputs
    return environment.settings(emulator.endpoint) | {
        "BASE_URL": deployment.base_url(),
        "CATALOG_TABLE": outputs["CatalogTable"],
        "ARCHIVE_BUCKET": outputs["ArchiveBucket"],
        "ETL_FUNCTION": outputs["EtlFunction"],
        "JOBS_FUNCTION": outputs["JobsFunction"],
    } | deployment.settings()  # The command lines work with the very settings that the functions work with.


def _write_stack_env(ends: contextlib.ExitStack, variables: dict[str, str], etl: Path) -> None:
    lines = [f"unset {' '.join(environment.MISLEADING)}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines += [f'export PATH={shlex.quote(str(etl.parent))}:"$PATH"']
    # Renamed into place: whoever waits for it never reads half of it.
    draft = STACK_ENV.with_suffix(".draft")
    draft.write_text("\n".join(lines) + "\n")
    ends.callback(STACK_ENV.unlink, missing_ok=True)
    draft.replace(STACK_ENV)


def _say_what_to_try(variables: dict[str, str]) -> None:
    say(f"""
The local stack is running.
  API              {variables["BASE_URL"]}
  AWS endpoint     {variables["AWS_ENDPOINT_URL"]}
  catalog table    {variables["CATALOG_TABLE"]}
  archive bucket   {variables["ARCHIVE_BUCKET"]}
  ETL function     {variables["ETL_FUNCTION"]}, at cron({variables["RUNNABLE_JOBS_SCHEDULE"]}) UTC
  jobs function    {variables["JOBS_FUNCTION"]}
  emulator's log   {shown(EMULATOR_LOG)}

To try in another terminal, after `. {shown(STACK_ENV)}`:
  curl --compressed "$BASE_URL/api/project/try/runnable_jobs/"
  curl "$BASE_URL/api/projects/"
  curl "$BASE_URL/__heartbeat__"
  etl show try
  etl runs
  {shown(VENV / "bin" / "aws")} lambda invoke --function-name "$ETL_FUNCTION" /dev/stdout
In a browser: {variables["BASE_URL"]}/api/docs/
""")


def _wait_for_signal(emulator: Emulator) -> None:
    say("Ctrl-C stops it and removes its data.")
    try:
        while True:
            emulator.check()
            time.sleep(0.5)
    except Stopped:
        say("\nStopping")
