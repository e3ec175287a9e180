"""Task graphs in the form of gecko's: some 400 labels, a few of which differ between projects and between pushes."""

import dataclasses
import functools
import hashlib
from typing import Any

from localstack.fakes.pushes import revision_of, slugid

# Where tests run; the label, the platform and the options of their builds.
PLATFORMS = (
    ("linux2404-64", "build-linux64", "linux64", ("opt", "debug")),
    ("windows11-64-24h2", "build-win64", "windows2012-64", ("opt", "debug")),
    ("macosx1470-64", "build-macosx64", "osx-cross", ("opt", "debug")),
    ("android-em-14-x86_64", "build-android-x86_64", "android-5-0-x86_64", ("opt", "debug")),
    ("linux2404-64-asan", "build-linux64-asan", "linux64", ("opt",)),
)
# Suite, symbol, group name, group symbol, chunks, variant, tier.
SUITES = (
    ("mochitest-plain", "", "Mochitests", "M", 6, "", 1),
    ("mochitest-browser-chrome", "bc", "Mochitests", "M", 6, "", 1),
    ("mochitest-media", "mda", "Mochitests", "M", 2, "", 1),
    ("mochitest-plain", "", "Mochitests with networking on socket process", "M-spi-nw", 2, "spi-nw", 2),
    ("reftest", "R", "Reftests", "R", 4, "", 1),
    ("crashtest", "C", "Reftests", "R", 2, "", 1),
    ("xpcshell", "X", "Xpcshell tests", "X", 4, "", 1),
    ("web-platform-tests", "wpt", "Web platform tests", "W", 8, "", 1),
    ("web-platform-tests-reftest", "Wr", "Web platform tests", "W", 2, "", 1),
    ("web-platform-tests-wdspec", "Wd", "Web platform tests", "W", 1, "", 3),
    ("marionette-integration", "Mn", None, None, 1, "", 1),
    ("gtest-1proc", "GTest", None, None, 1, "", 1),
)
TALOS = ("chrome", "damp", "g1", "other", "tp5o", "webgl")
LINTERS = (("eslint", "ES"), ("py-ruff", "ruff"), ("rustfmt", "rustfmt"), ("yaml", "yaml"), ("wptlint-gecko", "W"))
TOOLCHAINS = ("linux64-clang-19", "linux64-rust-1.90", "linux64-node-22", "macosx64-sdk-15")
LEFT_OUT_OF_TRY = "android"
# These have no data for Treeherder.
DUMMIES = 6


@dataclasses.dataclass
class Label:
    """One task of a graph. `treeherder` is its data for Treeherder."""

    kind: str
    treeherder: dict[str, Any] | None
    build: str | None = None
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)
    chunks: tuple[int, int] | None = None


def own_label(push: int) -> str:
    """The label that only this push's graph has."""
    return f"test-linux2404-64/opt-xpcshell-added-by-{push}"


@functools.cache
def labels(project: str, push: int) -> dict[str, Label]:
    """The graph of a push: most labels of the project, and one of its own."""
    found = {label: task for label, task in _all(project).items() if _is_kept(label, task, project, push)}
    found[own_label(push)] = _test("linux2404-64", "opt", "build-linux64/opt", f"X-{push}", ("Xpcshell tests", "X"), 2)
    return dict(sorted(found.items()))


def _is_kept(label: str, task: Label, project: str, push: int) -> bool:
    if task.kind != "test":
        return True
    return _digest(project, label) % 40 > 0 and _digest(project, push, label) % 60 > 0


def _digest(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:8])


@functools.cache
def _all(project: str) -> dict[str, Label]:
    found: dict[str, Label] = {}
    for platform, build, build_platform, options in PLATFORMS:
        if project == "mozilla-central" and "asan" not in platform and "android" not in platform:
            shippable = _treeherder(f"{build_platform}-shippable", "opt", "B", None, 1)
            found[f"{build}-shippable/opt"] = Label("build", shippable)
        for option in options:
            shown = "asan" if platform.endswith("-asan") else option
            found[f"{build}/{option}"] = Label("build", _treeherder(build_platform, shown, "B", None, 1))
            found |= _tests(platform, option, shown, f"{build}/{option}")
    for name, symbol in LINTERS:
        found[f"source-test-mozlint-{name}"] = Label("source-test", _treeherder("lint", "opt", symbol, None, 1))
    # The forms that are rare: no collection, no platform.
    found["source-test-doc-upload"] = Label("source-test", _treeherder("lint", None, "DocUp", None, 3))
    found["fetch-mozjpeg"] = Label("fetch", _treeherder(None, "opt", "mozjpeg", ("Fetch tasks", "Fetch"), 1))
    for name in TOOLCHAINS:
        data = _treeherder("toolchains", "opt", name.partition("-")[2], ("Toolchain builds", "TL"), 1)
        found[f"toolchain-{name}"] = Label("toolchain", data)
    for number in range(1, DUMMIES + 1):
        found[f"post-balrog-dummy-linux64-{number}"] = Label("post-balrog-dummy", None)
    return found


def _tests(platform: str, option: str, shown: str, build: str) -> dict[str, Label]:
    found = {}
    for suite, symbol, group_name, group_symbol, chunks, variant, tier in SUITES:
        if suite.startswith("gtest") and platform.startswith("android"):
            continue
        group = (group_name, group_symbol) if group_name and group_symbol else None
        attributes = {"unittest_suite": suite, "unittest_variant": variant or None}
        for chunk in range(1, chunks + 1):
            is_alone = chunks == 1
            words = (suite, variant, "" if is_alone else str(chunk))
            found[f"test-{platform}/{option}-{'-'.join(filter(None, words))}"] = _test(
                platform,
                shown,
                build,
                symbol if is_alone else f"{symbol}{chunk}",
                group,
                tier,
                attributes | {"test_chunk": str(chunk)},
                None if is_alone else (chunk, chunks),
            )
    if option == "opt" and "asan" not in platform and "android" not in platform:
        for name in TALOS:
            attributes = {"unittest_suite": f"talos-{name}", "unittest_variant": None, "test_chunk": "1"}
            talos = ("Talos performance tests", "T")
            found[f"test-{platform}/opt-talos-{name}"] = _test(platform, shown, build, name, talos, 2, attributes)
    return found


def _test(
    platform: str,
    option: str,
    build: str,
    symbol: str,
    group: tuple[str, str] | None,
    tier: int,
    attributes: dict[str, Any] | None = None,
    chunks: tuple[int, int] | None = None,
) -> Label:
    return Label("test", _treeherder(platform, option, symbol, group, tier), build, attributes or {}, chunks)


def _treeherder(
    platform: str | None, option: str | None, symbol: str, group: tuple[str, str] | None, tier: int
) -> dict[str, Any]:
    found: dict[str, Any] = {"symbol": symbol, "tier": tier, "jobKind": "build" if symbol == "B" else "test"}
    if platform:
        found["machine"] = {"platform": platform}
    if option:
        found["collection"] = {option: True}
    if group:
        found["groupName"], found["groupSymbol"] = group
    return found


def full_task_graph(project: str, push: int, pushlog_id: int) -> dict[str, Any]:
    """The content of `full-task-graph.json`."""
    return {label: node(label, task, project, push, pushlog_id) for label, task in labels(project, push).items()}


def runnable_jobs(project: str, push: int) -> dict[str, Any]:
    """The content of `runnable-jobs.json`, by taskgraph's rule."""
    found: dict[str, dict[str, Any]] = {}
    for label, task in labels(project, push).items():
        if data := task.treeherder:
            found[label] = {name: data[name] for name in ("collection", "groupName", "groupSymbol") if name in data}
            found[label]["symbol"] = data["symbol"]
            if platform := data.get("machine", {}).get("platform"):
                found[label]["platform"] = platform
    return found


def target_tasks(project: str, push: int) -> list[str]:
    """The content of `target-tasks.json`: the builds, and an eighth of the tests. Pushes to try leave out a platform:
    who asks for a test there needs its build too.
    """
    return [
        label
        for label, task in labels(project, push).items()
        if (task.kind == "build" or (task.kind == "test" and _digest("target", label) % 8 == 0))
        and not (project == "try" and LEFT_OUT_OF_TRY in label)
    ]


@functools.cache
def label_to_taskid(project: str, push: int) -> dict[str, str]:
    """The content of `label-to-taskid.json`: the tasks that the push has."""
    return {label: slugid(project, push, label) for label in target_tasks(project, push)}


@functools.cache
def labels_by_task(project: str, push: int) -> dict[str, str]:
    """The label of each task that the push has."""
    return {task_id: label for label, task_id in label_to_taskid(project, push).items()}


def node(label: str, task: Label, project: str, push: int, pushlog_id: int) -> dict[str, Any]:
    level, revision = level_of(project), revision_of(project, push)
    is_test = task.kind == "test"
    platform = (task.treeherder or {}).get("machine", {}).get("platform", "")
    extra: dict[str, Any] = {"index": {"rank": 0}, "parent": "<decision>"}
    if task.treeherder:
        extra["treeherder"] = task.treeherder
    if task.chunks:
        extra["chunks"] = {"current": task.chunks[0], "total": task.chunks[1]}
    queue = f"t-{platform}" if is_test else "b-linux"
    return {
        "kind": task.kind,
        "label": label,
        "description": f"{task.kind} {label}",
        "attributes": {"kind": task.kind, "run_on_projects": ["all"], "retrigger": is_test} | task.attributes,
        "dependencies": {"build": task.build} if task.build else {},
        "soft_dependencies": [],
        "if_dependencies": [],
        "optimization": {"skip-unless-schedules": ["linux"]} if is_test else None,
        "task": {
            "created": {"relative-datestamp": "0 seconds"},
            "deadline": {"relative-datestamp": "1 day"},
            "expires": {"relative-datestamp": "28 days" if level == "1" else "1 year"},
            "metadata": {
                "name": label,
                "owner": "dev@example.org",
                "source": f"{repository_of(project)}/file/{revision}/taskcluster/kinds/{task.kind}",
                "description": f"{task.kind} {label}",
            },
            "payload": {
                "command": ["./test-linux.sh" if is_test else "/builds/worker/bin/build.sh", f"--label={label}"],
                "env": {"GECKO_HEAD_REV": revision, "MOZ_AUTOMATION": "1"},
                "maxRunTime": 5400 if is_test else 7200,
            },
            "priority": "very-low",
            "provisionerId": f"gecko-{level}",
            "workerType": queue,
            "routes": [f"tc-treeherder.v2.{project}.{revision}.{pushlog_id}", "checks"],
            "scopes": [],
            "tags": {"kind": task.kind, "label": label, "project": project, "trust-domain": "gecko"},
            "extra": extra,
        },
    }


def level_of(project: str) -> str:
    """The level of who may push to a project."""
    return "1" if project == "try" else "3"


def repository_of(project: str) -> str:
    """The address of a project's repository."""
    return f"https://hg.mozilla.org/{'integration/' if project == 'autoland' else ''}{project}"
