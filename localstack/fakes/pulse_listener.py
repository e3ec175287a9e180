#!/usr/bin/env python3
"""A Pulse listener with kombu, as Mozilla's were: it prints one line of JSON for each message that asks for jobs.

    pulse_listener.py [--name NAME] [--with-parent]
    python3 -m localstack.fakes.pulse_listener --treeherder URL [--pace SECONDS] [--result NAME=RESULT ...]

It listens to the exchange of PULSE_NAMESPACE on the broker AMQP_URL, both as `. .run/stack.env` sets them. Its queue
keeps the messages that arrive while it does not run. With the address of a fake Treeherder it runs the jobs as Buildbot
did: they appear there, run, and end.
"""

import argparse
import contextlib
import json
import os
import sys
import threading
import urllib.parse
from collections.abc import Callable
from typing import Any

from kombu import Connection, Exchange, Message, Queue

CONNECT_SECONDS = 5
# The pause between two attempts to connect, and the longest time until it notices that it should stop.
RETRY_SECONDS = 0.5
NOT_FOUND = 404


class Listener:
    """Passes all messages of an exchange to `receive`, each before it acknowledges it, until it is stopped."""

    def __init__(
        self,
        url: str,
        namespace: str,
        name: str,
        receive: Callable[[dict], None],
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.url, self.receive, self.report = url, receive, report
        # Passive: it belongs to the publisher, and no other user may declare it.
        exchange = Exchange(
            f"exchange/{namespace}/v1/resultset-runnable-job-actions", type="topic", durable=True, passive=True
        )
        # On Pulse a user may only make queues that contain their name.
        user = urllib.parse.urlsplit(url).username
        self.queue = Queue(f"queue/{user}/{name}", exchange, routing_key="#", durable=True)
        self.is_bound, self.is_stopped = threading.Event(), threading.Event()

    def run(self) -> None:
        """Listen until `stop`; wait for the broker and for the exchange whenever they are missing."""
        last = ""
        while not self.is_stopped.is_set():
            with Connection(self.url, connect_timeout=CONNECT_SECONDS) as connection:
                try:
                    self._listen(connection)
                except (*connection.connection_errors, *connection.channel_errors) as error:
                    if self.is_bound.is_set():
                        last = ""
                    is_missing = getattr(error, "reply_code", None) == NOT_FOUND
                    missing = self.queue.exchange.name if is_missing else "the broker"
                    if missing != last:
                        self.report(f"waiting for {missing}: {error}")
                    last = missing
            self.is_bound.clear()
            self.is_stopped.wait(RETRY_SECONDS)

    def _listen(self, connection: Connection) -> None:
        connection.connect()
        # It declares the exchange, which fails if that does not exist, then its queue, and binds it.
        with connection.Consumer(self.queue, on_message=self._hear):
            self.is_bound.set()
            self.report(f"listening to {self.queue.exchange.name}")
            while not self.is_stopped.is_set():
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=RETRY_SECONDS)

    def _hear(self, message: Message) -> None:
        self.receive(described(message))
        message.ack()

    def stop(self) -> None:
        """Make `run` return soon."""
        self.is_stopped.set()

    def forget(self) -> None:
        """Delete the queue, with the messages in it."""
        with Connection(self.url, connect_timeout=CONNECT_SECONDS) as connection:
            connection.connect()
            self.queue(connection.default_channel).delete()


def described(message: Message) -> dict[str, Any]:
    """A message as JSON: its body, and what the broker adds to it."""
    body = message.body if isinstance(message.body, str) else bytes(message.body).decode(errors="replace")
    with contextlib.suppress(ValueError):
        body = json.loads(body)
    return {
        "message_id": message.properties.get("message_id"),
        "exchange": message.delivery_info["exchange"],
        "routing_key": message.delivery_info["routing_key"],
        "redelivered": message.delivery_info["redelivered"],
        "content_type": message.content_type,
        "headers": message.headers,
        "properties": {
            name: value
            for name, value in message.properties.items()
            if name not in ("message_id", "application_headers", "content_type")
        },
        "body": body,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="by-hand", help="of its queue, queue/listener/NAME (default: %(default)s)")
    parser.add_argument("--with-parent", action="store_true", help="end when the standard input is closed")
    parser.add_argument("--treeherder", metavar="URL", help="a fake Treeherder, in which the jobs appear")
    parser.add_argument("--pace", type=float, metavar="SECONDS", help="how long a job stays in each state (default: 3)")
    parser.add_argument(
        "--result",
        type=_result,
        action="append",
        default=[],
        metavar="NAME=RESULT",
        help="the result of the jobs of this name, or of all with the name *; `never`: they do not appear",
    )
    options = parser.parse_args()
    try:
        url, namespace = os.environ["AMQP_URL"], os.environ["PULSE_NAMESPACE"]
    except KeyError as missing:
        sys.exit(f"{missing.args[0]} is not set; `. .run/stack.env` sets it, while `make run` runs")
    if options.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    buildbot = None
    if options.treeherder:
        # Only here: as a file by itself, this program finds no other.
        from localstack.fakes.buildbot import PACE, Buildbot

        pace = PACE if options.pace is None else options.pace
        buildbot = Buildbot(options.treeherder, pace, dict(options.result))

    def receive(message: dict[str, Any]) -> None:
        print(json.dumps(message, ensure_ascii=False), flush=True)
        if buildbot:
            buildbot.receive(message)

    listener = Listener(
        url,
        namespace,
        options.name,
        receive,
        report=lambda sentence: print(sentence, file=sys.stderr, flush=True),
    )
    with contextlib.suppress(KeyboardInterrupt):
        listener.run()


def _result(text: str) -> tuple[str, str]:
    name, _, result = text.rpartition("=")
    if not name or not result:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=RESULT")
    return name, result


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
