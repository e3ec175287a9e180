"""The whole product on one machine: an AWS emulator with the template deployed to it, a catalog, pushes to run jobs on,
and a broker in place of Pulse, with a listener.

    python3 -m localstack build -- OPTIONS...      run `cargo build OPTIONS...`, and say how far it is
    python3 -m localstack run                      deploy, ingest a sample, and keep running until Ctrl-C; continues
                                                   with the data of the last run, with --fresh it starts anew
    python3 -m localstack run --source FILE        ingest FILE (or a URL) instead
    python3 -m localstack token --email ADDRESS    print a token that signs in to the running stack
    python3 -m localstack exec -- COMMAND...       run COMMAND beside an empty emulator, with --broker also a broker
    python3 -m localstack pull                     only fetch the images for `run --docker`
    python3 -m localstack install                  only make `.venv`; with --programs also install RabbitMQ and Chromium
    python3 -m localstack install REQUIREMENTS     only make `.venv-NAME` from NAME.txt: tools that need their own

It starts with the standard library alone and installs the rest into the checkout's `.venv` the first time. The broker
is the system's rabbitmq-server; as root it is installed with apt-get if it is missing.
"""

import argparse
import re
import signal
import sys
from pathlib import Path

from localstack import broker, build, chromium, containers, environment
from localstack.openid_process import TOKEN_SECONDS
from localstack.paths import ROOT, RUN, PartFailed, Stopped, stop_on_signals
from localstack.programs import FUNCTIONS

DEFAULT_TARGET = ROOT / "target" / "debug"


def main() -> int:
    options = arguments().parse_args()
    try:
        if options.command == "install" and options.requirements:
            environment.install(options.requirements)
            return 0
        if options.command == "pull":
            containers.pull()
            return 0
        if options.command == "build":
            stop_on_signals()
            build.build(options.words)
            return 0
        if options.command == "run" and options.docker:
            containers.check()
        environment.enter()
        if options.command == "install":
            if options.programs:
                broker.program()
                chromium.program()
            return 0
        from localstack import commands  # its imports are in `.venv`

        if options.command == "token":
            return commands.token(options)
        stop_on_signals()
        if options.command == "run":
            return commands.run(options)
        return commands.execute(options.words, options.broker)
    except PartFailed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        return 128 + stopped.number
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m localstack", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="build | run | token | exec | pull | install"
    )

    builds = commands.add_parser("build", help="build programs with cargo, and say how far it is")
    builds.add_argument("words", nargs="+", metavar="OPTION", help="the options of `cargo build`")

    run = commands.add_parser("run", help="deploy the template, ingest a source, and keep running")
    run.add_argument(
        "--source",
        type=_source,
        metavar="FILE|URL",
        help="a file, or an http(s):// or s3:// address (default: a sample that is made now)",
    )
    run.add_argument(
        "--schedule",
        default="0 6 * * ? *",
        metavar="CRON",
        help="six fields of an EventBridge cron expression, UTC (default: %(default)s)",
    )
    run.add_argument("--once", action="store_true", help="stop when everything is done, instead of at Ctrl-C")
    run.add_argument(
        "--docker",
        action="store_true",
        help="use LocalStack, RabbitMQ and the fakes in containers; nothing is kept, and there are only function URLs",
    )
    run.add_argument(
        "--http-front",
        choices=("HttpApi", "FunctionUrl"),
        default="HttpApi",
        help="what answers HTTP in front of the functions, as the template's parameter (default: %(default)s)",
    )
    run.add_argument(
        "--target",
        type=_folder,
        default=DEFAULT_TARGET,
        metavar="FOLDER",
        help="cargo's folder with the command line and the functions (default: target/debug)",
    )
    run.add_argument(
        "--functions", type=_folder, metavar="FOLDER", help="the folder with the functions (default: as --target)"
    )
    run.add_argument(
        "--function",
        type=_function,
        action="append",
        default=[],
        metavar="NAME=FILE",
        help=f"another binary for one function; NAME is one of {', '.join(FUNCTIONS)}",
    )
    run.add_argument(
        "--planning",
        default="",
        metavar="JSON",
        help="how tests wait for their builds, as the template's parameter (default: the template's)",
    )
    run.add_argument(
        "--token-seconds",
        type=int,
        default=TOKEN_SECONDS,
        metavar="N",
        help="how long the tokens of people who sign in in a browser are valid (default: %(default)s)",
    )
    run.add_argument("--fresh", action="store_true", help="delete what the last run kept, and start anew")
    run.add_argument(
        "--data",
        type=lambda text: Path(text).absolute(),
        default=RUN / "data",
        metavar="FOLDER",
        help="where its data is kept for the next run (default: .run/data)",
    )
    run.add_argument(
        "--no-listener",
        dest="listener",
        action="store_false",
        help="start no Pulse listener: without any other listener, nothing can be forwarded",
    )

    token = commands.add_parser("token", help="print a token that signs in to the running stack")
    who = token.add_mutually_exclusive_group(required=True)
    who.add_argument("--email", type=_email, metavar="ADDRESS", help="of a person: their e-mail address")
    who.add_argument(
        "--service",
        type=_word,
        metavar="NAME",
        help="of a service that makes requests for people: its client id (the stack accepts treeherder)",
    )

    execute = commands.add_parser("exec", help="run a command beside an empty emulator of its own")
    execute.add_argument("--broker", action="store_true", help="and beside an empty broker")
    execute.add_argument("words", nargs="+", metavar="COMMAND")

    commands.add_parser("pull", help="check that Docker works, and fetch the images that `run --docker` needs")
    install = commands.add_parser("install", help="make .venv where it is missing or out of date, and do nothing else")
    install.add_argument(
        "--programs", action="store_true", help="and install RabbitMQ and Chromium, if missing, which needs root"
    )
    install.add_argument(
        "requirements",
        type=_file,
        nargs="?",
        metavar="REQUIREMENTS",
        help="make .venv-NAME from this NAME.txt instead: tools that need an environment of their own",
    )
    return parser


def _file(text: str) -> Path:
    """A file named from the current folder or from the top of the checkout."""
    for path in (Path(text).absolute(), ROOT / text):
        if path.is_file():
            return path
    raise argparse.ArgumentTypeError(f"there is no file {text}")


def _folder(text: str) -> Path:
    """A folder named from the current folder or from the top of the checkout."""
    for path in (Path(text).absolute(), ROOT / text):
        if path.is_dir():
            return path
    raise argparse.ArgumentTypeError(f"there is no folder {text}")


def _function(text: str) -> tuple[str, Path]:
    name, _, file = text.partition("=")
    if name not in FUNCTIONS:
        raise argparse.ArgumentTypeError(f"{text!r} does not start with one of {', '.join(FUNCTIONS)}")
    return name, _file(file)


def _email(text: str) -> str:
    if not re.fullmatch(r"[^\s@]+@[^\s@]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an e-mail address, such as someone@mozilla.com")
    return text


def _word(text: str) -> str:
    if not re.fullmatch(r"\S+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not one word, such as treeherder")
    return text


def _source(text: str) -> str | Path:
    if text.startswith(("http://", "https://", "s3://")):
        return text
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text} is neither a file nor an http(s):// or s3:// address")
    return _file(text)


if __name__ == "__main__":
    sys.exit(main())
