"""Runs the fake Taskcluster as a program."""

from localstack.fakes import serving, taskcluster
from localstack.fakes.pushes import PUSH_ID, decision_task_id


def main() -> None:
    parser = serving.parser(taskcluster.__doc__)
    parser.add_argument("--artifact-port", type=int, default=0, help="the port of artifacts (default: any free one)")
    options = parser.parse_args()

    def start() -> tuple[taskcluster.Taskcluster, list[object]]:
        fake = taskcluster.Taskcluster(options.port, options.artifact_port, options.host).start()
        return fake, [fake.url, fake.artifact_url, decision_task_id(taskcluster.PROJECTS[0], PUSH_ID)]

    serving.run(start, options.with_parent)


if __name__ == "__main__":
    main()
