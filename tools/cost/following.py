"""Runs the rounds that follow requests to their end, at the times that they would have on AWS.

The forward function has a clock that the meter sets. It goes from minute to minute, and the events of Treeherder and
Taskcluster with it, so that hours pass in minutes. Requests arrive all the time. The first windows, each as long as the
part of the day, are not counted: after them as many requests are followed as at any time. Then one window is counted.
"""

import functools
import heapq
import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path

from localstack.fakes.taskcluster import graph
from localstack.fakes.treeherder import Control
from tools.cost.bill import Amounts
from tools.cost.clock import Clock
from tools.cost.day import Day, say
from tools.cost.ingest import DAY_SECONDS
from tools.cost.outside import CONNECTION_BYTES, Outside
from tools.cost.traffic import PERSON, PUSH_SECONDS, MadeRequest, Traffic, sizes_of

# After how many minutes a job appears on its push; how long it then waits for a machine; how long it runs.
APPEARS, WAITS, RUNS = (0.5, 2.0), (1.0, 20.0), (10.0, 60.0)
# After how many minutes the task of an action runs, and how long.
ACTION_RUNS, ACTION_ENDS = 1.0, 4.0
LONGEST_MINUTES = ACTION_ENDS + WAITS[1] + RUNS[1]
# How many jobs Treeherder shows of a push beside the requested ones, the builds that these need included.
PUSH_JOBS = 200
# How many questions a round asks at a time.
CONCURRENCY = 8
ROUNDS_A_DAY = DAY_SECONDS // 60
FOLLOW = b'{"follow": true}'
# The pauses between looks are of so many minutes at most.
LONGEST_PAUSE = 15
# What a round should not have.
WRONG = ("left", "conflicts", "unanswered", "failed", "damaged")
# Before the last window that is not counted, a round in so many minutes has to be enough.
SPARSE_MINUTES = 10
# The first push that is a request's own.
FIRST_PUSH = 200_000


class Following:
    """The rounds of a day, and what became of the requests."""

    def __init__(self, traffic: Traffic, folder: Path) -> None:
        """Before the first request: a round that finds nothing is run here. `folder` is for files."""
        self.traffic, self.day = traffic, traffic.day
        self.clock = Clock(folder)
        env = self.day.stack.env
        self.outside = [Outside(env[name]) for name in ("TREEHERDER_URL", "TASKCLUSTER_URL")]
        self.settings = self.clock.settings | {
            "RUNNABLE_JOBS_TREEHERDER_URL": self.outside[0].url,
            "RUNNABLE_JOBS_TASKCLUSTER_URL": self.outside[1].url,
        }
        self.rounds = self.day.metered("forward", self.settings, counted_as="follow")
        self.forward = self.day.metered("forward", self.clock.settings, counted_as="follow", starts=0)
        self.taskcluster = self.day.stack.taskcluster()
        # Its tasks move with the events.
        self.taskcluster.set_pace(None)
        self.treeherder = Control(env["TREEHERDER_URL"])
        self.minute = 0
        self.events: list[tuple[float, int, functools.partial[object]]] = []
        self.numbers, self.pushes = itertools.count(), itertools.count(FIRST_PUSH)
        # What was counted in the last window.
        self.looks = self.changes = self.followed = 0.0
        self.empty = self._empty_round()

    def stop(self) -> None:
        for outside in self.outside:
            outside.stop()

    def run(self, labels: list[MadeRequest], opened: int) -> None:
        """Follow the requests of the day and those for labels, and as many that come after them. `opened` is how many
        of those for labels come in a day.
        """
        traffic, options = self.traffic, self.traffic.options
        minutes = round(ROUNDS_A_DAY / options.part)
        windows = math.ceil(LONGEST_MINUTES / minutes)
        total = (windows + 1) * minutes
        count, _ = traffic.times(options.triggers)
        for made in traffic.made:
            self._show_others(made.project, made.push, made.names)
        for made in traffic.made:
            self._builders_live(made)
        for made in labels:
            self._labels_live(made)
        for window in range(windows + 1):
            for (project, _), size in zip(traffic.mixed(count), sizes_of(count), strict=True):
                self._at(self._some_time(window, minutes), self._request_jobs, project, size)
            label_count = traffic.times(opened)[0] if opened else 0
            for size in sizes_of(label_count):
                self._at(self._some_time(window, minutes), self._request_labels, size)
        say(f"following: {total} minutes, the last {minutes} of which count")
        # The pauses are aligned to the clock: the first minute is one in which all requests have their turn.
        self._set_clock(start := self._next_turn())
        # The process starts. That is billed for each part of the day, whatever it finds.
        with self.day.caused_by("round"):
            self._round(0)
        ended = 0
        with self.day.caused_by("follow"):
            for self.minute in range(total):
                self._set_clock(start + 60 * self.minute)
                while self.events and self.events[0][0] < self.minute + 1:
                    heapq.heappop(self.events)[2]()
                if self.minute < (windows - 1) * minutes and self.minute % SPARSE_MINUTES:
                    continue
                is_counted = self.minute >= windows * minutes
                report = self._round(ROUNDS_A_DAY / minutes if is_counted else 0)
                ended += report["ended"]
                if is_counted:
                    self.followed += report["followed"] / minutes
                    self.looks += report["looked_at"] / minutes * ROUNDS_A_DAY
                    self.changes += report["changed"] / minutes * ROUNDS_A_DAY
            self._take_empty_rounds(-1)
        self._check_ends([*traffic.made, *labels])
        asked = options.triggers + opened
        say(
            f"  {ended} requests ended; of each {self.looks / asked:.1f} looks and {self.changes / asked:.1f} changes;"
            f" {self.followed:.0f} are followed at a time"
        )

    def _set_clock(self, seconds: float) -> None:
        """Set the clock of the forward function to a second after this time."""
        self.clock.set(seconds + 1)
        self.rounds.ahead = self.forward.ahead = self.clock.ahead
        self.taskcluster.set_clock(self.clock.ahead)

    def _empty_round(self) -> Amounts:
        """The usage of a round without any request, all of which are counted here."""
        day = self.day
        alone = Day(day.stack, day.recorder, day.programs, day.part, day.ends)
        function = alone.metered("forward", counted_as="follow", starts=0)
        function.invoke(FOLLOW, 0)
        before = dict(alone.usage)
        function.invoke(FOLLOW, 1)
        empty = Amounts()
        empty.add({name: used - before.get(name, 0.0) for name, used in alone.usage.items()})
        self.empty = empty
        with day.caused_by("round"):
            self._take_empty_rounds(1)
            day.usage["schedule_events"] += ROUNDS_A_DAY
        return empty

    def _take_empty_rounds(self, sign: int) -> None:
        """Count a day's rounds without any request, or take them from what was counted with requests."""
        self.day.usage.add({name: sign * ROUNDS_A_DAY * used for name, used in self.empty.items()})

    def _round(self, times: float) -> dict:
        """Run a round; returns its report."""
        for outside in self.outside:
            outside.taken()
        report = self.rounds.invoke(FOLLOW, times, away_seconds)
        if wrong := {name: report[name] for name in WRONG if report[name]}:
            raise SystemExit(f"a round of following fails: {wrong}, {report.get('error')}")
        sent = sum(outside.taken() for outside in self.outside) + connections(report) * CONNECTION_BYTES
        self.day.usage["bytes_out"] += sent * times
        return report

    def _check_ends(self, made: list[MadeRequest]) -> None:
        """Each of these requests has to be at its end."""
        for one in made:
            state = self.traffic.state(one)
            if state != "finished":
                raise SystemExit(f"{one.id} is not followed to its end: it is {state}")

    def _next_turn(self) -> float:
        step = LONGEST_PAUSE * 60
        return (time.time() // step + 1) * step

    def _some_time(self, window: int, minutes: int) -> float:
        return (window + self.traffic.random.random()) * minutes

    def _at(self, minute: float, act: Callable[..., object], *words: object) -> None:
        """Do something at a minute."""
        heapq.heappush(self.events, (minute, next(self.numbers), functools.partial(act, *words)))

    def _after(self, minutes: tuple[float, float], act: Callable[..., object], *words: object) -> None:
        """Do something after so many minutes, between two numbers."""
        # From the middle of this minute: events and rounds take turns.
        self._at(self.minute + self.traffic.random.uniform(*minutes), act, *words)

    def _request_jobs(self, project: str, size: int) -> None:
        """A person requests Buildbot jobs on a push, whose builds are there. It is not counted."""
        traffic, push = self.traffic, next(self.pushes)
        builds = traffic.builds[project]
        names = traffic.random.sample(list(builds), size)
        self.treeherder.set_author(project, push, PERSON)
        self._show_others(project, push, names)
        made = traffic.request(
            project, push, names, 0, traffic.trigger, lambda times: traffic.forward_batch(times, self.forward), polls=0
        )
        self._builders_live(made)

    def _show_others(self, project: str, push: int, names: list[str]) -> None:
        """A push has the builds that these jobs need, and other jobs, all of which ended long ago."""
        builds = self.traffic.builds[project]
        shown = {build for name in names if (build := builds[name])}
        others = self.traffic.random.sample(list(builds), min(PUSH_JOBS + len(names), len(builds)))
        shown |= set([name for name in others if name not in names][: max(PUSH_JOBS - len(shown), 0)])
        before = int(time.time()) - 3600
        jobs = [{"ref_data_name": name, "submit_timestamp": before} for name in sorted(shown)]
        self.treeherder.set_jobs(project, push, jobs)

    def _request_labels(self, size: int) -> None:
        """A person requests labels on a push of the fakes' usual size. It is not counted."""
        traffic, push = self.traffic, next(self.pushes)
        self.treeherder.set_author("try", push, PERSON)
        task = self.taskcluster.add_decision_task("try", push)
        names = traffic.random.sample(usual_labels(push), size)
        made = traffic.request(
            "try",
            push,
            names,
            0,
            traffic.trigger,
            lambda times: traffic.deliver(times, self.forward, 0),
            polls=0,
            decision_task_id=task,
        )
        self._labels_live(made)

    def _builders_live(self, made: MadeRequest) -> None:
        """The jobs of a request appear, run and end."""
        for name in made.names:
            self._after(APPEARS, self._appear, made, name)

    def _appear(self, made: MadeRequest, name: str) -> None:
        submitted = int(time.time()) + self.clock.ahead
        job = self.treeherder.add_job(made.project, made.push, name, "pending", submit_timestamp=submitted)
        self._after(WAITS, self._run, job)

    def _run(self, job: int) -> None:
        self.treeherder.set_state(job, "running")
        self._after(RUNS, self.treeherder.set_state, job, "completed")

    def _labels_live(self, made: MadeRequest) -> None:
        """The action of a request runs, and makes tasks, which run and end."""
        [action] = [found for found in self.taskcluster.actions() if marker_is_of(found, made)]
        self._after((ACTION_RUNS,) * 2, self.taskcluster.advance, action["task_id"])
        self._after((ACTION_ENDS,) * 2, self._end_action, action["task_id"])

    def _end_action(self, task: str) -> None:
        self.taskcluster.advance(task)
        [action] = [found for found in self.taskcluster.actions() if found["task_id"] == task]
        for made in action["created"]:
            self._after(WAITS, self._run_task, made)

    def _run_task(self, task: str) -> None:
        self.taskcluster.advance(task)
        self._after(RUNS, self.taskcluster.advance, task)


def marker_is_of(action: dict, made: MadeRequest) -> bool:
    """Whether an action was made for a request."""
    return (action["input"] or {}).get("request", "").startswith(made.id)


def away_seconds(report: dict) -> float:
    """How long a round waits for Treeherder and Taskcluster, which it asks at the same time. Of an action that ended,
    the Queue says where the artifacts are, which are fetched, and then what became of the tasks.
    """
    first = max(math.ceil(report["pushes"] / CONCURRENCY), 1 if report["tasks"] else 0)
    return PUSH_SECONDS * (first + 3 * math.ceil(report["actions"] / CONCURRENCY))


def connections(report: dict) -> int:
    """The connections that a round opens: those of the round before were closed meanwhile."""
    actions = min(report["actions"], CONCURRENCY)
    return min(report["pushes"], CONCURRENCY) + (1 if report["tasks"] else 0) + 2 * actions


def usual_labels(push: int) -> list[str]:
    """The labels of the fake's own graph of a push of try whose builds the push has."""
    labels = graph.labels("try", push)
    built = set(graph.target_tasks("try", push))
    return [label for label, task in labels.items() if task.build in built and label not in built]
