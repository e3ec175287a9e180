"""What `stack.py` does: `run` the whole stack, print a `token`, or `execute` a command beside an empty emulator (and a
broker).
"""

import argparse
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import containers
import environment
import guide
import parts
import signing
from broker import LISTENER, PUBLISHER, Broker
from checkout import RUN, STACK_ENV, PartFailed, Stopped, ignore_signals, lock, say, shown
from deployment import Deployment
from guide import PULSE_LOG
from kept import Data
from parts import Part, Parts, record_process
from watch import Watch

EXECUTE_LOG, EXECUTE_BROKER_LOG = RUN / "exec.log", RUN / "exec-broker.log"
# The secret that the operator makes on AWS.
PULSE_SECRET = "runnable-jobs/pulse"
SAMPLE = RUN / "sample.json"
SAMPLE_BUILDERS = 20_000
# What the template's `Source` is until the source is uploaded: the bucket has no name before the stack exists.
NOT_UPLOADED = "s3://not-uploaded-yet/sources"


def run(options: argparse.Namespace) -> int:
    """Start everything, ingest, say what to try, wait for a signal, and leave nothing behind but the data."""
    with lock("lock", wait=False) as locked:
        if not locked:
            raise PartFailed("local stack", "one runs in this checkout already; end that one first (Ctrl-C)")
        # What a killed run could not remove.
        for stale in (STACK_ENV, signing.KEY, *RUN.glob("*.pid")):
            stale.unlink(missing_ok=True)
        if options.docker:
            with _cleanup() as ends:
                _run(ends, options, containers.started(ends, RUN / "docker"))
            return 0
        data = Data(options.data, options.fresh)
        try:
            with _cleanup() as ends:
                here, emulator = parts.started(ends, data.running)
                _run(ends, options, here)
            emulator.check_saved()
            data.keep()
        except PartFailed as failure:
            if not data.is_reused:
                raise
            hint = "It ran on the data of an earlier run, which is as it was; FRESH=1 begins anew."
            raise PartFailed(failure.part, f"{failure.reason}\n  {hint}", failure.log) from None
        finally:
            data.drop()
    return 0


def _run(ends: contextlib.ExitStack, options: argparse.Namespace, here: Parts) -> None:
    """Deploy to the parts that run, and say what to try; return when a signal comes."""
    record_process(ends, "stack", os.getpid())
    for part in here.running:
        part.check()
    deployment = _deploy(ends, options, here)
    variables = guide.variables(here, deployment)
    environment.use(variables)
    say("Invoking the deployed ETL function")
    deployment.fire("etl")
    _etl(options.etl, "runs", "--last", "1")
    say("Asking the deployed API whether it is well")
    deployment.ask("jobs", f"{variables['BASE_URL']}/__heartbeat__")
    # Nobody is told about requests without signing in: this very answer shows that the function works.
    deployment.ask("trigger", f"{variables['TRIGGER_BASE_URL']}/api/trigger_requests/", expected=401)
    deployment.fire("sweep")
    here.wait_for_broker()
    # Nothing to forward: this shows that it is configured and that the broker takes it, and makes the exchange, to
    # which the listener cannot bind before.
    deployment.invoke("forward", {"Records": []})
    running = list(here.running)
    if options.listener:
        watch = Watch(PULSE_LOG)
        ends.callback(watch.stop)
        record_process(ends, "listener", watch.process.pid)
        watch.wait_until_bound()
        running.append(watch)

    # Last, so that whoever waits for it finds everything in place.
    guide.write_stack_env(ends, variables, options.etl.parent)
    guide.say_what_to_try(variables, here.logs)
    if not options.once:
        _wait_for_signal(running, is_kept=not options.docker)


def token(options: argparse.Namespace) -> int:
    """Print a token that signs a person or a service in to the running stack, and nothing else."""
    print(signing.id_token(options.email) if options.email else signing.service_token(options.service))
    return 0


def execute(words: list[str], with_broker: bool) -> int:
    """Run a command beside an empty emulator, and perhaps an empty broker, that its environment points to; returns the
    command's exit code.
    """
    with _cleanup() as ends:
        folder = Path(tempfile.mkdtemp(prefix="exec-", dir=RUN))
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        logs = {folder / "emulator.log": EXECUTE_LOG}
        if with_broker:
            logs[folder / "broker.log"] = EXECUTE_BROKER_LOG
            broker = Broker(folder / "broker", folder / "broker.log")
            ends.callback(broker.end)
        parts.started_emulator(ends, folder / "data", folder / "emulator.log")
        if with_broker:
            broker.wait_until_ready()
            os.environ.update({
                "AMQP_URL": broker.url(LISTENER), "PULSE_URL": broker.url(PUBLISHER), "PULSE_NAMESPACE": PUBLISHER,
                "PULSE_TLS_URL": broker.tls_url(PUBLISHER), "PULSE_CA": str(broker.certificates),
                "BROKER_PID": str(broker.process.pid),
            })
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
            for log, kept in logs.items():
                shutil.copy(log, kept)
            say(f"`{shlex.join(words)}` failed; the logs beside it: {', '.join(map(shown, logs.values()))}")
        return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _cleanup() -> Iterator[contextlib.ExitStack]:
    """An exit stack whose work a second Ctrl-C does not cut short."""
    with contextlib.ExitStack() as ends:
        try:
            yield ends
        finally:
            ignore_signals()


def _sign_in(ends: contextlib.ExitStack) -> dict[str, str]:
    """Make the key that `token` signs with; returns the template's parameters that make the functions trust it."""
    ends.callback(signing.remove_key)
    return {
        "OidcIssuer": signing.ISSUER,
        "OidcAudience": signing.AUDIENCE,
        "OidcServiceAudience": signing.SERVICE_AUDIENCE,
        "OidcServiceClients": ",".join(signing.SERVICES),
        "OidcKeys": signing.make_key(),
    }


def _deploy(ends: contextlib.ExitStack, options: argparse.Namespace, here: Parts) -> Deployment:
    """Deploy the template with what the options say, and with the source where that is."""
    source = options.source or _make_sample(options.etl)
    is_file = isinstance(source, Path)
    say(f"Deploying infra/template.yaml to {here.endpoint}")
    deployment = Deployment(here.scratch / "package", here.logs[0], here.has_fronts_in_path)
    deployment.package({
        "etl": options.etl_function, "jobs": options.jobs_function,
        "trigger": options.trigger_function, "sweep": options.sweep_function, "forward": options.forward_function,
    })
    account = {"username": PUBLISHER, "password": here.passwords[PUBLISHER]}
    parameters = here.parameters | _sign_in(ends) | {
        # The edition of LocalStack that needs no account has no API Gateway of this version.
        "HttpFront": "FunctionUrl" if options.docker else options.http_front,
        "Planning": options.planning,
        "Schedule": options.schedule,
        "PulseNamespace": PUBLISHER,
        "PulseSecretArn": deployment.keep_secret(PULSE_SECRET, json.dumps(account)),
    }
    if is_file:
        if not deployment.outputs:
            deployment.deploy(parameters | {"Source": NOT_UPLOADED})
        say(f"Uploading {shown(source)}")
        source = deployment.upload(source)
    deployment.deploy(parameters | {"Source": source})
    ends.callback(deployment.save_function_logs)
    return deployment


def _make_sample(etl: Path) -> Path:
    say(f"Making a sample of {SAMPLE_BUILDERS} builders")
    with open(SAMPLE, "wb") as output:
        _etl(etl, "sample", "--builders", str(SAMPLE_BUILDERS), "--seed", "1", stdout=output)
    return SAMPLE


def _etl(etl: Path, *words: str, stdout=None) -> None:
    try:
        done = subprocess.run([etl, *words], stdout=stdout, check=False)
    except OSError as error:
        raise PartFailed(f"etl {words[0]}", f"{shown(etl)} does not start: {error.strerror}") from None
    if done.returncode != 0:
        raise PartFailed(f"etl {words[0]}", f"`{shlex.join([shown(etl), *words])}` ended with code {done.returncode}")


def _wait_for_signal(running: list[Part], is_kept: bool) -> None:
    say("Ctrl-C stops it; its data is " + ("kept for the next run." if is_kept else "gone then."))
    try:
        while True:
            for part in running:
                part.check()
            time.sleep(0.5)
    except Stopped:
        say("\nStopping")
