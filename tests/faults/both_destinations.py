#!/usr/bin/env python3
"""Shows that no label is run twice and that no request is lost, whatever fails on the way to Taskcluster and to Pulse.

    .venv/bin/python -m tests.faults.both_destinations [--kills N] [--outages N] [--seed N]

It starts a local stack. People trigger labels, builders, and both in one request, some on a push on which another
request's action runs. Several `forward` take the requests from the queue. They are killed at each of `POINTS`: before
and after each of their effects, such as the call of a hook. Between the kills Taskcluster is down, refuses calls, cuts
connections, loses answers, declines, and creates a task although it reports an error; the broker is stopped, its
connections are cut, and the store throttles. The sweep and the follower run all the time.

At the end every request has to be finished, with every job run. What failed for a reason is retried by an operator
first. Of each label, the actions of its request have to contain exactly one; of each builder, a listener has to have
heard. The last line is "N kills: 0 doubled, 0 lost", and the exit code is 1 if that is not so. The same seed makes the
same plan, but not the same run.
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
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from localstack.fakes.pushes import decision_task_id, revision_of
from localstack.fakes.taskcluster import graph
from localstack.fakes.treeherder import Control
from tests.faults.forwarders import FORWARDERS, Forwarders
from tests.faults.proxies import (
    THROTTLED,
    CuttableProxy,
    Exchange,
    Hold,
    TaskclusterProxy,
    ThrottlingProxy,
    request_of,
    written_head,
)
from tests.support.stack import PROGRAMS, Stack, sample, until
from tests.support.store_calls import Call
from tests.support.trigger_api import Order, TriggerApi

PROJECT = "try"
# The first of the pushes that are made; each event has one of its own.
FIRST_PUSH = 5001
# How many labels and builders a request has at most.
MAX_LABELS, MAX_BUILDERS = 4, 3
# The share of events with a second request on the push, which has to wait for the action of the first.
SHARED = 0.2
# After this time the queue gives out again what is not done; the template has minutes.
VISIBLE_AGAIN_SECONDS = 10
# How many calls in a row the store refuses when it throttles hard.
THROTTLED_HARD = 20
# The longest pause before a kill at no point in particular; how long Taskcluster and the broker are away.
PAUSE_SECONDS, AWAY_SECONDS = 1.0, 3.0
# Within this time an event has its effect. A label whose call was cut off is searched for after two minutes.
EVENT_SECONDS = 240
# How long tasks stay in each state.
PACE_SECONDS = 0.3
# The pause between two rounds of the sweep and the follower.
ROUND_SECONDS = 4.0
# Within this time all requests end: a wait for Taskcluster takes minutes, and a request may wait several times.
END_SECONDS = 1800
# How often an operator retries a request that failed.
MAX_RETRIES = 5


class Point(NamedTuple):
    """A step of a forwarder at which it is killed: which calls of the store or of Taskcluster are there, and whether it
    is killed before the call arrives, or after that and before the answer does.
    """

    proxy: str
    is_at: Callable[..., str | None]
    is_after: bool = False
    # Another point at which the forwarder is killed first, because a request comes to this one only then.
    first: str = ""


def locked(call: Call) -> str | None:
    """The push that a call locks."""
    item = call.content().get("Item", {}) if call.operation == "PutItem" else {}
    key = item.get("pk", {}).get("S", "")
    return key if key.startswith("push#") else None


def recorded(state: str) -> Callable[[Call], str | None]:
    """The request whose last action a call records in this state."""

    def is_at(call: Call) -> str | None:
        head = written_head(call)
        actions = head.get("actions", {}).get("L", [])
        return request_of(head) if actions and actions[-1]["M"]["state"] == {"S": state} else None

    return is_at


def recorded_builders(call: Call) -> str | None:
    """The request of which a call records that jobs are forwarded to Pulse, and no action yet."""
    head = written_head(call)
    is_forwarded = "forwarded" in head.get("jobs", {}).get("M", {})
    return request_of(head) if is_forwarded and not head.get("actions", {}).get("L") else None


def asked(method: str, part: str) -> Callable[[Exchange], str | None]:
    """The path of a request to Taskcluster, if it has this part."""
    return lambda exchange: exchange.path if exchange.method == method and part in exchange.path else None


STORE, TASKCLUSTER = "store", "taskcluster"
POINTS = {
    "before the builders are recorded": Point(STORE, recorded_builders),
    "before the push is locked": Point(STORE, locked),
    "after the push is locked": Point(STORE, locked, is_after=True),
    "before the list of actions is read": Point(TASKCLUSTER, asked("GET", "actions.json")),
    "before scopes are expanded": Point(TASKCLUSTER, asked("POST", "/scopes/expand")),
    "before the call is recorded": Point(STORE, recorded("triggering")),
    "after the call is recorded": Point(STORE, recorded("triggering"), is_after=True),
    "before the hook is called": Point(TASKCLUSTER, asked("POST", "/trigger")),
    "after the hook is called": Point(TASKCLUSTER, asked("POST", "/trigger"), is_after=True),
    "before the task is recorded": Point(STORE, recorded("running")),
    "after the task is recorded": Point(STORE, recorded("running"), is_after=True),
    "before the task is searched for": Point(
        TASKCLUSTER, asked("GET", "/last-fires"), first="after the hook is called"
    ),
    "after the task is searched for": Point(
        TASKCLUSTER, asked("GET", "/last-fires"), is_after=True, first="before the hook is called"
    ),
}
ANYWHERE = "at any time"
OUTAGES = (
    "Taskcluster down",
    "Taskcluster refuses calls",
    "requests to Taskcluster cut",
    "answers of Taskcluster lost",
    "the hook's answer lost",
    "the hook declines",
    "the hook fails and makes a task",
    "broker stopped",
    "connections to the broker cut",
    "store throttled hard",
)


@dataclasses.dataclass
class Plan:
    """How many kills there are, and how many outages of each kind."""

    kills: int
    outages: int

    def events(self, chance: random.Random) -> list[str]:
        """The events in their order. A point that needs another one first is two kills."""
        points = [*POINTS, ANYWHERE]
        chance.shuffle(points)
        kills: list[str] = []
        left = self.kills
        while left > 0:
            for point in points:
                needed = 2 if point in POINTS and POINTS[point].first else 1
                if needed <= left:
                    kills.append(point)
                    left -= needed
        events = kills + [*OUTAGES] * self.outages
        chance.shuffle(events)
        return events


class Rounds:
    """Runs the sweep and the follower again and again, in the background."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.is_stopped = stack, threading.Event()
        self.errors: list[str] = []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        lambda_ = self.stack.client("lambda")
        while not self.is_stopped.wait(ROUND_SECONDS):
            for variable, event in (("SWEEP_FUNCTION", {}), ("FORWARD_FUNCTION", {"follow": True})):
                answer = lambda_.invoke(FunctionName=self.stack.env[variable], Payload=json.dumps(event).encode())
                if "FunctionError" in answer:
                    self.errors.append(f"{variable}: {answer['Payload'].read().decode(errors='replace')}")

    def stop(self) -> None:
        """End after the present round."""
        self.is_stopped.set()
        self.thread.join()


class Scenario:
    """One run by a plan. `summary` counts what happened; `doubled`, `lost` and `problems` list what is wrong."""

    def __init__(self, stack: Stack, plan: Plan, seed: int, report: Callable[[str], None]) -> None:
        self.stack, self.plan, self.chance, self.report = stack, plan, random.Random(seed), report
        self.did: Counter[str] = Counter()
        self.kills = self.retries = self.returned = 0
        self.summary: dict[str, int] = {}
        self.doubled: list[str] = []
        self.lost: list[str] = []
        self.problems: list[str] = []
        self.requests: dict[str, Order] = {}
        # The bodies of the messages that the listener received, by their ids.
        self.heard: dict[str, list[dict]] = defaultdict(list)
        self.begin = time.monotonic()
        self.treeherder, self.control = Control(stack.env["TREEHERDER_URL"]), stack.taskcluster()
        self.control.set_pace(PACE_SECONDS)
        self.sqs = stack.client("sqs")
        self.sqs.set_queue_attributes(
            QueueUrl=stack.env["QUEUE_URL"], Attributes={"VisibilityTimeout": str(VISIBLE_AGAIN_SECONDS)}
        )
        jobs = stack.jobs(PROJECT)
        self.builders = stack.builds(PROJECT)
        self.labels = {job["ref_data_name"] for job in jobs if job["build_system_type"] == TASKCLUSTER}
        self.people = (f"user{number:04}@mozilla.com" for number in range(10_000))

    def run(self) -> None:
        """Run all of it."""
        with contextlib.ExitStack() as ends:
            ends.enter_context(self.stack.listening_with("faults", self._hear))
            self.api = TriggerApi(self.stack, self.stack.run / "trigger.log")
            ends.callback(self.api.stop)
            broker = urllib.parse.urlsplit(self.stack.env["RUNNABLE_JOBS_PULSE_URL"])
            assert broker.port
            self.wire = CuttableProxy(broker.port)
            ends.callback(self.wire.stop)
            self.taskcluster = TaskclusterProxy(self.stack.env["RUNNABLE_JOBS_TASKCLUSTER_URL"])
            ends.callback(self.taskcluster.stop)
            self.store = ThrottlingProxy(self.stack.env["AWS_ENDPOINT_URL"], random.Random(self.chance.random()))
            ends.callback(self.store.recorder.stop)
            ends.callback(self.store.hold.release)
            environment = self.stack.env | {
                "RUNNABLE_JOBS_PULSE_URL": f"{broker.scheme}://127.0.0.1:{self.wire.port}{broker.path}",
                "RUNNABLE_JOBS_TASKCLUSTER_URL": self.taskcluster.url,
                "AWS_ENDPOINT_URL_DYNAMODB": self.store.url,
            }
            self.forwarders = Forwarders(environment, self.stack.run / "forward.log")
            ends.callback(self.forwarders.stop)
            self.rounds = Rounds(self.stack)
            ends.callback(self.rounds.stop)
            self._disturb()
            self._end()
        self._judge()
        self.summary["seconds"] = round(time.monotonic() - self.begin)

    def _hear(self, message: dict) -> None:
        """Run what a message asks for, as Buildbot did: a message that is repeated is ignored."""
        known, body = self.heard[message["message_id"]], message["body"]
        known.append(body)
        for name in body["requested_jobs"] if len(known) == 1 else ():
            self.treeherder.add_job(
                body["project"], int(body["resultset_id"]), name, state="completed", result="success"
            )

    def _orders(self) -> Iterator[list[Order]]:
        """The orders of an event: one, or two on the same push."""
        push = FIRST_PUSH
        while True:
            self.treeherder.set_author(PROJECT, push, "someone@mozilla.com")
            task = decision_task_id(PROJECT, push)
            self.control.add_decision_task(PROJECT, push=push, revision=revision_of(PROJECT, push), task_id=task)
            known = [label for label, job in graph.labels(PROJECT, push).items() if job.kind == "test"]
            labels = self.chance.sample([label for label in known if label in self.labels], 2 * MAX_LABELS)
            builders = self.chance.sample(self.builders, 2 * MAX_BUILDERS)
            orders = []
            for _ in range(2 if self.chance.random() < SHARED else 1):
                names = [labels.pop() for _ in range(self.chance.randint(1, MAX_LABELS))]
                names += [builders.pop() for _ in range(self.chance.randint(0, MAX_BUILDERS))]
                self.chance.shuffle(names)
                orders.append(Order(PROJECT, push, next(self.people), names))
            yield orders
            push += 1

    def _disturb(self) -> None:
        """Make requests with each event, so that the event finds some of them on their way."""
        orders = self._orders()
        for event in self.plan.events(self.chance):
            self.report(event)
            self.forwarders.restart_ended()
            made = next(orders)
            if event == "before the builders are recorded":
                made[0] = made[0]._replace(names=[*made[0].names, self._other_builder(made)])
            thread = threading.Thread(target=self._make_requests, args=(made,))
            if event in POINTS:
                self._kill_at(event, thread)
            else:
                self._do(event, thread)
            thread.join()
            self.did[event] += 1
        self.summary["seconds of disturbance"] = round(time.monotonic() - self.begin)

    def _other_builder(self, orders: list[Order]) -> str:
        taken = {name for order in orders for name in order.names}
        return next(name for name in self.builders if name not in taken)

    def _make_requests(self, orders: list[Order]) -> None:
        for order in orders:
            self.requests[self.api.request(order)] = order

    def _kill_at(self, event: str, thread: threading.Thread) -> None:
        """Kill the forwarders when one of them is at a point. Which of them it is cannot be seen."""
        for name in filter(None, (POINTS[event].first, event)):
            point = POINTS[name]
            hold = (self.store if point.proxy == STORE else self.taskcluster).hold
            hold.next(point.is_at, point.is_after)
            if not thread.ident:
                thread.start()
            self._until_held(hold)
            self.forwarders.kill(*range(FORWARDERS))
            hold.release()
            self.kills += 1

    def _until_held(self, hold: Hold) -> None:
        self._until(lambda: bool(hold.holding))

    def _do(self, event: str, thread: threading.Thread) -> None:
        """Make one event happen, and requests during it; returns when it has had its effect."""
        proxy, control = self.taskcluster, self.control
        match event:
            case "at any time":
                thread.start()
                time.sleep(self.chance.uniform(0, PAUSE_SECONDS))
                self.forwarders.kill(self.chance.randrange(FORWARDERS))
                self.kills += 1
            case "Taskcluster down":
                before = proxy.did["down"]
                proxy.is_down = True
                thread.start()
                self._until(lambda: proxy.did["down"] > before)
                time.sleep(self.chance.uniform(0, AWAY_SECONDS))
                proxy.is_down = False
            case "Taskcluster refuses calls":
                proxy.to_refuse = 2
                thread.start()
                self._until(lambda: not proxy.to_refuse)
            case "requests to Taskcluster cut":
                proxy.to_cut = 2
                thread.start()
                self._until(lambda: not proxy.to_cut)
            case "answers of Taskcluster lost":
                proxy.to_lose = 2
                thread.start()
                self._until(lambda: not proxy.to_lose)
            case "the hook's answer lost":
                control.set_api_fault("hooks.triggerHook", "closed", times=1)
                self._until_called(thread)
            case "the hook declines":
                control.set_firing("declined", times=1)
                self._until_called(thread)
            case "the hook fails and makes a task":
                control.set_firing("hanging", times=1, seconds=1.0, later=1.0)
                self._until_called(thread)
            case "broker stopped":
                thread.start()
                self.stack.stop_broker()
                time.sleep(self.chance.uniform(0, AWAY_SECONDS))
                self.stack.start_broker()
            case "connections to the broker cut":
                thread.start()
                self._until(self.wire.cut)
            case "store throttled hard":
                enough = self.store.refused.total() + THROTTLED_HARD
                self.store.share = 1.0
                thread.start()
                self._until(lambda: self.store.refused.total() >= enough)
                self.store.share = THROTTLED

    def _until_called(self, thread: threading.Thread) -> None:
        """Make requests, and wait until a hook is called."""
        before = len(self.control.triggers())
        thread.start()
        self._until(lambda: len(self.control.triggers()) > before)

    def _until(self, found: Callable[[], int]) -> int:
        """Wait for a condition, and start forwarders again that end meanwhile."""

        def check() -> int:
            self.forwarders.restart_ended()
            return found()

        return until(check, EVENT_SECONDS)

    def _end(self) -> None:
        """Wait until every request is finished. Nothing fails meanwhile; what failed before is retried."""
        self.store.share = 0.0
        self.last: dict[str, dict] = {}
        tries: Counter[str] = Counter()
        deadline = time.monotonic() + END_SECONDS
        while (left := [request for request in self.requests if request not in self.last]) and (
            time.monotonic() < deadline
        ):
            self.report(f"{len(left)} requests have not ended")
            self.forwarders.restart_ended()
            self._return_dead_letters()
            for request in left:
                found = self.api.find(PROJECT, request)
                failed = [job for job in found["jobs"] if job["state"] in ("failed", "unroutable")]
                self.problems += [f"{request}: {job} has no reason" for job in failed if not job.get("detail")]
                if found["state"] == "finished" and not failed:
                    self.last[request] = found
                elif found["state"] in ("failed", "finished") and failed and tries[request] < MAX_RETRIES:
                    tries[request] += 1
                    self._retry(request)
            time.sleep(ROUND_SECONDS)
        self.retries = tries.total()
        for request in left:
            self.lost.append(f"{request} is not finished: {self.api.find(PROJECT, request)}")

    def _retry(self, request: str) -> None:
        """Retry a request's failed jobs, as an operator does."""
        command = PROGRAMS.requests("retry", request)
        done = subprocess.run(command, env=self.stack.env, capture_output=True, text=True, check=False)
        if done.returncode:
            self.problems.append(f"{request}: the retry ends with code {done.returncode}: {done.stderr.strip()}")

    def _return_dead_letters(self) -> None:
        """Put the dead letters back into the queue, as an operator does."""
        dead = self.stack.env["DEAD_LETTER_QUEUE_URL"]
        while messages := self.sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.sqs.send_message(QueueUrl=self.stack.env["QUEUE_URL"], MessageBody=message["Body"])
                self.sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
                self.returned += 1

    def _judge(self) -> None:
        """Compare the requests with the actions that were made, and with what the listener heard."""
        actions = [action for action in self.control.actions() if action["name"] == "add-new-jobs"]
        by_marker = Counter(action["input"]["request"] for action in actions)
        self.doubled += [f"{count} actions of {marker}" for marker, count in by_marker.items() if count > 1]
        by_request: dict[str, list[dict]] = defaultdict(list)
        for action in actions:
            by_request[action["input"]["request"].split(".")[0]].append(action)
        self.problems += [f"an action of the unknown {request}" for request in by_request.keys() - self.requests.keys()]
        heard = {
            (message.split(".")[0], name)
            for message, bodies in self.heard.items()
            for name in bodies[0]["requested_jobs"]
        }
        made: Counter[tuple[int, str]] = Counter()
        asked_for: Counter[tuple[int, str]] = Counter()
        for request, order in self.requests.items():
            labels = [name for name in order.names if name in self.labels]
            asked_for.update((order.push, label) for label in labels)
            ran = Counter(label for action in by_request[request] for label in action["input"]["tasks"])
            made.update((order.push, label) for action in by_request[request] for label in action["created"].values())
            self.doubled += [f"{request}: {label} is in {ran[label]} actions" for label in labels if ran[label] > 1]
            self.lost += [f"{request}: {label} is in no action" for label in labels if not ran[label]]
            self.problems += [f"{request}: {label} was not requested" for label in ran.keys() - set(labels)]
            builders = set(order.names) - set(labels)
            self.lost += [f"{request}: {name} was not heard" for name in builders if (request, name) not in heard]
        # A build that several tests need is created once, and a label as often as it was requested.
        self.doubled += [
            f"{label} was created {count} times on push {push}"
            for (push, label), count in made.items()
            if count > max(asked_for[push, label], 1)
        ]
        for message, (first, *others) in self.heard.items():
            self.problems += [f"{message} is repeated with another body" for other in others if other != first]
        for request, found in self.last.items():
            for job in found["jobs"]:
                outcome = job.get("outcome", {})
                if (job["state"], outcome.get("state"), outcome.get("result")) != ("forwarded", "completed", "success"):
                    self.problems.append(f"{request}: {job}")
        self.problems += self.rounds.errors
        self.summary |= {
            "requests": len(self.requests),
            "labels": sum(asked_for.values()),
            "builders": len(heard),
            "actions": len(actions),
            "calls of hooks": len(self.control.triggers()),
            "messages to Pulse": len(self.heard),
            "of these, repeated": sum(len(bodies) > 1 for bodies in self.heard.values()),
            "calls to the store throttled": self.store.refused.total(),
            "retries by an operator": self.retries,
            "dead letters put back": self.returned,
            "forwarders that ended by themselves": len(self.forwarders.ended),
        }
        self.summary |= {f"events: {event}": self.did[event] for event in (*POINTS, ANYWHERE, *OUTAGES)}

    def verdict(self) -> str:
        """The result in a line."""
        return f"{self.kills} kills: {len(self.doubled)} doubled, {len(self.lost)} lost"


def run(plan: Plan, seed: int, report: Callable[[str], None] = lambda _: None) -> Scenario:
    """Run a plan in a stack of its own; `report` gets each event and how many requests are left."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ends:
        stack = Stack(sample(Path(folder)), name="both-destinations")
        ends.callback(stack.stop)
        done = Scenario(stack, plan, seed, report)
        done.run()
        return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, what in (
        ("kills", 200, "how often forwarders are killed"),
        ("outages", 5, "how often there is each kind of outage"),
        ("seed", random.randrange(10_000), "the seed of the plan"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default: %(default)s)")
    options = parser.parse_args()
    print(f"seed: {options.seed}", flush=True)
    begin = time.monotonic()
    done = run(
        Plan(options.kills, options.outages),
        options.seed,
        lambda event: print(f"{time.monotonic() - begin:.0f} s: {event}", flush=True),
    )
    for label, count in done.summary.items():
        print(f"{label}: {count:,}")
    wrong = done.doubled + done.lost + done.problems
    for line in wrong:
        print(line, file=sys.stderr)
    print(done.verdict())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
