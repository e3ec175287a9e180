#!/usr/bin/env python3
"""The whole product on one machine: an AWS emulator, the template deployed to it, a catalog, pushes to run jobs on, and
a broker that stands in for Pulse, with a listener.

    stack.py run                      deploy, ingest a sample, and keep running until Ctrl-C; go on with what the
                                      last run kept, or with --fresh begin anew
    stack.py run --source FILE        ingest FILE (or a URL) instead
    stack.py token --email ADDRESS    print a token to sign in to the running stack with
    stack.py exec -- COMMAND...       run COMMAND beside an empty emulator of its own, and with --broker a broker
    stack.py pull                     only fetch the images for `run --docker`
    stack.py install                  only make `.venv`
    stack.py install REQUIREMENTS     only make `.venv-NAME` of NAME.txt: tools that need one of their own

Only the standard library is needed to start: the rest is installed into the checkout's `.venv` the first time. The
broker is the system's rabbitmq-server; where it is missing and apt-get is there, it is installed for root.
"""

import argparse
import re
import signal
import sys
from pathlib import Path

import containers
import environment
from checkout import ROOT, RUN, PartFailed, Stopped, stop_on_signals


def main() -> int:
    options = arguments().parse_args()
    try:
        if options.command == "install" and options.requirements:
            environment.install(options.requirements)
            return 0
        if options.command == "pull":
            containers.pull()
            return 0
        if options.command == "run" and options.docker:
            containers.check()
        environment.enter()
        if options.command == "install":
            return 0
        import commands  # its imports live in `.venv`

        if options.command == "token":
            return commands.token(options)
        stop_on_signals()
        return commands.run(options) if options.command == "run" else commands.execute(
            options.words, options.broker)
    except PartFailed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        return 128 + stopped.number
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="run | token | exec | pull | install")

    run = commands.add_parser("run", help="deploy the template, ingest a source, and keep running")
    run.add_argument("--source", type=_source, metavar="FILE|URL",
                     help="a file, or an http(s):// or s3:// address (default: a sample that is made now)")
    run.add_argument("--schedule", default="0 6 * * ? *", metavar="CRON",
                     help="six fields of an EventBridge cron expression, UTC (default: %(default)s)")
    run.add_argument("--once", action="store_true", help="stop when everything is done, instead of at Ctrl-C")
    run.add_argument("--docker", action="store_true",
                     help="use LocalStack, RabbitMQ and Treeherder's stand-in in containers; nothing is kept, and there"
                          " are only function URLs")
    run.add_argument("--http-front", choices=("HttpApi", "FunctionUrl"), default="HttpApi",
                     help="what stands before the functions, as the template's parameter (default: %(default)s)")
    run.add_argument("--etl-function", type=_file, default="target/deploy/etl/bootstrap", metavar="PATH",
                     help="the ETL function's binary (default: %(default)s)")
    run.add_argument("--jobs-function", type=_file, default="target/deploy/jobs/bootstrap", metavar="PATH",
                     help="the jobs function's binary (default: %(default)s)")
    run.add_argument("--trigger-function", type=_file, default="target/deploy/trigger/bootstrap", metavar="PATH",
                     help="the trigger function's binary (default: %(default)s)")
    run.add_argument("--sweep-function", type=_file, default="target/deploy/sweep/bootstrap", metavar="PATH",
                     help="the sweep function's binary (default: %(default)s)")
    run.add_argument("--forward-function", type=_file, default="target/deploy/forward/bootstrap", metavar="PATH",
                     help="the forward function's binary (default: %(default)s)")
    run.add_argument("--planning", default="", metavar="JSON",
                     help="how tests wait for their builds, as the template's parameter (default: as that has it)")
    run.add_argument("--fresh", action="store_true", help="forget what the last run kept, and begin anew")
    run.add_argument("--data", type=lambda text: Path(text).absolute(), default=RUN / "data", metavar="FOLDER",
                     help="where its data is kept for the next run (default: .run/data)")
    run.add_argument("--no-listener", dest="listener", action="store_false",
                     help="start no Pulse listener: while nobody else listens, nothing can be forwarded")
    run.add_argument("--etl", type=_file, default="target/release/etl", metavar="PATH",
                     help="the command line's binary (default: %(default)s)")

    token = commands.add_parser("token", help="print a token to sign in to the running stack with")
    who = token.add_mutually_exclusive_group(required=True)
    who.add_argument("--email", type=_email, metavar="ADDRESS", help="a person's: their e-mail address")
    who.add_argument("--service", type=_word, metavar="NAME", help="a service's that asks for people: its client id (the stack takes treeherder's)")

    execute = commands.add_parser("exec", help="run a command beside an empty emulator of its own")
    execute.add_argument("--broker", action="store_true", help="and beside an empty broker")
    execute.add_argument("words", nargs="+", metavar="COMMAND")

    commands.add_parser("pull", help="see that Docker is there, and fetch the images that `run --docker` needs")
    install = commands.add_parser("install", help="make .venv where it is missing or out of date, and do nothing else")
    install.add_argument("requirements", type=_file, nargs="?", metavar="REQUIREMENTS",
                         help="make .venv-NAME of this NAME.txt instead: tools that need an environment of their own")
    return parser


def _file(text: str) -> Path:
    """A file named from the current folder or, as the defaults are, from the top of the checkout."""
    for path in (Path(text).absolute(), ROOT / text):
        if path.is_file():
            return path
    raise argparse.ArgumentTypeError(f"there is no file {text}")


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
