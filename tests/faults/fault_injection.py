#!/usr/bin/env python3
"""Shows that no request is lost: builders go to a listener while everything between them fails, again and again.

    .venv/bin/python -m tests.faults.fault_injection [--requests N] [--kills N] [--stops N] [--seed N]

It starts a local stack. People trigger jobs through the trigger function's API, served on a port. Several `forward`
take the requests from the queue, as several Lambda environments do. They are killed and started again, some of them
between publishing and recording the outcome; their connections to the broker are cut, the broker is stopped and
started, and the store throttles.

At the end each request has to be forwarded, or to have failed for a reason, or to have its ticket among the dead
letters; in the last two cases a retry has to forward it. The listener has to have each job that is recorded as
forwarded. The events and the result are printed; the exit code is 1 if a request was lost or got stuck. The same seed
makes the same plan, but not the same run: what else a kill hits is chance. Each event waits until it has had its
effect, so that the counts do not depend on chance.
"""

import argparse
import contextlib
import dataclasses
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

from localstack.fakes.treeherder import PUSH_IDS, Control
from tests.faults.forwarders import FORWARDERS, Forwarders
from tests.faults.proxies import THROTTLED, CuttableProxy, ThrottlingProxy, forwarded_request
from tests.support.stack import PROGRAMS, Stack, sample, until
from tests.support.trigger_api import Order, TriggerApi

# So many that a project has more jobs than fit into one message.
BUILDERS = 10_000
PROJECTS = ("try", "autoland")
# The people trigger in turn, so that none of them exceeds the limits.
PEOPLE = 100
# The sizes of requests in jobs, and their weights. The largest need two messages.
SIZES, WEIGHTS = (1, 3, 16, 300), (50, 30, 15, 5)
# After this time the queue gives out again what is not done; the template has minutes.
VISIBLE_AGAIN_SECONDS = 10
# How many calls in a row the store refuses when it throttles hard.
THROTTLED_HARD = 20
# The longest pause before an event, and the longest outage of the broker.
PAUSE_SECONDS, AWAY_SECONDS = 0.5, 3
# The scenario promises a repeated message. Without one, it kills forwarders while they record at most so often again.
EXTRA_KILLS = 5
# Within this time an event has its effect.
EVENT_SECONDS = 120
# The states of a request whose jobs were all sent; a round of following may have seen all of them end.
SENT = ("forwarded", "finished")
# Within this time the queue is empty: it gives each message out at most five times.
DRAIN_SECONDS = 240
# Within this time the listener receives what was published.
HEAR_SECONDS = 60


@dataclasses.dataclass
class Plan:
    """How many requests are made, and the number of the events: kills of a forwarder, the same number of kills between
    publishing and recording, and of cuts of all connections; stops of the broker, and the same number of times that the
    store throttles hard.
    """

    requests: int
    kills: int
    stops: int

    def events(self, chance: random.Random) -> list[str]:
        """The events in their order."""
        events = ["kill", "kill while recording", "cut"] * self.kills + ["stop", "throttle"] * self.stops
        chance.shuffle(events)
        return events


class Scenario:
    """One run by a plan. `summary` counts what happened, `problems` lists what is wrong."""

    # In the order in which they are reported.
    COUNTS: ClassVar = {
        "kill": "forwarders killed",
        "kill while recording": "of these, between publishing and recording",
        "stop": "broker stopped",
        "cut": "connections cut",
        "throttle": "store throttled hard",
    }

    def __init__(self, stack: Stack, plan: Plan, seed: int) -> None:
        self.stack, self.plan, self.chance = stack, plan, random.Random(seed)
        self.did: Counter[str] = Counter()
        self.summary: dict[str, int] = {}
        self.problems: list[str] = []
        self.requests: dict[str, Order] = {}
        # The messages that the listener received, by their ids.
        self.heard: dict[str, list[dict]] = {}
        self.begin = time.monotonic()
        self.sqs = stack.client("sqs")
        self.sqs.set_queue_attributes(
            QueueUrl=stack.env["QUEUE_URL"], Attributes={"VisibilityTimeout": str(VISIBLE_AGAIN_SECONDS)}
        )

    def run(self) -> None:
        """Run all of it."""
        with contextlib.ExitStack() as ends:
            ends.enter_context(self.stack.listening_with("faults", self._hear))
            self.trigger_log = self.stack.run / "trigger.log"
            self.api = TriggerApi(self.stack, self.trigger_log)
            ends.callback(self.api.stop)
            broker = urllib.parse.urlsplit(self.stack.env["RUNNABLE_JOBS_PULSE_URL"])
            assert broker.port
            self.wire = CuttableProxy(broker.port)
            ends.callback(self.wire.stop)
            self.store = ThrottlingProxy(self.stack.env["AWS_ENDPOINT_URL"], random.Random(self.chance.random()))
            ends.callback(self.store.recorder.stop)
            ends.callback(self.store.hold.release)
            environment = self.stack.env | {
                "RUNNABLE_JOBS_PULSE_URL": f"{broker.scheme}://127.0.0.1:{self.wire.port}{broker.path}",
                "AWS_ENDPOINT_URL_DYNAMODB": self.store.url,
            }
            self.forwarders = Forwarders(environment, self.stack.run / "forward.log")
            ends.callback(self.forwarders.stop)
            self._disturb()
            self._drain()
            self._ensure_repeats()
            self._judge(self._find(self.requests))
        self.summary["seconds"] = round(time.monotonic() - self.begin)

    def _hear(self, message: dict) -> None:
        self.heard.setdefault(message["message_id"], []).append(message)

    def _orders(self) -> list[Order]:
        """The planned number of orders and the extra ones, no two of them the same. The builds of their jobs exist."""
        names, treeherder = {}, Control(self.stack.env["TREEHERDER_URL"])
        for project in PROJECTS:
            jobs = [job for job in self.stack.jobs(project) if job["build_system_type"] == "buildbot"]
            names[project] = [job["ref_data_name"] for job in jobs]
            builds = sorted({job["upstream"] for job in jobs if job["upstream"]})
            for push in PUSH_IDS:
                treeherder.set_jobs(project, push, [{"ref_data_name": build} for build in builds])
        orders: dict[str, Order] = {}
        while len(orders) < self.plan.requests + EXTRA_KILLS:
            project = self.chance.choice(PROJECTS)
            [size] = self.chance.choices(SIZES, WEIGHTS)
            chosen = self.chance.sample(names[project], size)
            order = Order(project, self.chance.choice(PUSH_IDS), f"user{len(orders) % PEOPLE:03}@mozilla.com", chosen)
            orders[str(order._replace(names=sorted(chosen)))] = order
        return list(orders.values())

    def _disturb(self) -> None:
        """Make the requests, some with each event, so that each event finds some of them on their way."""
        orders, events = self._orders(), self.plan.events(self.chance)
        orders, self.extra_orders = orders[: self.plan.requests], orders[self.plan.requests :]
        for number, event in enumerate(events):
            portion = orders[number * len(orders) // len(events) : (number + 1) * len(orders) // len(events)]
            thread = threading.Thread(target=self._make_requests, args=(portion,))
            if event == "kill while recording":
                self.store.hold.next(forwarded_request)
            thread.start()
            time.sleep(self.chance.uniform(0, PAUSE_SECONDS))
            self.forwarders.restart_ended()
            self._do(event)
            thread.join()
        if len(self.requests) != len(orders):
            raise AssertionError(
                f"{len(self.requests)} of {len(orders)} requests were accepted; see {self.trigger_log}"
            )
        self.summary["seconds of disturbance"] = round(time.monotonic() - self.begin)

    def _ensure_repeats(self) -> None:
        """Kill forwarders while they record, until the listener has received a message twice."""
        for order in self.extra_orders:
            if self._repeats():
                return
            self.store.hold.next(forwarded_request)
            self._make_requests([order])
            self._do("kill while recording")
            self._drain()
            with contextlib.suppress(AssertionError):
                until(self._repeats, VISIBLE_AGAIN_SECONDS)

    def _repeats(self) -> list[dict]:
        """The messages that the listener has received again."""
        return [message for messages in list(self.heard.values()) for message in messages[1:]]

    def _do(self, event: str) -> None:
        """Make one event happen; returns when it has had its effect."""
        match event:
            case "kill":
                self.forwarders.kill(self.chance.randrange(FORWARDERS))
                self.did["kill"] += 1
            case "kill while recording":
                # Which of them it is cannot be seen.
                expected = self.did[event] + 1
                self._until(lambda: len(self.store.hold.held) == expected)
                self.forwarders.kill(*range(FORWARDERS))
                self.store.hold.release()
                self.did.update({"kill": FORWARDERS, event: 1})
            case "cut":
                self.did["cut"] += self._until(self.wire.cut)
            case "stop":
                self.stack.stop_broker()
                time.sleep(self.chance.uniform(0, AWAY_SECONDS))
                self.stack.start_broker()
                self.did["stop"] += 1
            case "throttle":
                enough = self.store.refused.total() + THROTTLED_HARD
                self.store.share = 1.0
                self._until(lambda: self.store.refused.total() >= enough)
                self.store.share = THROTTLED
                self.did["throttle"] += 1

    def _until(self, found: Callable[[], int]) -> int:
        """Wait for a condition, and start forwarders again that end meanwhile."""

        def check() -> int:
            self.forwarders.restart_ended()
            return found()

        return until(check, EVENT_SECONDS)

    def _make_requests(self, orders: list[Order]) -> None:
        for order in orders:
            self.requests[self.api.request(order)] = order

    def _drain(self) -> None:
        """Wait until the queue is empty, and let nothing fail meanwhile."""
        self.store.share = 0.0
        deadline = time.monotonic() + DRAIN_SECONDS
        while (counts := self.stack.queue_counts()) != (0, 0):
            if time.monotonic() > deadline:
                raise AssertionError(f"the queue is not empty after {DRAIN_SECONDS} s: {counts}")
            self.forwarders.restart_ended()
            time.sleep(0.2)

    def _find(self, requests: Iterable[str]) -> dict[str, dict]:
        """The status of these requests."""
        return {request: self.api.find(self.requests[request].project, request) for request in requests}

    def _judge(self, first: dict[str, dict]) -> None:
        """Compare the status of each request with what the listener received, before and after retries."""
        letters = self._dead_letters()
        failed = {request for request, found in first.items() if self._has_failed(found)}
        # The queue is empty: nothing more will happen to these by itself.
        stuck = {request for request, found in first.items() if found["state"] not in (*SENT, "failed")}
        for request in sorted(stuck - letters.keys()):
            self.problems.append(f"{request} is {first[request]['state']}, and its ticket is nowhere")
        for request in sorted(failed | stuck):
            if reason := self._retry(request):
                where = "among the dead letters" if request in letters else "nowhere"
                self.problems.append(f"{request} is {first[request]['state']}, its ticket is {where}, and {reason}")
                # An operator could also put the dead letter back into the queue.
                if request in letters:
                    self.sqs.send_message(QueueUrl=self.stack.env["QUEUE_URL"], MessageBody=letters[request])
        self._drain()
        last = first | self._find(failed | stuck)
        for request, found in last.items():
            if found["state"] not in SENT or {job["state"] for job in found["jobs"]} != {"forwarded"}:
                self.problems.append(f"{request} is not forwarded in the end: {found}")
        self._compare(last)
        repeats = self._repeats()
        repeated = {message["message_id"].split(".")[0] for message in repeats}
        # A retry sends other messages: only the requests that were forwarded without one are sure to be repeated.
        held = set(self.store.hold.held) - failed - stuck
        self.summary |= {
            "requests": len(self.requests),
            "jobs": sum(len(order.names) for order in self.requests.values()),
        }
        self.summary |= {label: self.did[event] for event, label in self.COUNTS.items()}
        self.summary |= {
            "calls throttled": self.store.refused.total(),
            "forwarders that ended by themselves": len(self.forwarders.ended),
            "forwarded": len(first.keys() - failed - stuck),
            "failed": len(failed),
            "neither, with a dead letter": len(stuck & letters.keys()),
            "dead letters": len(letters),
            "of these, of requests that were forwarded": sum(first[request]["state"] in SENT for request in letters),
            "messages": len(self.heard),
            "repeats": len(repeats),
            "of these, by the broker itself": sum(message["redelivered"] for message in repeats),
            "requests forwarded after a kill while recording": len(held),
            "of these, repeated": len(held & repeated),
            "wrong": len(self.problems),
        }

    def _has_failed(self, found: dict) -> bool:
        """Whether jobs of a request failed; each of them must have a reason."""
        failed = [job for job in found["jobs"] if job["state"] not in ("forwarded", "accepted")]
        for job in failed:
            if job["state"] != "failed" or not job.get("detail"):
                self.problems.append(f"{found['request_id']}: a job is {job['state']}: {job}")
        return bool(failed)

    def _retry(self, request: str) -> str:
        """Retry a request's failed jobs, as an operator does. Returns nothing, or why that is not possible."""
        command = PROGRAMS.requests("retry", request)
        done = subprocess.run(command, env=self.stack.env, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else f"the retry ends with code {done.returncode}: {done.stderr.strip()}"

    def _dead_letters(self) -> dict[str, str]:
        """The tickets among the dead letters, by their requests."""
        letters: dict[str, str] = {}
        while messages := self.sqs.receive_message(
            QueueUrl=self.stack.env["DEAD_LETTER_QUEUE_URL"], MaxNumberOfMessages=10, VisibilityTimeout=3600
        ).get("Messages"):
            letters |= {json.loads(message["Body"])["request_id"]: message["Body"] for message in messages}
        return letters

    def _compare(self, found: dict[str, dict]) -> None:
        """Each job that is recorded as forwarded was heard as it was requested, and no other job was heard."""
        recorded = {
            (request, job["name"])
            for request, now in found.items()
            for job in now["jobs"]
            if job["state"] == "forwarded"
        }
        deadline = time.monotonic() + HEAR_SECONDS
        while recorded - (heard := self._heard_jobs()) and time.monotonic() < deadline:
            time.sleep(0.2)
        self.problems += [f"{request}: {name} is forwarded, and was not heard" for request, name in recorded - heard]
        self.problems += [f"{request}: {name} was heard, and is not forwarded" for request, name in heard - recorded]
        for name, messages in list(self.heard.items()):
            request, _, first = name.split(".")
            order, body = self.requests[request], messages[0]["body"]
            for message in messages[1:]:
                if message["body"] != body:
                    self.problems.append(f"{name} is repeated with another body: {message['body']} after {body}")
            names = order.names[int(first) :]
            expected = (order.project, order.project, str(order.push), order.requester)
            sent = (messages[0]["routing_key"], body["project"], body["resultset_id"], body["requester"])
            if sent != expected or body["requested_jobs"] != names[: len(body["requested_jobs"])]:
                self.problems.append(f"{name} is not what was requested: {body}, and not {order}")

    def _heard_jobs(self) -> set[tuple[str, str]]:
        return {
            (name.split(".")[0], job)
            for name, messages in list(self.heard.items())
            for job in messages[0]["body"]["requested_jobs"]
        }


def run(plan: Plan, seed: int) -> Scenario:
    """Run a plan in a stack of its own."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ends:
        stack = Stack(sample(Path(folder), BUILDERS), name="faults")
        ends.callback(stack.stop)
        done = Scenario(stack, plan, seed)
        done.run()
        return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, what in (
        ("requests", 2000, "how many requests are made"),
        ("kills", 20, "how often a forwarder is killed, all are killed while one records, and connections are cut"),
        ("stops", 5, "how often the broker is stopped, and how often the store throttles hard"),
        ("seed", random.randrange(10_000), "the seed of the plan"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default: %(default)s)")
    options = parser.parse_args()
    print(f"seed: {options.seed}", flush=True)
    done = run(Plan(options.requests, options.kills, options.stops), options.seed)
    for label, count in done.summary.items():
        print(f"{label}: {count:,}")
    for problem in done.problems:
        print(problem, file=sys.stderr)
    return 1 if done.problems else 0


if __name__ == "__main__":
    sys.exit(main())
