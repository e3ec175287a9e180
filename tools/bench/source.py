"""Measures the ETL on a full-size source, as ratios within one run on one machine, and prints a table.

    make bench                               # on a sample of 65,888 builders that the ETL makes
    make bench SOURCE=allthethings.json      # on a dump

The figures are medians of several runs; runs that are compared alternate. It needs the builds of `make bench`, and an
emulator (`python3 -m localstack exec`), because some figures count the calls to the store.
"""

import argparse
import functools
import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import boto3

from localstack.programs import Programs

BUILDERS = 65_888
RUNS = 7
STARTS = 25
# Read 0.4 s, classify by Treeherder's 233 expressions 3.3 s, serialise 0.5 s, gzip 0.3 s, where `json.load` took 0.6 s.
TREEHERDER_PER_JSON_LOAD = 4.7 / 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=Path, default=Path("target"), help="cargo's target folder")
    parser.add_argument("--source", type=Path, help="an allthethings.json, uncompressed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        programs = Programs(options.target / "debug", options.target / "lambda")
        pack = options.target / "lambda" / "examples" / "pack"
        source = options.source or sample(programs, Path(folder) / "sample.json")
        print(f"source: {source.stat().st_size / 1e6:.1f} MB\n")
        speed(pack, source)
        memory(pack, source, Path(folder) / "padded.json")
        writes(programs, source, Path(folder) / "tomorrow.json")
        examples = options.target / "lambda" / "examples"
        start(programs, examples / "empty_function")
        say("zipped function", f"{zipped_size(programs.function('etl')) / 1e6:.2f} MB", "at most 3 MB")
        say("  its dependencies alone", f"{zipped_size(examples / 'bare_etl') / 1e6:.2f} MB")


def sample(programs: Programs, path: Path) -> Path:
    """A full-size source at `path`."""
    with open(path, "wb") as out:
        subprocess.run(programs.sample("--builders", str(BUILDERS), "--seed", "1"), stdout=out, check=True)
    return path


def say(what: str, value: str, goal: str = "") -> None:
    print(f"{what:<66}{value:>16}   {goal}".rstrip(), flush=True)


def zipped_size(binary: Path) -> int:
    """The size of a function as it is uploaded."""
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(binary, "bootstrap")
        return file.tell()


def speed(pack: Path, source: Path) -> None:
    load = f"import json,time;t=time.perf_counter();json.load(open({str(source)!r}));print(time.perf_counter()-t)"
    runs, loads = [], []
    for _ in range(RUNS):
        runs.append(json.loads(subprocess.check_output([pack, source, "--bare"])))
        loads.append(float(subprocess.check_output([sys.executable, "-c", load])))
    median = {name: statistics.median(run[name] for run in runs) for name in ("read", "all", "bare_parse", "bare_gzip")}
    python = statistics.median(loads)
    bare = statistics.median(run["all"] / (run["bare_parse"] + run["bare_gzip"]) for run in runs)
    say("builders, projects", f"{runs[0]['builders']}, {runs[0]['projects']}")
    say("lists, packed", f"{runs[0]['body_bytes'] / 1e6:.1f} MB, {runs[0]['packed_bytes'] / 1e6:.2f} MB")
    say("Python's json.load of the source", f"{python:.3f} s")
    say("source to packed lists", f"{median['all']:.3f} s")
    say("  of that, reading", f"{median['read']:.3f} s")
    say("bare parse, and gzip of the same lists", f"{median['bare_parse']:.3f} + {median['bare_gzip']:.3f} s")
    say("source to packed lists / (bare parse + gzip)", f"{bare:.2f}", "at most 1.5")
    say(
        "Treeherder's way (7.8 json.loads) / source to packed lists",
        f"{python * TREEHERDER_PER_JSON_LOAD / median['all']:.1f}",
        "at least 8",
    )


def peak(pack: Path, source: Path) -> float:
    """The peak resident memory of packing a source, in MiB."""
    code = (
        "import resource,subprocess,sys;subprocess.run(sys.argv[1:],check=True,stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    return int(subprocess.check_output([sys.executable, "-c", code, pack, source])) / 1024


def memory(pack: Path, source: Path, padded: Path) -> None:
    with open(source, "rb") as document, open(padded, "wb") as out:
        size = source.stat().st_size
        out.write(b'{"ignored": [')
        line = b'{"a": "' + b"x" * 200 + b'", "b": [1, 2.5e3, null, true, {"c": "\\u00e9"}]},\n'
        for _ in range(7 * size // len(line)):
            out.write(line)
        out.write(b"0],")
        assert document.read(1) == b"{"
        while chunk := document.read(1 << 20):
            out.write(chunk)
    plain, large = peak(pack, source), peak(pack, padded)
    padded.unlink()
    say("peak memory", f"{plain:.1f} MiB", "at most 48 MiB")
    say("peak memory with 8 times the bytes, 7 of them ignored", f"{large:.1f} MiB", "no more")


def writes(programs: Programs, source: Path, tomorrow: Path) -> None:
    boto3.client("dynamodb").create_table(
        TableName="bench",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    document = json.loads(source.read_bytes())
    for number, name in enumerate(sorted(document["builders"])):
        if number % 200 == 0:
            del document["builders"][name]
    tomorrow.write_text(json.dumps(document))

    def ingest(path: Path) -> dict:
        words = programs.ingest("--source", str(path), "--table", "bench", "--json")
        return json.loads(subprocess.check_output(words))

    for name, path, goal in (
        ("a first ingest", source, ""),
        ("the same source again", source, "at most 3 items"),
        ("a day's drift of 0.5 %", tomorrow, ""),
    ):
        report = ingest(path)
        changed = sum(1 for p in report["projects"].values() if p["added"] or p["removed"] or p["changed"])
        # The report is one item more, two where something was published.
        reports = 2 if report["items_written"] else 1
        say(
            f"{name}: items, lists replaced, bytes",
            f"{report['items_written'] + reports}, {changed}, {report['bytes_written'] / 1e6:.2f} MB",
            goal,
        )
        say(f"{name}: read and write units", f"{report['read_units']:.0f}, {report['write_units']:.0f}")


class RuntimeServer(http.server.ThreadingHTTPServer):
    """The part of Lambda's Runtime API that a function calls until it is ready: its first `next`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Runtime)
        self.ready, self.done = threading.Event(), threading.Event()


class Runtime(http.server.BaseHTTPRequestHandler):
    server: RuntimeServer

    def do_GET(self) -> None:
        self.server.ready.set()
        self.server.done.wait(10)

    def log_message(self, *_: object) -> None:
        pass


def start_seconds(binary: Path) -> float:
    """The time from the start of a function's process until it asks for its first event."""
    server = RuntimeServer()
    threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.01), daemon=True).start()
    environment = os.environ | {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
        "AWS_LAMBDA_FUNCTION_NAME": "bench",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_LOG_GROUP_NAME": "bench",
        "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
        "RUNNABLE_JOBS_SOURCE": "https://example.org/allthethings.json",
        "RUNNABLE_JOBS_CATALOG_TABLE": "bench",
        "RUNNABLE_JOBS_SCHEDULE": "0 6 * * ? *",
    }
    begin = time.perf_counter()
    process = subprocess.Popen([binary], env=environment, stdout=subprocess.DEVNULL)
    try:
        if not server.ready.wait(10):
            raise SystemExit(f"{binary} does not ask for an event")
        return time.perf_counter() - begin
    finally:
        process.kill()
        process.wait()
        server.done.set()
        server.shutdown()
        server.server_close()


def start(programs: Programs, empty_function: Path) -> None:
    all_ours, all_empty = [], []
    for _ in range(STARTS):
        all_ours.append(start_seconds(programs.function("etl")))
        all_empty.append(start_seconds(empty_function))
    ours, empty = statistics.median(all_ours), statistics.median(all_empty)
    say("start to ready", f"{ours * 1000:.1f} ms")
    say("start to ready / that of an empty function", f"{ours / empty:.2f}", "at most 1.3")


if __name__ == "__main__":
    main()
