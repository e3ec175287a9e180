"""The description of a running stack: `stack.env` for programs, and commands to try for people."""

import contextlib
import shlex
from pathlib import Path

from localstack import environment, taskcluster_process
from localstack.broker import LISTENER, PUBLISHER
from localstack.deployment import Deployment, function_log
from localstack.fakes.pushes import BUSY_PUSH
from localstack.paths import RUN, STACK_ENV, VENV, say, shown
from localstack.process import FAKES
from localstack.programs import FUNCTIONS, Programs, by_name
from localstack.services import Services

# The messages that the Pulse listener receives.
PULSE_LOG = RUN / "pulse.log"
OPENID_LOG = RUN / "openid.log"


def variables(here: Services, deployment: Deployment, issuer: str) -> dict[str, str]:
    """The contents of `stack.env`, with which people, tests and the command line use the stack."""
    outputs = deployment.outputs
    # The command line works with the very settings of the functions, but with addresses of this machine.
    return (
        environment.settings(here.endpoint)
        | deployment.settings()
        | {
            "RUNNABLE_JOBS_PULSE_URL": f"amqp://{here.pulse}",
            "RUNNABLE_JOBS_TREEHERDER_URL": here.treeherder,
            "BASE_URL": deployment.url("BaseUrl"),
            "TRIGGER_BASE_URL": deployment.url("TriggerBaseUrl"),
            "PAGE_URL": f"{deployment.url('BaseUrl')}/",
            "OIDC_ISSUER": issuer,
            "CATALOG_TABLE": outputs["CatalogTable"],
            "REQUESTS_TABLE": outputs["RequestsTable"],
            "QUEUE_URL": outputs["QueueUrl"],
            "DEAD_LETTER_QUEUE_URL": outputs["DeadLetterQueueUrl"],
            "ARCHIVE_BUCKET": outputs["ArchiveBucket"],
        }
        | {"FORWARD_LOG_GROUP": deployment.log_group("forward")}
        | taskcluster_process.settings(here.taskcluster, here.artifacts)
        | {function.variable: outputs[function.output] for function in FUNCTIONS.values()}
        | {
            "AMQP_URL": f"amqp://{LISTENER}:{here.passwords[LISTENER]}@{here.pulse}",
            "PULSE_NAMESPACE": PUBLISHER,
            "TREEHERDER_URL": here.treeherder,
            "PUSH_ID": here.push_id,
            "BUSY_PUSH_ID": str(BUSY_PUSH),
            "TASKCLUSTER_URL": here.taskcluster,
            "DECISION_TASK_ID": here.decision_task_id,
        }
        | here.tls
    )


def write_stack_env(ends: contextlib.ExitStack, found: dict[str, str], programs: Programs) -> None:
    """Write `stack.env`, with the folder of our own programs in its PATH; `ends` removes it."""
    lines = [f"unset {' '.join(environment.MISLEADING)}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in found.items()]
    lines += [f'export PATH={shlex.quote(str(programs.target))}:"$PATH"']
    # Renamed into place: a program that waits for it never reads half of it.
    draft = STACK_ENV.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)  # It contains a password.
    draft.write_text("\n".join(lines) + "\n")
    ends.callback(STACK_ENV.unlink, missing_ok=True)
    draft.replace(STACK_ENV)


def say_what_to_try(found: dict[str, str], programs: Programs, logs: tuple[Path, ...]) -> None:
    """Print the addresses and names of all parts, the logs of the services, and commands to try."""
    emulator_log, broker_log, treeherder_log, taskcluster_log = map(shown, logs)
    show, runs, requests = (
        " ".join(by_name(command)) for command in (programs.show("try"), programs.runs(), programs.requests("list"))
    )
    say(f"""
The local stack is running.
Page: {found["PAGE_URL"]}?project=try&push={found["BUSY_PUSH_ID"]}

  lists            {found["BASE_URL"]}
  requests         {found["TRIGGER_BASE_URL"]}
  sign-in          {found["OIDC_ISSUER"]}, as any address; its log: {shown(OPENID_LOG)}
  AWS endpoint     {found["AWS_ENDPOINT_URL"]}
  catalog table    {found["CATALOG_TABLE"]}
  requests table   {found["REQUESTS_TABLE"]}
  queue            {found["QUEUE_URL"]}
  archive bucket   {found["ARCHIVE_BUCKET"]}
  ETL function     {found["ETL_FUNCTION"]}, at cron({found["RUNNABLE_JOBS_SCHEDULE"]}) UTC for Buildbot,
                   at cron({found["RUNNABLE_JOBS_TASKCLUSTER_SCHEDULE"]}) for Taskcluster
  jobs function    {found["JOBS_FUNCTION"]}
  trigger function {found["TRIGGER_FUNCTION"]}
  sweep function   {found["SWEEP_FUNCTION"]}
  forward function {found["FORWARD_FUNCTION"]}
  Pulse            {found["RUNNABLE_JOBS_PULSE_URL"]}, RabbitMQ; its log: {broker_log}
  Treeherder       {found["TREEHERDER_URL"]}, a fake; its log: {treeherder_log}
  Taskcluster      {found["TASKCLUSTER_URL"]}, a fake; its log: {taskcluster_log}
  emulator's log   {emulator_log}
  functions' logs  in the emulator; when it has ended, {shown(function_log("NAME"))}

To try in another terminal, after `. {shown(STACK_ENV)}`:
  curl --compressed "$BASE_URL/api/project/try/runnable_jobs/"
  curl "$BASE_URL/api/projects/"
  curl "$BASE_URL/__heartbeat__"
  {show}
  {runs}
  {shown(VENV / "bin" / "aws")} lambda invoke --function-name "$ETL_FUNCTION" /dev/stdout
  {shown(VENV / "bin" / "aws")} logs filter-log-events --log-group-name {found["FORWARD_LOG_GROUP"]} \\
    --query 'events[].message' --output text
In a browser: {found["BASE_URL"]}/api/docs/

To run jobs on push {found["PUSH_ID"]}, as anyone at mozilla.com:
  TOKEN=$(make --no-print-directory token EMAIL=someone@mozilla.com)
  curl -H "Authorization: Bearer $TOKEN" --json '{{"requested_jobs": ["Linux x86-64 try build"]}}' \\
    "$TRIGGER_BASE_URL/api/project/try/push/$PUSH_ID/trigger_runnable_jobs/"
  curl -H "Authorization: Bearer $TOKEN" "$TRIGGER_BASE_URL/api/trigger_requests/?requester=me"
  {requests} --push try/$PUSH_ID
Messages that reach the Pulse listener are shown here as `pulse: ...`, and in {shown(PULSE_LOG)}. For another listener:
  {shown(VENV / "bin" / "python")} {shown(FAKES / "pulse_listener.py")}
""")
