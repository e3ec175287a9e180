"""Sources of catalogs: samples, and jobs that Treeherder showed."""

import itertools
import json
import re
from pathlib import Path

from tests.support.stack import sample

# Jobs as Treeherder itself showed them.
KNOWN_JOBS = Path(__file__).parent.parent / "data" / "known_jobs.json"


def sample_with_known_jobs(folder: Path) -> Path:
    """A sample to which the known jobs are added."""
    path = sample(folder)
    dump = json.loads(path.read_text())
    for job in json.loads(KNOWN_JOBS.read_text()):
        name = job["ref_data_name"]
        short = re.sub(r"[^a-z0-9]+", "-", name.lower())
        directory = "test" if re.search(r" (test|talos) ", name) else short
        properties = {
            "branch": "try",
            "platform": job["platform"],
            "product": "firefox",
            "repo_path": "try",
            "slavebuilddir": directory,
        }
        dump["builders"].setdefault(
            name, {"properties": properties, "shortname": short, "slavebuilddir": directory, "slavepool": "known"}
        )
        if job["upstream"]:
            builddir = dump["builders"][job["upstream"]]["shortname"]
            dump["schedulers"][f"tests-known-{short}"] = {
                "downstream": [name],
                "triggered_by": [f"{builddir}-opt-unittest"],
            }
    path.write_text(json.dumps(dump))
    return path


def sample_with_many_chunks(folder: Path, builders: int, count: int, branch: str = "try") -> Path:
    """A sample to which so many more chunks of a branch's tests are added."""
    path = sample(folder, builders)
    dump = json.loads(path.read_text())
    found = dump["builders"]
    tests = [name for name, builder in found.items() if builder["properties"].get("branch") == branch]
    chunks = [(name, chunk) for name in tests if (chunk := re.search(r" test \S+-(\d+)$", name))]
    wanted = len(found) + count
    for name, chunk in itertools.cycle(chunks):
        if len(found) == wanted:
            break
        number = next(number for number in itertools.count(21) if f"{name[: chunk.start(1)]}{number}" not in found)
        more = f"{name[: chunk.start(1)]}{number}"
        found[more] = found[name] | {"shortname": f"{found[name]['shortname']}-{number}"}
        for scheduler in dump["schedulers"].values():
            if name in scheduler["downstream"]:
                scheduler["downstream"].append(more)
    path.write_text(json.dumps(dump))
    return path
