"""The fake Taskcluster (`fakes/taskcluster/`) as a child process of the running stack."""

import json
import urllib.parse
from pathlib import Path

from localstack.fakes.taskcluster import PROJECTS
from localstack.paths import PartFailed, tail
from localstack.process import check, end, start_fake

STOP_SECONDS = 5


# How long created tasks stay in each state, in seconds: a person sees them wait and run.
PACE_SECONDS = 3
CLIENT_ID, ACCESS_TOKEN = "TASKCLUSTER_CLIENT_ID", "TASKCLUSTER_ACCESS_TOKEN"


class TaskclusterProcess:
    """A fake Taskcluster on free loopback ports: `url`, the root URL; `artifact_url`, the host of its artifacts;
    `decision_task_id`, the decision task of the push that Treeherder has in every project; and `client_id` and
    `access_token`, the credentials of a client that may trigger hooks.

    The fake Treeherder at the address `treeherder` shows the tasks that are created.
    """

    def __init__(self, log: Path, treeherder: str = "") -> None:
        self.log = log
        words = ["--pace", str(PACE_SECONDS)] + (["--treeherder", treeherder] if treeherder else [])
        with open(log, "w") as output:
            self.process = start_fake("taskcluster", *words, errors=output)
        assert self.process.stdout
        self.url, self.artifact_url, self.decision_task_id = (self.process.stdout.readline().strip() for _ in range(3))
        given = dict(self.process.stdout.readline().strip().partition("=")[::2] for _ in range(2))
        self.client_id, self.access_token = given.get(CLIENT_ID, ""), given.get(ACCESS_TOKEN, "")
        if not self.access_token:
            self.stop()
            raise PartFailed("fake Taskcluster", f"does not start:{tail(log)}", log)

    def client(self) -> dict[str, str]:
        """The client that may trigger actions, as the parameter of a deployment has it."""
        return {"clientId": self.client_id, "accessToken": self.access_token}

    def check(self) -> None:
        """Fail if the fake has ended by itself."""
        check(self.process, "fake Taskcluster", self.log)

    def stop(self) -> None:
        """End the fake."""
        end(self.process, STOP_SECONDS)
        assert self.process.stdout
        self.process.stdout.close()


def parameters(url: str, artifact_url: str) -> dict[str, str]:
    """The template's parameters with which functions read from a fake at these addresses."""
    return {
        "TaskclusterUrl": url,
        "TaskclusterProjects": json.dumps({project: f"gecko.v2.{project}" for project in PROJECTS}),
        "TaskclusterArtifactHosts": urllib.parse.urlsplit(artifact_url).netloc,
    }


def settings(url: str, artifact_url: str) -> dict[str, str]:
    """The variables with which programs on this machine read from it: those that the functions get."""
    given = parameters(url, artifact_url)
    return {
        "RUNNABLE_JOBS_TASKCLUSTER_URL": given["TaskclusterUrl"],
        "RUNNABLE_JOBS_TASKCLUSTER_PROJECTS": given["TaskclusterProjects"],
        "RUNNABLE_JOBS_TASKCLUSTER_ARTIFACT_HOSTS": given["TaskclusterArtifactHosts"],
    }
