"""Runs the fake Taskcluster as a program."""

from localstack.fakes import serving, taskcluster
from localstack.fakes.pushes import PUSH_ID, decision_task_id
from localstack.fakes.taskcluster.life import PACE


def main() -> None:
    parser = serving.parser(taskcluster.__doc__)
    parser.add_argument("--artifact-port", type=int, default=0, help="the port of artifacts (default: any free one)")
    parser.add_argument(
        "--treeherder", default="", metavar="URL", help="a fake Treeherder that shows the tasks that are created"
    )
    parser.add_argument(
        "--pace",
        type=float,
        default=PACE,
        metavar="SECONDS",
        help="how long a created task stays in each state (default: %(default)s)",
    )
    options = parser.parse_args()

    def start() -> tuple[taskcluster.Taskcluster, list[object]]:
        fake = taskcluster.Taskcluster(
            options.port, options.artifact_port, options.host, options.treeherder, options.pace
        ).start()
        task_id = decision_task_id(taskcluster.PROJECTS[0], PUSH_ID)
        return fake, [
            fake.url,
            fake.artifact_url,
            task_id,
            f"TASKCLUSTER_CLIENT_ID={fake.client_id}",
            f"TASKCLUSTER_ACCESS_TOKEN={fake.access_token}",
        ]

    serving.run(start, options.with_parent)


if __name__ == "__main__":
    main()
