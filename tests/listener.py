#!/usr/bin/env python3
"""A Pulse listener as Mozilla's were, with kombu: one line of JSON for each message that asks for jobs.

    listener.py [--name NAME] [--with-parent]

It listens to the broker AMQP_URL, to the exchange of PULSE_NAMESPACE, both as `. .run/stack.env` sets them. Its queue
keeps what arrives while it is away.
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
# How soon it looks again for what is not there, and how late it notices that it is to stop.
RETRY_SECONDS = 0.5
NOT_FOUND = 404


class Listener:
    """Passes all messages of an exchange to `heard`, each before it is acknowledged, until it is stopped."""

    def __init__(
        self, url: str, namespace: str, name: str, heard: Callable[[dict], None],
        told: Callable[[str], None] | None = None,
    ) -> None:
        self.url, self.heard, self.told = url, heard, told or (lambda _: None)
        # Passive: it belongs to who publishes, and nobody else may make it.
        exchange = Exchange(
            f"exchange/{namespace}/v1/resultset-runnable-job-actions", type="topic", durable=True, passive=True)
        # On Pulse a user makes queues with their own name alone.
        user = urllib.parse.urlsplit(url).username
        self.queue = Queue(f"queue/{user}/{name}", exchange, routing_key="#", durable=True)
        self.is_bound, self.is_stopped = threading.Event(), threading.Event()

    def run(self) -> None:
        """Listen: wait for the broker and for the exchange, as often as they go away."""
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
                        self.told(f"waiting for {missing}: {error}")
                    last = missing
            self.is_bound.clear()
            self.is_stopped.wait(RETRY_SECONDS)

    def _listen(self, connection: Connection) -> None:
        connection.connect()
        # It declares the exchange, which fails where there is none, and its queue, and binds that.
        with connection.Consumer(self.queue, on_message=self._hear):
            self.is_bound.set()
            self.told(f"listening to {self.queue.exchange.name}")
            while not self.is_stopped.is_set():
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=RETRY_SECONDS)

    def _hear(self, message: Message) -> None:
        self.heard(described(message))
        message.ack()

    def stop(self) -> None:
        """Let `run` return soon."""
        self.is_stopped.set()

    def forget(self) -> None:
        """Delete the queue, with what is in it."""
        with Connection(self.url, connect_timeout=CONNECT_SECONDS) as connection:
            connection.connect()
            self.queue(connection.default_channel).delete()


def described(message: Message) -> dict[str, Any]:
    """A message as JSON: what it says, and what stands around it."""
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
        "properties": {name: value for name, value in message.properties.items()
                       if name not in ("message_id", "application_headers", "content_type")},
        "body": body,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="by-hand", help="of its queue, queue/listener/NAME (default: %(default)s)")
    parser.add_argument("--with-parent", action="store_true", help="end when the standard input is closed")
    options = parser.parse_args()
    try:
        url, namespace = os.environ["AMQP_URL"], os.environ["PULSE_NAMESPACE"]
    except KeyError as missing:
        sys.exit(f"{missing.args[0]} is not set; `. .run/stack.env` sets it, while `make run` runs")
    if options.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    listener = Listener(
        url, namespace, options.name,
        heard=lambda message: print(json.dumps(message, ensure_ascii=False), flush=True),
        told=lambda sentence: print(sentence, file=sys.stderr, flush=True))
    with contextlib.suppress(KeyboardInterrupt):
        listener.run()


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
