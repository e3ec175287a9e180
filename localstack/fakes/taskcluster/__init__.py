"""A fake of the part of Taskcluster that this product uses: the Index, the Queue, Auth, Hooks, and the host of
artifacts.

    python3 -m localstack.fakes.taskcluster [--host ADDRESS] [--port N] [--artifact-port N] [--treeherder URL]
                                            [--pace SECONDS] [--with-parent]

It prints, each on a line of its own, its root URL, the address of its artifact host, the decision task of a push that
the fake Treeherder knows too (`PUSH_ID` of `try`), and the credentials of a client that may trigger hooks, as
`TASKCLUSTER_CLIENT_ID=...` and `TASKCLUSTER_ACCESS_TOKEN=...`. Each of `PROJECTS` has a completed decision task for
each of that fake's pushes, with artifacts in gecko's form. The hooks of its actions make action tasks, which run and
create tasks. `Control` changes that over HTTP, and makes it fail. It needs only the standard library.

`SERVICES` in `server.py` is where a service is added; `api.py` has what services share.
"""

from localstack.fakes.taskcluster.clients import CLIENT_ID
from localstack.fakes.taskcluster.control import FULL_TASK_GRAPH, RUNNABLE_JOBS, Control
from localstack.fakes.taskcluster.decision import PROJECTS
from localstack.fakes.taskcluster.graph import own_label
from localstack.fakes.taskcluster.server import Taskcluster

__all__ = ["CLIENT_ID", "FULL_TASK_GRAPH", "PROJECTS", "RUNNABLE_JOBS", "Control", "Taskcluster", "own_label"]
