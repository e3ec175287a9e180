#!/usr/bin/env python3
"""That no request is lost, shown: requests go to a listener while everything on their way fails, again and again.

    lost.py [--requests N] [--kills N] [--stops N] [--seed N]

Beside a local stack of its own, people ask for jobs through the trigger function's API, served on a port. Several
`forward` take the requests from the queue, as Lambda's environments do at the same time. They are killed and started
again, their connections to the broker are cut, the broker is stopped and started, and the store throttles.

At the end each request has to be forwarded, or to have failed for a reason, and then to be forwarded when it is
retried; and the listener has to have each job that is said to be forwarded. What the run did, and what came of it, is
printed; the exit code is 1 if something was lost or got stuck. The same seed makes the same plan, but not the same run:
what a kill hits is chance.
"""

import argparse
import contextlib
import dataclasses
import http.client
import json
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from listener import Listener
from running_stack import FORWARD, RUN, TRIGGER, Stack, sample
from store_calls import Call, Recorder
from treeherder import PUSH_IDS, Control

# So many that a project has more jobs than fit into one message.
BUILDERS = 10_000
FORWARDERS = 3
PROJECTS = ("try", "autoland")
# As many as ask in turn, so that nobody exceeds what one may ask for.
PEOPLE = 100
# How many jobs requests have, and how often so many. The most are two messages.
SIZES, WEIGHTS = (1, 3, 16, 300), (50, 30, 15, 5)
# What is not done with is given out again after so long, not after minutes as the template has it.
VISIBLE_AGAIN_SECONDS = 10
# The share of its calls that the store refuses all the time; while it throttles hard it refuses all.
THROTTLED = 0.1
# How long nothing, or at most something, happens: before the next event, while the broker is away, while the store
# throttles hard.
PAUSE_SECONDS, AWAY_SECONDS, HARD_SECONDS = 0.5, 3, 4
# Within this, what is left in the queue is done with: it is given out at most five times.
DRAIN_SECONDS = 120
ANSWER_SECONDS = 60
FORWARD_LOG, TRIGGER_LOG = RUN / "lost-forward.log", RUN / "lost-trigger.log"


class Order(NamedTuple):
    """Who asks for which jobs, of which no name is there twice."""

    project: str
    push: int
    requester: str
    names: list[str]


@dataclasses.dataclass
class Plan:
    """How much is asked for, and what happens meanwhile: kills of a forwarder, as many cuts of all connections, stops
    of the broker, and as often the store throttles hard.
    """

    requests: int
    kills: int
    stops: int

    def events(self, chance: random.Random) -> list[str]:
        """What happens, in its order."""
        events = ["kill", "cut"] * self.kills + ["stop", "throttle"] * self.stops
        chance.shuffle(events)
        return events


class Desk:
    """The trigger function's API on a port of this machine, as a service that asks for people."""

    def __init__(self, stack: Stack) -> None:
        with open(TRIGGER_LOG, "w") as log:
            self.process = subprocess.Popen([TRIGGER, "serve", "--listen", "127.0.0.1:0"], env=stack.env, text=True,
                                            stdout=log, stderr=subprocess.PIPE)
        line = self.process.stderr.readline()
        if not (address := re.search(r"http://([\d.]+):(\d+)/", line)):
            raise AssertionError(f"`trigger serve` does not start: {line}")
        self.address = (address[1], int(address[2]))
        self.headers = {"Authorization": f"Bearer {stack.token('--service', 'treeherder')}",
                        "Content-Type": "application/json"}

    def request(self, order: Order) -> str:
        """Ask for an order's jobs; returns the request's name. All of it is accepted and queued."""
        path = f"/api/project/{order.project}/push/{order.push}/trigger_runnable_jobs/"
        made = self._ask("POST", path, {"requested_jobs": order.names, "requester": order.requester})
        if made["state"] != "queued" or [job["state"] for job in made["jobs"]] != ["accepted"] * len(order.names):
            raise AssertionError(f"{order} is not queued: {made}")
        return made["request_id"]

    def found(self, project: str, request: str) -> dict:
        """What became of a request."""
        return self._ask("GET", f"/api/project/{project}/trigger_requests/{request}/")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        with contextlib.closing(http.client.HTTPConnection(*self.address, timeout=ANSWER_SECONDS)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body), self.headers)
            answer = connection.getresponse()
            content = answer.read().decode()
        if answer.status not in (200, 202):
            raise AssertionError(f"{method} {path}: {answer.status} {content}")
        return json.loads(content)

    def stop(self) -> None:
        """Serve no more."""
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()


class Wire:
    """A way to a port of this machine, from `port`, that can be cut."""

    def __init__(self, to: int) -> None:
        self.to, self.lock = to, threading.Lock()
        self.ends: set[socket.socket] = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self.to))
                except OSError:
                    near.close()
                    continue
                with self.lock:
                    self.ends |= {near, far}
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(64 * 1024):
                target.sendall(data)
        with self.lock:
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            source.close()
            self.ends.discard(source)

    def cut(self) -> int:
        """Cut all connections; returns how many."""
        with self.lock:
            for end in self.ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            return len(self.ends) // 2

    def stop(self) -> None:
        """Lead nowhere any more."""
        self.listener.close()
        self.cut()


class Store:
    """The emulator's tables, from another address, where a share of calls is refused as DynamoDB refuses them."""

    # What a client is told, and as what. A transaction tells it in its own way.
    ERRORS = (
        ("com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
         "The level of configured provisioned throughput for the table was exceeded."),
        ("com.amazon.coral.availability#ThrottlingException", "Rate of requests exceeds the allowed throughput."),
    )
    CANCELLED = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"

    def __init__(self, endpoint: str, chance: random.Random) -> None:
        self.share, self.refused, self.chance = THROTTLED, Counter(), chance
        self.recorder = Recorder(endpoint, self._refuse)
        self.url = self.recorder.url

    def _refuse(self, call: Call) -> dict | None:
        # What passes need not be kept.
        self.recorder.calls.clear()
        if self.chance.random() >= self.share:
            return None
        self.refused[call.operation] += 1
        kind, message = self.chance.choice(self.ERRORS)
        if call.operation != "TransactWriteItems" or self.chance.random() < 0.5:
            return {"__type": kind, "message": message}
        reasons = [{"Code": "ThrottlingError", "Message": message}, {"Code": "None"}]
        told = "Transaction cancelled, please refer cancellation reasons for specific reasons [ThrottlingError, None]"
        return {"__type": self.CANCELLED, "Message": told, "CancellationReasons": reasons}


class Forwarders:
    """Several `forward` at the queue; one that ends is started again, as Lambda starts another environment."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment, self.log = environment, open(FORWARD_LOG, "w+")
        self.processes = [self._start() for _ in range(FORWARDERS)]
        # Of those that were not killed.
        self.ended: list[int] = []

    def _start(self) -> subprocess.Popen:
        return subprocess.Popen([FORWARD], env=self.environment, stdout=self.log, stderr=self.log)

    def kill(self, place: int) -> None:
        """Kill one without a word, and start another."""
        self.processes[place].kill()
        self.processes[place].wait()
        self.processes[place] = self._start()

    def tend(self) -> None:
        """Start those again that ended by themselves."""
        for place, process in enumerate(self.processes):
            if (code := process.poll()) is not None:
                self.ended.append(code)
                self.processes[place] = self._start()

    def stop(self) -> None:
        """End all of them."""
        for process in self.processes:
            process.kill()
            process.wait()
        self.log.close()


class Run:
    """One run by a plan. `summary` tells what happened, `problems` what is wrong."""

    def __init__(self, stack: Stack, plan: Plan, seed: int) -> None:
        self.stack, self.plan, self.chance = stack, plan, random.Random(seed)
        self.summary: dict[str, int] = {}
        self.problems: list[str] = []
        self.requests: dict[str, Order] = {}
        # What the listener got, by the messages' ids.
        self.heard: dict[str, list[dict]] = {}
        self.begin = time.monotonic()
        self.sqs = stack.client("sqs")
        self.sqs.set_queue_attributes(
            QueueUrl=stack.env["QUEUE_URL"], Attributes={"VisibilityTimeout": str(VISIBLE_AGAIN_SECONDS)})

    def run(self) -> None:
        """Do all of it."""
        with contextlib.ExitStack() as ends:
            self._listen(ends)
            self.desk = Desk(self.stack)
            ends.callback(self.desk.stop)
            broker = urllib.parse.urlsplit(self.stack.env["RUNNABLE_JOBS_PULSE_URL"])
            self.wire = Wire(broker.port)
            ends.callback(self.wire.stop)
            self.store = Store(self.stack.env["AWS_ENDPOINT_URL"], random.Random(self.chance.random()))
            ends.callback(self.store.recorder.stop)
            self.forwarders = Forwarders(self.stack.env | {
                "RUNNABLE_JOBS_PULSE_URL": f"{broker.scheme}://127.0.0.1:{self.wire.port}{broker.path}",
                "AWS_ENDPOINT_URL_DYNAMODB": self.store.url,
            })
            ends.callback(self.forwarders.stop)
            self._disturb()
            self._drain()
            self._judge(self._found(self.requests))
        self.summary["seconds"] = round(time.monotonic() - self.begin)

    def _listen(self, ends: contextlib.ExitStack) -> None:
        def hear(message: dict) -> None:
            self.heard.setdefault(message["message_id"], []).append(message)

        listener = Listener(self.stack.env["AMQP_URL"], self.stack.env["PULSE_NAMESPACE"], "lost", hear)
        thread = threading.Thread(target=listener.run)
        thread.start()
        ends.callback(listener.forget)
        ends.callback(thread.join)
        ends.callback(listener.stop)
        if not listener.is_bound.wait(ANSWER_SECONDS):
            raise AssertionError("the listener finds no exchange")

    def _orders(self) -> list[Order]:
        """As many requests as are planned, no two of them the same. The builds that their jobs need are there."""
        names, treeherder = {}, Control(self.stack.env["TREEHERDER_URL"])
        for project in PROJECTS:
            jobs = self.stack.ask("GET", f"/api/project/{project}/runnable_jobs/").json()["results"]
            names[project] = [job["ref_data_name"] for job in jobs]
            builds = sorted({job["upstream"] for job in jobs if job["upstream"]})
            for push in PUSH_IDS:
                treeherder.set_jobs(project, push, [{"ref_data_name": build} for build in builds])
        orders: dict[str, Order] = {}
        while len(orders) < self.plan.requests:
            project = self.chance.choice(PROJECTS)
            [size] = self.chance.choices(SIZES, WEIGHTS)
            asked = self.chance.sample(names[project], size)
            order = Order(project, self.chance.choice(PUSH_IDS), f"user{len(orders) % PEOPLE:03}@mozilla.com", asked)
            orders[str(order._replace(names=sorted(asked)))] = order
        return list(orders.values())

    def _disturb(self) -> None:
        """Make the requests, some before each event, so that each event finds something on its way."""
        orders, events = self._orders(), self.plan.events(self.chance)
        did = Counter()
        for number, event in enumerate(events):
            portion = orders[number * len(orders) // len(events):(number + 1) * len(orders) // len(events)]
            asking = threading.Thread(target=self._ask_for, args=(portion,))
            asking.start()
            time.sleep(self.chance.uniform(0, PAUSE_SECONDS))
            self.forwarders.tend()
            match event:
                case "kill":
                    self.forwarders.kill(self.chance.randrange(FORWARDERS))
                case "cut":
                    did["connections cut"] += self.wire.cut()
                case "stop":
                    self.stack.stop_broker()
                    time.sleep(self.chance.uniform(0, AWAY_SECONDS))
                    self.stack.start_broker()
                case "throttle":
                    self.store.share = 1.0
                    time.sleep(self.chance.uniform(1, HARD_SECONDS))
                    self.store.share = THROTTLED
            did[event] += 1
            asking.join()
        if len(self.requests) != len(orders):
            raise AssertionError(f"{len(self.requests)} of {len(orders)} requests were taken; see {TRIGGER_LOG}")
        self.summary |= {
            "requests": len(orders), "jobs": sum(len(order.names) for order in orders),
            "forwarders killed": did["kill"], "broker stopped": did["stop"], "connections cut": did["connections cut"],
            "store throttled hard": did["throttle"], "seconds of disturbance": round(time.monotonic() - self.begin),
        }

    def _ask_for(self, orders: list[Order]) -> None:
        for order in orders:
            self.requests[self.desk.request(order)] = order

    def _drain(self) -> None:
        """Wait until the queue is empty, and let nothing fail any more meanwhile."""
        self.store.share = 0.0
        deadline = time.monotonic() + DRAIN_SECONDS
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        while True:
            counts = self.sqs.get_queue_attributes(
                QueueUrl=self.stack.env["QUEUE_URL"], AttributeNames=names)["Attributes"]
            if set(counts.values()) == {"0"}:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"the queue is not empty after {DRAIN_SECONDS} s: {counts}")
            self.forwarders.tend()
            time.sleep(0.5)

    def _found(self, requests: Iterable[str]) -> dict[str, dict]:
        """What became of these requests."""
        return {request: self.desk.found(self.requests[request].project, request) for request in requests}

    def _judge(self, first: dict[str, dict]) -> None:
        """Hold what became of each request against what the listener got, before and after what failed is retried."""
        letters = self._dead_letters()
        failed = {request for request, found in first.items() if self._has_failed(found)}
        # Nothing is in the queue any more: nothing will happen to these by itself.
        stuck = {request for request, found in first.items() if found["state"] not in ("forwarded", "failed")}
        for request in sorted(failed | stuck):
            if said := self._retry(request):
                where = "among the dead letters" if request in letters else "nowhere"
                self.problems.append(f"{request} is {first[request]['state']}, its ticket is {where}, and {said}")
                # What an operator could do beside: put the dead letter back into the queue.
                if request in letters:
                    self.sqs.send_message(QueueUrl=self.stack.env["QUEUE_URL"], MessageBody=letters[request])
        self._drain()
        last = first | self._found(failed | stuck)
        for request, found in last.items():
            if found["state"] != "forwarded" or {job["state"] for job in found["jobs"]} != {"forwarded"}:
                self.problems.append(f"{request} is not forwarded in the end: {found}")
        self._compare(last)
        repeats = [message for messages in self.heard.values() for message in messages[1:]]
        self.summary |= {
            "calls throttled": sum(self.store.refused.values()),
            "forwarders that ended by themselves": len(self.forwarders.ended),
            "forwarded": len(first.keys() - failed - stuck), "failed": len(failed), "neither": len(stuck),
            "dead letters": len(letters), "of these, of requests that were forwarded":
                sum(first[request]["state"] == "forwarded" for request in letters),
            "messages": len(self.heard), "repeats": len(repeats),
            "of these, by the broker itself": sum(message["redelivered"] for message in repeats),
            "wrong": len(self.problems),
        }

    def _has_failed(self, found: dict) -> bool:
        """Whether jobs of a request failed; each has to say why."""
        failed = [job for job in found["jobs"] if job["state"] not in ("forwarded", "accepted")]
        for job in failed:
            if job["state"] != "failed" or not job.get("detail"):
                self.problems.append(f"{found['request_id']}: a job is {job['state']}: {job}")
        return bool(failed)

    def _retry(self, request: str) -> str:
        """Send a request's failed jobs again, as an operator does. Empty, or why that cannot be."""
        done = subprocess.run(
            [TRIGGER, "retry", request], env=self.stack.env, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else f"`trigger retry` ends with {done.returncode}: {done.stderr.strip()}"

    def _dead_letters(self) -> dict[str, str]:
        """The tickets among the dead letters, by their requests."""
        letters = {}
        while messages := self.sqs.receive_message(
            QueueUrl=self.stack.env["DEAD_LETTER_QUEUE_URL"], MaxNumberOfMessages=10, VisibilityTimeout=3600,
        ).get("Messages"):
            letters |= {json.loads(message["Body"])["request_id"]: message["Body"] for message in messages}
        return letters

    def _compare(self, found: dict[str, dict]) -> None:
        """Each job that is said to be forwarded was heard, as it was asked for; and nothing else was heard."""
        said = {(request, job["name"]) for request, now in found.items() for job in now["jobs"]
                if job["state"] == "forwarded"}
        deadline = time.monotonic() + ANSWER_SECONDS
        while said - (heard := self._heard_jobs()) and time.monotonic() < deadline:
            time.sleep(0.5)
        self.problems += [f"{request}: {name} is forwarded, and nobody heard it" for request, name in said - heard]
        self.problems += [f"{request}: {name} was heard, and is not forwarded" for request, name in heard - said]
        for name, messages in list(self.heard.items()):
            request, _, first = name.split(".")
            order, body = self.requests[request], messages[0]["body"]
            for message in messages[1:]:
                if message["body"] != body:
                    self.problems.append(f"{name} is repeated with another body: {message['body']} after {body}")
            asked = (order.project, order.project, str(order.push), order.requester, order.names[int(first):])
            told = (messages[0]["routing_key"], body["project"], body["resultset_id"], body["requester"],
                    body["requested_jobs"])
            if told[:-1] != asked[:-1] or told[-1] != asked[-1][:len(told[-1])]:
                self.problems.append(f"{name} is not what was asked for: {body}, and not {order}")

    def _heard_jobs(self) -> set[tuple[str, str]]:
        return {(name.split(".")[0], job) for name, messages in list(self.heard.items())
                for job in messages[0]["body"]["requested_jobs"]}


def run(plan: Plan, seed: int) -> Run:
    """A run by a plan, in a stack of its own."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ends:
        stack = Stack(sample(Path(folder), BUILDERS))
        ends.callback(stack.output.close)
        ends.callback(stack.stop)
        done = Run(stack, plan, seed)
        done.run()
        return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, what in (
        ("requests", 2000, "how many requests are made"),
        ("kills", 20, "how often a forwarder is killed, and as often connections are cut"),
        ("stops", 5, "how often the broker is stopped, and as often the store throttles hard"),
        ("seed", random.randrange(10_000), "where chance begins"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default: %(default)s)")
    options = parser.parse_args()
    print(f"seed: {options.seed}", flush=True)
    done = run(Plan(options.requests, options.kills, options.stops), options.seed)
    for what, count in done.summary.items():
        print(f"{what}: {count:,}")
    for problem in done.problems:
        print(problem, file=sys.stderr)
    return 1 if done.problems else 0


if __name__ == "__main__":
    sys.exit(main())
