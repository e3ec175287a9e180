"""The commands of the local stack: `run` everything, print a `token`, or `execute` a command beside an empty emulator
(and a broker).
"""

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from localstack import build, busy_push, containers, environment, messages, services, signing
from localstack.broker import LISTENER, PUBLISHER, Broker
from localstack.deployment import Deployment
from localstack.fakes.treeherder import Control
from localstack.listener_process import PulseListener
from localstack.messages import OPENID_LOG, PULSE_LOG
from localstack.openid_process import OpenidProcess
from localstack.paths import RUN, STACK_ENV, TEMPLATE, PartFailed, Stopped, ignore_signals, lock, say, shown
from localstack.process import passing_on_signals
from localstack.programs import FUNCTIONS, Programs
from localstack.services import Service, Services, record_process
from localstack.state import Data

EXECUTE_LOG, EXECUTE_BROKER_LOG = RUN / "exec.log", RUN / "exec-broker.log"
# The names of the parameters that an operator makes by hand on AWS.
PULSE_PARAMETER, TASKCLUSTER_PARAMETER = "/runnable-jobs/pulse", "/runnable-jobs/taskcluster"
# The template's parameter with the address of the trigger function for the page: with function URLs it is another one.
TRIGGER_PUBLIC_URL = "TriggerPublicUrl"
# A parameter or a resource of the template.
TEMPLATE_PARAMETER = re.compile(r"^  (\w+):$", re.MULTILINE)
SAMPLE = RUN / "sample.json"
SAMPLE_BUILDERS = 20_000
# The template's `Source` until the source is uploaded: the bucket has no name before the stack exists.
NOT_UPLOADED = "s3://not-uploaded-yet/sources"


def run(options: argparse.Namespace) -> int:
    """Start everything, ingest, print what to try, wait for a signal, and clean up everything but the data."""
    programs = Programs(options.target, options.functions)
    if missing := programs.missing():
        raise PartFailed("programs", f"there is no {', '.join(map(shown, missing))}: `make run` builds them")
    with lock(RUN / "lock", wait=False) as locked:
        if not locked:
            raise PartFailed("local stack", "one runs in this checkout already; end that one first (Ctrl-C)")
        say(build.description(options.target))
        # Files that a killed run could not remove.
        for stale in (STACK_ENV, signing.KEY, *RUN.glob("*.pid")):
            stale.unlink(missing_ok=True)
        if options.docker:
            with _cleanup() as ends:
                provider = _start_provider(ends, options)
                _run(ends, options, programs, containers.start(ends, RUN / "docker"), provider)
            return 0
        data = Data(options.data, options.fresh)
        try:
            with _cleanup() as ends:
                provider = _start_provider(ends, options)
                running, emulator = services.start(ends, data.running)
                _run(ends, options, programs, running, provider)
            emulator.check_saved()
            data.keep()
        except PartFailed as failure:
            if not data.is_reused:
                raise
            hint = "It ran on the data of an earlier run, which is unchanged; FRESH=1 starts anew."
            raise PartFailed(failure.part, f"{failure.reason}\n  {hint}", failure.log) from None
        finally:
            data.drop()
    return 0


def _start_provider(ends: contextlib.ExitStack, options: argparse.Namespace) -> OpenidProcess:
    """Start the OpenID provider. It runs on this machine also where the other services are in containers: browsers ask
    it, and functions do not, because they have its keys.
    """
    provider = OpenidProcess(OPENID_LOG, options.token_seconds)
    ends.callback(provider.stop)
    record_process(ends, "openid", provider.process.pid)
    return provider


def _run(
    ends: contextlib.ExitStack,
    options: argparse.Namespace,
    programs: Programs,
    here: Services,
    provider: OpenidProcess,
) -> None:
    """Deploy to the running services, and print what to try; return when a signal comes."""
    record_process(ends, "stack", os.getpid())
    provider.wait_until_ready()
    here.running.append(provider)
    for service in here.running:
        service.check()
    deployment = _deploy(ends, options, programs, here, provider)
    variables = messages.variables(here, deployment, provider.issuer)
    environment.use(variables)
    say("Invoking the deployed ETL function")
    deployment.fire("etl")
    _command(programs.runs("--last", "1"))
    say("Asking the deployed API for its heartbeat")
    deployment.ask("jobs", f"{variables['BASE_URL']}/__heartbeat__")
    # Without a sign-in the function refuses to list requests: this answer shows that it works.
    deployment.ask("trigger", f"{variables['TRIGGER_BASE_URL']}/api/trigger_requests/", expected=401)
    busy_push.fill(deployment, variables["BASE_URL"], Control(here.treeherder))
    deployment.fire("sweep")
    here.wait_for_broker()
    # Without messages: this shows that the function is configured and that the broker accepts it, and it declares the
    # exchange, to which the listener cannot bind before.
    deployment.invoke("forward", {"Records": []})
    running = list(here.running)
    if options.listener:
        listener = PulseListener(PULSE_LOG, here.treeherder)
        ends.callback(listener.stop)
        record_process(ends, "listener", listener.process.pid)
        listener.wait_until_bound()
        running.append(listener)

    # Last: a program that waits for this file finds everything in place.
    messages.write_stack_env(ends, variables, programs)
    messages.say_what_to_try(variables, programs, here.logs)
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
        RUN.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="exec-", dir=RUN))
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        logs = {folder / "emulator.log": EXECUTE_LOG}
        if with_broker:
            logs[folder / "broker.log"] = EXECUTE_BROKER_LOG
            broker = Broker(folder / "broker", folder / "broker.log")
            ends.callback(broker.end)
        services.start_emulator(ends, folder / "data", folder / "emulator.log")
        if with_broker:
            broker.wait_until_ready()
            os.environ.update(
                {
                    "AMQP_URL": broker.url(LISTENER),
                    "PULSE_URL": broker.url(PUBLISHER),
                    "PULSE_NAMESPACE": PUBLISHER,
                    "PULSE_TLS_URL": broker.tls_url(PUBLISHER),
                    "PULSE_CA": str(broker.certificates),
                    "BROKER_PID": str(broker.process.pid),
                }
            )
        try:
            child = subprocess.Popen(words)
        except OSError as error:
            raise PartFailed(words[0], error.strerror or str(error)) from None
        with passing_on_signals(child):
            code = child.wait()
        if code != 0:
            for log, kept in logs.items():
                shutil.copy(log, kept)
            say(f"`{shlex.join(words)}` failed; the logs beside it: {', '.join(map(shown, logs.values()))}")
        return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _cleanup() -> Iterator[contextlib.ExitStack]:
    """An exit stack that a second Ctrl-C does not cut short."""
    with contextlib.ExitStack() as ends:
        try:
            yield ends
        finally:
            ignore_signals()


def _sign_in(ends: contextlib.ExitStack, provider: OpenidProcess) -> dict[str, str]:
    """Make the key that `token` signs with; returns the template's parameters that make the functions trust it, and the
    provider. They have its keys, because those that are in containers cannot reach it.
    """
    ends.callback(signing.remove_key)
    return {
        "OidcIssuer": provider.issuer,
        "OidcAudience": signing.AUDIENCE,
        "OidcServiceAudience": signing.SERVICE_AUDIENCE,
        "OidcServiceClients": ",".join(signing.SERVICES),
        "OidcKeys": signing.make_key(provider.issuer, provider.keys),
    }


def _deploy(
    ends: contextlib.ExitStack,
    options: argparse.Namespace,
    programs: Programs,
    here: Services,
    provider: OpenidProcess,
) -> Deployment:
    """Deploy the template with the parameters that the options give, and with the addresses of the source and of the
    trigger function.
    """
    source = options.source or _make_sample(programs)
    is_file = isinstance(source, Path)
    say(f"Deploying infra/template.yaml to {here.endpoint}")
    deployment = Deployment(here.scratch / "package", here.logs[0], here.has_fronts_in_path)
    deployment.package({name: programs.function(name) for name in FUNCTIONS} | dict(options.function))
    account = {"username": PUBLISHER, "password": here.passwords[PUBLISHER]}
    client = json.dumps(here.taskcluster_client) if here.taskcluster_client else ""
    # The edition of LocalStack that needs no account has no API Gateway of this version.
    front = "FunctionUrl" if options.docker else options.http_front
    known = set(TEMPLATE_PARAMETER.findall(TEMPLATE.read_text()))
    parameters = (
        {name: value for name, value in here.parameters.items() if name in known}
        | _sign_in(ends, provider)
        | {
            "HttpFront": front,
            "Planning": options.planning,
            "Schedule": options.schedule,
            "PulseNamespace": PUBLISHER,
            "PulseParameter": deployment.keep_parameter(PULSE_PARAMETER, json.dumps(account)),
            "TaskclusterParameter": client and deployment.keep_parameter(TASKCLUSTER_PARAMETER, client),
        }
    )
    if is_file:
        if not deployment.outputs:
            deployment.deploy(parameters | {"Source": NOT_UPLOADED})
        say(f"Uploading {shown(source)}")
        source = deployment.upload(source)
    parameters["Source"] = source
    has_trigger_url = front == "FunctionUrl" and TRIGGER_PUBLIC_URL in known
    if has_trigger_url and deployment.outputs:
        parameters[TRIGGER_PUBLIC_URL] = deployment.url("TriggerBaseUrl")
    deployment.deploy(parameters)
    # The address is not known before the first deployment, or it has changed since the last run.
    if has_trigger_url and (url := deployment.url("TriggerBaseUrl")) != parameters.get(TRIGGER_PUBLIC_URL):
        deployment.deploy(parameters | {TRIGGER_PUBLIC_URL: url})
    ends.callback(deployment.save_function_logs)
    return deployment


def _make_sample(programs: Programs) -> Path:
    say(f"Making a sample of {SAMPLE_BUILDERS} builders")
    with open(SAMPLE, "wb") as output:
        _command(programs.sample("--builders", str(SAMPLE_BUILDERS), "--seed", "1"), stdout=output)
    return SAMPLE


def _command(words: list[str], stdout: IO[bytes] | None = None) -> None:
    """Run one of our own commands, and fail if it fails."""
    name = " ".join([Path(words[0]).name, words[1]])
    try:
        done = subprocess.run(words, stdout=stdout, check=False)
    except OSError as error:
        raise PartFailed(name, f"{shown(Path(words[0]))} does not start: {error.strerror}") from None
    if done.returncode != 0:
        command = shlex.join([shown(Path(words[0])), *words[1:]])
        raise PartFailed(name, f"`{command}` ended with code {done.returncode}")


def _wait_for_signal(running: list[Service], is_kept: bool) -> None:
    say("Ctrl-C stops it; its data is " + ("kept for the next run." if is_kept else "lost then."))
    try:
        while True:
            for service in running:
                service.check()
            time.sleep(0.5)
    except Stopped:
        say("\nStopping")
