"""The cost meter's hours pass in minutes: its clock, the lives of jobs, and what other services are sent."""

import contextlib
import json
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from tests.support.runtime_api import Function
from tools.bench.pushes import made_up
from tools.cost import following, table, taskcluster
from tools.cost.bill import load_prices
from tools.cost.clock import Clock
from tools.cost.day import Day, Metered, MeteredProcess
from tools.cost.following import Following, away_seconds, connections
from tools.cost.outside import Outside
from tools.cost.traffic import MadeRequest

NOW = "import time; print(time.time(), time.monotonic())"


@unittest.skipUnless(sys.platform == "linux", "the meter needs Linux")
class Clocks(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_a_process_has_the_time_that_the_meter_sets_and_keeps_its_other_clocks(self) -> None:
        clock = Clock(self.folder)
        clock.set(time.time() + 7_200)

        done = subprocess.run([sys.executable, "-c", NOW], env=clock.settings, capture_output=True, check=True)

        now, monotonic = map(float, done.stdout.split())
        self.assertAlmostEqual(now, time.time() + 7_200, delta=60)
        self.assertAlmostEqual(monotonic, time.monotonic(), delta=60)
        self.assertAlmostEqual(clock.ahead, 7_200, delta=1)

    def test_the_clock_of_a_running_process_moves(self) -> None:
        clock = Clock(self.folder)
        code = "import time\nwhile input(): print(time.time(), flush=True)"
        with subprocess.Popen(
            [sys.executable, "-c", code],
            env=clock.settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdin
            assert process.stdout
            for ahead in (0, 3_600, 60):
                clock.set(time.time() + ahead)
                print("now", file=process.stdin, flush=True)
                self.assertAlmostEqual(float(process.stdout.readline()), time.time() + ahead, delta=60)
            process.stdin.close()

    def test_the_processor_time_of_a_process_is_what_it_used_and_not_how_long_it_lives(self) -> None:
        code = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ntime.sleep(60)"
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(0.2)
            used = MeteredProcess.used_seconds(mock.Mock(process=process))
            process.kill()

        self.assertAlmostEqual(used, 0.3, delta=0.1)


class Sent(unittest.TestCase):
    def test_what_is_sent_to_a_service_is_counted_and_what_it_answers_is_not(self) -> None:
        service = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(service.close)
        threading.Thread(target=self._serve, args=(service,), daemon=True).start()
        outside = Outside(f"http://127.0.0.1:{service.getsockname()[1]}")
        self.addCleanup(outside.stop)

        for _ in range(2):
            port = int(outside.url.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"question")
                self.assertEqual(client.recv(1000), b"a long answer")

        self.assertEqual((outside.taken(), outside.taken()), (16, 0))

    def _serve(self, service: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = service.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"a long answer")

    def test_a_round_waits_for_its_questions_eight_at_a_time(self) -> None:
        for pushes, tasks, actions, seconds, opened in (
            (0, 0, 0, 0, 0),
            (1, 0, 0, 0.2, 1),
            (0, 3, 0, 0.2, 1),
            (9, 3, 0, 0.4, 9),
            (17, 3, 1, 0.6 + 0.6, 11),
        ):
            with self.subTest(pushes=pushes, tasks=tasks, actions=actions):
                report = {"pushes": pushes, "tasks": tasks, "actions": actions}
                self.assertAlmostEqual(away_seconds(report), seconds)
                self.assertEqual(connections(report), opened)


class Lives(unittest.TestCase):
    """Jobs appear, run and end in the order and within the times that docs/cost.md says."""

    def setUp(self) -> None:
        self.following: Any = Following.__new__(Following)
        self.following.traffic = mock.Mock(random=random.Random(1))
        self.following.clock = mock.Mock(ahead=0)
        self.following.events, self.following.minute = [], 0
        self.following.numbers = following.itertools.count()
        self.seen: list[tuple[int, str, object]] = []
        self.following.treeherder = mock.Mock()
        self.following.treeherder.add_job = lambda project, push, name, state, **_: self.note(state, name)
        self.following.treeherder.set_state = lambda job, state: self.note(state, job)
        self.following.taskcluster = mock.Mock()
        self.following.taskcluster.advance = lambda task: self.note("advance", task)
        actions = [
            {"task_id": "A", "input": {"request": "R.1"}, "created": {"T": "label"}},
            {"task_id": "B", "input": None, "created": {}},
        ]
        self.following.taskcluster.actions = lambda: actions

    def note(self, what: str, of: object) -> object:
        self.seen.append((self.following.minute, what, of))
        return of

    def pass_minutes(self) -> None:
        for self.following.minute in range(100):
            while self.following.events and self.following.events[0][0] < self.following.minute + 1:
                following.heapq.heappop(self.following.events)[2]()

    def test_each_builder_appears_runs_and_ends(self) -> None:
        names = [f"builder {number}" for number in range(50)]
        self.following._builders_live(MadeRequest("try", 7, names, "/R/"))

        self.pass_minutes()

        for name in names:
            minutes, states, _ = zip(*(seen for seen in self.seen if seen[2] == name), strict=True)
            self.assertEqual(states, ("pending", "running", "completed"))
            self.assertLessEqual(minutes[0], 2)
            self.assertLessEqual(minutes[-1], following.LONGEST_MINUTES)
        self.assertEqual(self.following.events, [])

    def test_an_action_ends_and_then_the_tasks_that_it_made_run_and_end(self) -> None:
        self.following._labels_live(MadeRequest("try", 7, ["label"], "/api/R/"))

        self.pass_minutes()

        self.assertEqual([(what, of) for _, what, of in self.seen], [("advance", "A")] * 2 + [("advance", "T")] * 2)
        self.assertEqual([minute for minute, _, _ in self.seen[:2]], [1, 4])
        self.assertLessEqual(self.seen[-1][0], following.LONGEST_MINUTES)


class Taskcluster(unittest.TestCase):
    def test_a_days_reads_are_those_of_five_projects_in_each_hour(self) -> None:
        self.assertEqual(taskcluster.READS, 5 * 24)

    def test_a_full_graph_has_the_labels_and_is_as_long_as_geckos(self) -> None:
        labels = dict(list(made_up().items())[:200])

        document = taskcluster.full_graph(labels)

        nodes = json.loads(document)
        self.assertEqual(labels.keys() - nodes.keys(), set())
        of_labels = [len(json.dumps(nodes[label], indent=2)) for label in labels]
        self.assertAlmostEqual(sum(of_labels) / len(labels), taskcluster.TASK_BYTES, delta=500)
        label, job = next(iter(labels.items()))
        self.assertEqual(nodes[label]["task"]["extra"]["treeherder"]["symbol"], job["symbol"])
        self.assertEqual(nodes[label]["task"]["metadata"]["name"], label)


class Parts(unittest.TestCase):
    """What is counted where."""

    def day(self) -> Any:
        day: Any = Day.__new__(Day)
        for name in ("usage", "invocations", "gb_seconds", "metrics"):
            setattr(day, name, following.Amounts())
        day.memory, day.causes, day.kept, day.log = {}, {}, {}, bytearray()
        day.recorder, day.tables = mock.Mock(calls=[]), mock.Mock()
        day.tables.cost.return_value = {"dynamodb_read_units": 2}
        return day

    def metered(self, day: Any, seconds: float, body: dict) -> Any:
        metered: Any = Metered.__new__(Metered)
        metered.day, metered.name, metered.counted_as, metered.starts, metered.memory = (
            day,
            "forward",
            "follow",
            5,
            1769,
        )
        metered.environment, metered.ahead = {}, 3
        metered.read = mock.Mock(read=lambda: b"{}\n")
        metered.process = mock.Mock(used_before=1.0)
        metered.process.used_seconds.return_value = 1 + seconds
        metered.process.answered.return_value = (json.dumps(body).encode(), 0, 0)
        return metered

    def test_an_invocation_is_billed_for_its_processor_time_its_calls_and_its_waits(self) -> None:
        day = self.day()
        day.recorder.calls = mock.MagicMock(__len__=lambda _: 4)

        metered = self.metered(day, 0.1, {"pushes": 3})
        metered.invoke(b"{}", 10, lambda report: report["pushes"] / 10)

        self.assertAlmostEqual(day.usage["lambda_gb_seconds"], 10 * (0.1 + 4 * 0.005 + 0.3) * 1769 / 1024)
        self.assertEqual((day.usage["lambda_requests"], day.usage["dynamodb_read_units"]), (10, 20))
        self.assertEqual(day.invocations, {"follow": 10})
        self.assertEqual(metered.process.ahead, 3)

    def test_an_invocation_that_represents_none_of_a_day_counts_nothing(self) -> None:
        day = self.day()

        self.metered(day, 0.1, {}).invoke(b"{}", 0)

        self.assertEqual(sum(day.usage.values()), 0)

    def test_the_time_until_which_an_answer_is_wanted_is_by_the_clock_of_the_process(self) -> None:
        binary = Path(self.enterContext(tempfile.TemporaryDirectory())) / "function"
        code = (
            f"#!{sys.executable}\nimport os, http.client\n"
            "c = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])\n"
            "c.request('GET', '/next'); a = c.getresponse(); a.read()\n"
            "c.request('POST', '/x', a.headers['Lambda-Runtime-Deadline-Ms']); c.getresponse()\n"
        )
        binary.write_text(code)
        binary.chmod(0o755)
        with Function(binary, {"AWS_LAMBDA_FUNCTION_NAME": "x"}) as function:
            function.ahead = 10_000
            function.events.put(b"{}")
            body, _, _ = function.answered()

        self.assertAlmostEqual(int(body) / 1000, time.time() + 10_060, delta=60)

    def test_what_was_printed_replaces_what_the_document_has_and_nothing_else(self) -> None:
        document = f"before\n{table.BEGIN}old\n{table.END}\nafter\n"

        written = table.with_output(document, "| a |\n\nthe goal is missed\n")

        self.assertEqual(written, f"before\n{table.BEGIN}| a |\n\n    the goal is missed\n{table.END}\nafter\n")

    def test_the_table_has_a_line_for_each_part(self) -> None:
        prices = load_prices()
        usage = dict.fromkeys(prices, 1.0)
        column = dict.fromkeys(prices, 0.5)

        with mock.patch("builtins.print") as printed:
            table.print_table(prices, usage, usage, [column] * 4, {"Lists": 1.25, "Following": 0.5})

        lines = [" ".join(call.args[0].split()) for call in printed.call_args_list]
        self.assertIn("| ... Lists | | 1.25 | | | | |", lines)
        self.assertIn("| ... Following | | 0.50 | | | | |", lines)
