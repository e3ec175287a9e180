"""The part of Buildbot that people saw in Treeherder: a job that is asked for appears there, runs, and ends."""

import functools
import heapq
import itertools
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from localstack.fakes.treeherder import Control

# How long a job takes to appear, and then stays in each state, in seconds.
PACE = 3.0
# The result of a job that does not appear, and the name that stands for all jobs.
NEVER, EVERY = "never", "*"


class Buildbot:
    """Runs the jobs that messages ask for: they appear in the fake Treeherder at `url`.

    A job succeeds, unless `results` have another result for its name or for `*`.
    """

    def __init__(self, url: str, pace: float = PACE, results: Mapping[str, str] | None = None) -> None:
        self.control, self.pace, self.results = Control(url), pace, dict(results or {})
        # The ids of the messages so far. One that comes again asks for nothing new.
        self.known: set[str] = set()
        self.steps: list[tuple[float, int, Callable[[], None]]] = []
        self.numbers = itertools.count()
        self.wake = threading.Condition()
        self.is_ended = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def receive(self, message: dict[str, Any]) -> None:
        """Take a message, as `pulse_listener.described` describes it."""
        if message["message_id"] in self.known:
            return
        self.known.add(message["message_id"])
        body = message["body"]
        content = body.get("payload", body)
        project, push = content["project"], int(content["resultset_id"])
        for name in content.get("requested_jobs") or content.get("buildernames") or ():
            result = self.results.get(name, self.results.get(EVERY, "success"))
            if result != NEVER:
                self._later(functools.partial(self._appear, project, push, name, result))

    def stop(self) -> None:
        """Stop, whatever still runs."""
        with self.wake:
            self.is_ended = True
            self.wake.notify_all()
        self.thread.join()

    def _appear(self, project: str, push: int, name: str, result: str) -> None:
        job = self.control.add_job(project, push, name, job_type_name=name)
        self._later(lambda: self._start(job, result))

    def _start(self, job: int, result: str) -> None:
        self.control.set_state(job, "running")
        self._later(lambda: self.control.set_state(job, "completed", result))

    def _later(self, step: Callable[[], None]) -> None:
        with self.wake:
            heapq.heappush(self.steps, (time.monotonic() + self.pace, next(self.numbers), step))
            self.wake.notify_all()

    def _run(self) -> None:
        while step := self._next():
            try:
                step()
            except (OSError, ValueError) as error:
                print(f"Treeherder does not take a job: {error}", file=sys.stderr, flush=True)

    def _next(self) -> Callable[[], None] | None:
        """The next step, when it is time for it; none at the end."""
        with self.wake:
            while not self.is_ended:
                if self.steps and self.steps[0][0] <= time.monotonic():
                    return heapq.heappop(self.steps)[2]
                self.wake.wait(self.steps[0][0] - time.monotonic() if self.steps else None)
        return None
