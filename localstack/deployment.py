"""Deploys the template to the emulator, as it would be deployed to AWS, and calls the deployed functions."""

import base64
import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
import uuid
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from localstack.paths import CHECKOUT_RUN, ROOT, RUN, TEMPLATE, VENV, PartFailed, indented, shown
from localstack.programs import FUNCTIONS

STACK = "runnable-jobs"
# The archives of functions that were deployed last.
ARCHIVES, MAX_ARCHIVES = CHECKOUT_RUN / "archives", 20
# CloudFormation fetches the code from this bucket; on AWS too it does not belong to the stack.
CODE_BUCKET = "runnable-jobs-code"
# The id and the kind of an API in the address that AWS gives it, as in https://ID.execute-api.REGION.amazonaws.com.
FRONT = re.compile(r"https?://(?P<id>[a-z0-9]+)\.(?P<kind>execute-api|lambda-url)\.")
# More than the template allows a function that answers HTTP.
ANSWER_SECONDS = 20
AWS_ERRORS = (Boto3Error, BotoCoreError, ClientError)
# The read timeout is above the template's timeout for the ETL function. No retries: the emulator is on this machine.
CLIENT = Config(read_timeout=330, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})


def function_log(name: str) -> Path:
    """The file that holds a function's log after the end of the stack."""
    return RUN / f"{name}-function.log"


def archive_of(binary: Path) -> Path:
    """The archive of a function's binary for Lambda. Archives are kept: to make one takes longer than all the rest."""
    digest = hashlib.sha256(binary.read_bytes()).hexdigest()
    kept = ARCHIVES / f"{digest}.zip"
    if not kept.exists():
        ARCHIVES.mkdir(parents=True, exist_ok=True)
        # Without the time of the file: an unchanged binary gives the same archive, and is not deployed again.
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        draft = kept.with_suffix(f".{os.getpid()}")
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(entry, binary.read_bytes(), zipfile.ZIP_DEFLATED, 1)
        draft.replace(kept)
    kept.touch()
    for old in sorted(ARCHIVES.glob("*.zip"), key=lambda file: file.stat().st_mtime)[:-MAX_ARCHIVES]:
        old.unlink(missing_ok=True)
    return kept


class Deployment:
    """The stack in the emulator that the environment variables name."""

    def __init__(self, scratch: Path, emulator_log: Path, has_fronts_in_path: bool) -> None:
        self.scratch, self.emulator_log, self.has_fronts_in_path = scratch, emulator_log, has_fronts_in_path
        self.cloudformation = boto3.client("cloudformation", config=CLIENT)
        self.lambda_ = boto3.client("lambda", config=CLIENT)
        self.logs = boto3.client("logs", config=CLIENT)
        self.s3 = boto3.client("s3", config=CLIENT)
        self.parameters = boto3.client("ssm", config=CLIENT)
        # The template's outputs, where the stack exists already.
        with self._part("deployment"):
            self.outputs = self._outputs()
        # The address of the template that points to the uploaded code.
        self.packaged = ""

    def package(self, binaries: dict[str, Path]) -> None:
        """Upload `binaries` as the code of their `FUNCTIONS`, and the template that points to it, unless the last run
        uploaded the same.
        """
        for name in binaries:
            # That of an earlier run.
            function_log(name).unlink(missing_ok=True)
        digest = hashlib.sha256(TEMPLATE.read_bytes())
        for binary in binaries.values():
            digest.update(hashlib.sha256(binary.read_bytes()).digest())
        key = f"{digest.hexdigest()}.json"
        self.packaged = f"{self.s3.meta.endpoint_url}/{CODE_BUCKET}/{key}"
        with self._part("packaging the template"):
            self.s3.create_bucket(Bucket=CODE_BUCKET)
            there = [found["Key"] for found in self.s3.list_objects_v2(Bucket=CODE_BUCKET).get("Contents", [])]
            if key in there:
                return
            # Lambda has copied what it needs of these.
            for old in there:
                self.s3.delete_object(Bucket=CODE_BUCKET, Key=old)
        # The template names the code of a function by a path relative to itself. An archive at that place is uploaded
        # as it is.
        template = self.scratch / TEMPLATE.relative_to(ROOT)
        template.parent.mkdir(parents=True)
        shutil.copy(TEMPLATE, template)
        deployed = self.scratch / "target" / "deploy"
        deployed.mkdir(parents=True)
        for name, binary in binaries.items():
            (deployed / name).symlink_to(archive_of(binary))
        command = [
            str(VENV / "bin" / "aws"),
            "cloudformation",
            "package",
            "--template-file",
            str(template),
            "--s3-bucket",
            CODE_BUCKET,
            "--use-json",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = f"{shown(TEMPLATE)}: {done.stderr.strip()}"
            raise PartFailed("packaging the template", reason, self.emulator_log)
        # A request may contain a template of at most 51,200 bytes; an object in a bucket may be larger.
        with self._part("packaging the template"):
            self.s3.put_object(Bucket=CODE_BUCKET, Key=key, Body=done.stdout.encode())

    def deploy(self, parameters: dict[str, str]) -> None:
        """Create or update the stack with `parameters` (others have the template's defaults), and read its outputs."""
        parameters = parameters | {
            "Architecture": "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64",
        }
        step = "update" if self.outputs else "create"
        with self._part(f"deployment ({step})"):
            getattr(self.cloudformation, f"{step}_stack")(
                StackName=STACK,
                TemplateURL=self.packaged,
                Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            )
            try:
                self.cloudformation.get_waiter(f"stack_{step}_complete").wait(
                    StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
                )
            except WaiterError as error:
                reason = self._failed_resources() or str(error)
                raise PartFailed(f"deployment ({step})", reason, self.emulator_log) from None
            self.outputs = self._outputs()

    def _outputs(self) -> dict[str, str]:
        stacks = self.cloudformation.describe_stacks()["Stacks"]
        return {
            output["OutputKey"]: output["OutputValue"]
            for stack in stacks
            if stack["StackName"] == STACK
            for output in stack["Outputs"]
        }

    def _failed_resources(self) -> str:
        events = self.cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
        return indented(
            f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', 'no reason')}"
            for event in reversed(events)
            if event["ResourceStatus"].endswith("_FAILED")
        )

    def upload(self, source: Path) -> str:
        """Put a source into the archive bucket, in parts if it is large; returns its `s3://` address."""
        bucket, key = self.outputs["ArchiveBucket"], f"sources/{source.name}"
        with self._part("uploading the source"):
            self.s3.upload_file(str(source), bucket, key)
        return f"s3://{bucket}/{key}"

    def keep_parameter(self, name: str, value: str) -> str:
        """Store an encrypted parameter that the stack only refers to; returns its name."""
        with self._part("storing a parameter"):
            self.parameters.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)
        return name

    def fire(self, name: str) -> None:
        """Invoke the function of that name with the event that its schedule sends, and wait until it is done."""
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": "000000000000",
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.lambda_.meta.region_name,
            "resources": [],
            "detail": {},
        }
        self.invoke(name, event)

    def invoke(self, name: str, event: dict) -> None:
        """Invoke the function of that name, wait until it is done, and fail if it fails."""
        part = f"{'ETL' if name == 'etl' else name} function"
        with self._part(part):
            answer = self.lambda_.invoke(
                FunctionName=self.outputs[FUNCTIONS[name].output], LogType="Tail", Payload=json.dumps(event)
            )
            payload = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
            lines = indented(log.splitlines()) or " empty"
            reason = f"{payload.get('errorMessage', payload)}\n  the end of its log:{lines}"
            raise PartFailed(part, reason, function_log(name))

    def settings(self) -> dict[str, str]:
        """The settings of the deployed functions."""
        variables: dict[str, str] = {}
        with self._part("deployment"):
            for name in FUNCTIONS:
                variables |= self._function(name)["Environment"]["Variables"]
        return {name: value for name, value in variables.items() if name.startswith("RUNNABLE_JOBS_")}

    def url(self, output: str) -> str:
        """The base URL in an output of the template, as this machine reaches it, without a slash at the end.

        Emulators identify an API or a function URL by its host name, as AWS does, but not every machine resolves those
        names. One emulator also accepts them in the path.
        """
        if not (front := FRONT.match(self.outputs[output])):
            raise PartFailed("HTTP API", f"the stack's {output} is {self.outputs[output]}", self.emulator_log)
        endpoint = urllib.parse.urlsplit(self.lambda_.meta.endpoint_url)
        if self.has_fronts_in_path:
            return f"{endpoint.geturl()}/_aws/{front['kind']}/{front['id']}"
        # The port differs from that inside the container.
        return f"http://{urllib.parse.urlsplit(self.outputs[output]).hostname}:{endpoint.port}"

    def ask(self, name: str, url: str, expected: int = 200) -> bytes:
        """Send a GET to the function of that name over HTTP, and fail if it answers with another status; returns the
        body.
        """
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        # To the emulator, whatever the host name resolves to.
        wanted, endpoint = urllib.parse.urlsplit(url), urllib.parse.urlsplit(self.lambda_.meta.endpoint_url)
        request = urllib.request.Request(
            wanted._replace(netloc=endpoint.netloc).geturl(), headers={"Host": wanted.netloc}
        )
        try:
            with opener.open(request, timeout=ANSWER_SECONDS) as found:
                status, answer = found.status, found.read()
        except urllib.error.HTTPError as error:
            status, answer = error.code, error.read()
        except OSError as error:
            raise PartFailed(f"{name} function", f"does not answer GET {url}: {error}", function_log(name)) from None
        if status != expected:
            lines = indented(answer.decode(errors="replace").splitlines())
            raise PartFailed(f"{name} function", f"answers GET {url} with {status}:{lines}", function_log(name))
        return answer

    def log_group(self, name: str) -> str:
        """The log group of the function of that name."""
        return self._log_groups(name)[0]

    def save_function_logs(self) -> None:
        """Save the logs of the functions to files, as far as the emulator still answers."""
        for name in FUNCTIONS:
            with open(function_log(name), "w") as log:
                for group in self._log_groups(name):
                    # One of the two may not exist.
                    with contextlib.suppress(*AWS_ERRORS):
                        for page in self.logs.get_paginator("filter_log_events").paginate(logGroupName=group):
                            log.writelines(event["message"].rstrip("\n") + "\n" for event in page["events"])

    def _log_groups(self, name: str) -> list[str]:
        """The log groups that the function of that name may write to: the template's, and LocalStack's, which is named
        after the function.
        """
        groups = [f"/aws/lambda/{self.outputs[FUNCTIONS[name].output]}"]
        with contextlib.suppress(*AWS_ERRORS):
            groups.insert(0, self._function(name)["LoggingConfig"]["LogGroup"])
        return list(dict.fromkeys(groups))

    def _function(self, name: str) -> dict:
        return self.lambda_.get_function_configuration(FunctionName=self.outputs[FUNCTIONS[name].output])

    @contextlib.contextmanager
    def _part(self, name: str) -> Iterator[None]:
        """Turn an error of an AWS client into a `PartFailed` that names the part."""
        try:
            yield
        except AWS_ERRORS as error:
            raise PartFailed(name, str(error), self.emulator_log) from None
