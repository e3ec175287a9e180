"""The fake Taskcluster (`fakes/taskcluster/`) as a child process of the running stack."""

import json
import urllib.parse
from pathlib import Path

from localstack.fakes.taskcluster import PROJECTS
from localstack.paths import PartFailed, tail
from localstack.process import check, end, start_fake

STOP_SECONDS = 5


class TaskclusterProcess:
    """A fake Taskcluster on free loopback ports: `url`, the root URL; `artifact_url`, the host of its artifacts; and
    `decision_task_id`, the decision task of the push that Treeherder has in every project.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        with open(log, "w") as output:
            self.process = start_fake("taskcluster", errors=output)
        assert self.process.stdout
        self.url, self.artifact_url, self.decision_task_id = (self.process.stdout.readline().strip() for _ in range(3))
        if not self.decision_task_id:
            self.stop()
            raise PartFailed("fake Taskcluster", f"does not start:{tail(log)}", log)

    def client(self) -> dict[str, str]:
        """The client that may trigger actions, as the parameter of a deployment has it."""
        client_id, token = getattr(self, "client_id", None), getattr(self, "access_token", None)
        return {"clientId": client_id, "accessToken": token} if client_id and token else {}

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
