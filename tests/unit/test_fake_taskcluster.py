"""The fake Taskcluster answers and fails as the services do, and the fake Treeherder agrees with it."""

import gzip
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from localstack.fakes.pushes import PUSH_ID, PUSH_IDS, decision_task_id, revision_of, slugid
from localstack.fakes.taskcluster import FULL_TASK_GRAPH, PROJECTS, RUNNABLE_JOBS, Taskcluster, own_label
from localstack.fakes.treeherder import Treeherder
from localstack.process import module_environment
from localstack.taskcluster_process import TaskclusterProcess, parameters, settings
from tests.support.fake_taskcluster import (
    INDEX,
    LATEST,
    QUEUE,
    TASK,
    UNKNOWN,
    add_jobs,
    artifact_path,
    ask,
    assert_error,
    content,
    fetch,
    get,
)

SLUGID = r"[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]"
JSON_ARTIFACTS = [
    f"public/{name}.json" for name in ("actions", "full-task-graph", "label-to-taskid", "runnable-jobs", "target-tasks")
]


# Tasks and the Index.


def test_task_ids_have_the_form_of_slugids_and_are_stable() -> None:
    ids = [decision_task_id(project, push) for project in PROJECTS for push in PUSH_IDS]

    assert len(set(ids)) == len(PROJECTS) * len(PUSH_IDS)
    for task in (*ids, *(slugid(number) for number in range(500))):
        assert re.fullmatch(SLUGID, task)
    assert decision_task_id("try", 1001) == TASK == "MWvPg63IRGKkvn07h06ZeQ"


def test_the_index_finds_the_decision_task_of_a_revision_and_the_latest_is_that_of_the_newest_push(
    fake: Taskcluster,
) -> None:
    for project in PROJECTS:
        latest = get(fake, f"{INDEX}/task/gecko.v2.{project}.latest.taskgraph.decision").json()
        assert latest["taskId"] == decision_task_id(project, PUSH_IDS[-1])
        assert latest.keys() == {"namespace", "taskId", "rank", "data", "expires"}
        for push in PUSH_IDS:
            path = f"gecko.v2.{project}.revision.{revision_of(project, push)}.taskgraph.decision"
            found = get(fake, f"{INDEX}/task/{path}").json()
            assert (found["namespace"], found["taskId"]) == (path, decision_task_id(project, push))
    assert_error(
        get(fake, f"{INDEX}/task/gecko.v2.larch.latest.taskgraph.decision"), 404, "ResourceNotFound", "Indexed"
    )
    assert_error(get(fake, f"{INDEX}/task/gecko..try"), 400, "InvalidRequestArguments", "indexPath")


def test_the_index_lists_the_tasks_of_a_namespace_in_pages(fake: Taskcluster) -> None:
    namespace = f"{INDEX}/tasks/gecko.v2.try.latest.taskgraph"

    assert [task["namespace"] for task in get(fake, namespace).json()["tasks"]] == [LATEST]
    assert get(fake, f"{INDEX}/tasks/gecko.v2.try").json() == {"tasks": []}
    fake.set_index("gecko.v2.try.latest.taskgraph.a", TASK)
    first = get(fake, f"{namespace}?limit=1").json()
    rest = get(fake, f"{namespace}?limit=1&continuationToken={first['continuationToken']}").json()
    assert [len(first["tasks"]), len(rest["tasks"]), "continuationToken" in rest] == [1, 1, False]
    found = ask(f"{fake.url}{INDEX}/tasks/indexes", "POST", {"indexes": [LATEST, "not.there"]}).json()
    assert [task["namespace"] for task in found["tasks"]] == [LATEST]


def test_a_decision_task_has_the_definition_of_a_gecko_decision_task(fake: Taskcluster) -> None:
    task = get(fake, f"{QUEUE}/task/{TASK}").json()

    assert task["metadata"]["name"] == "Gecko Decision Task"
    assert task["taskGroupId"] == TASK
    assert f"tc-treeherder.v2.try.{revision_of('try', PUSH_ID)}.201001" in task["routes"]
    assert f"index.{LATEST}" in task["routes"]
    assert task["scopes"] == ["assume:repo:hg.mozilla.org/try:branch:default"]
    assert (task["tags"]["kind"], task["tags"]["project"]) == ("decision-task", "try")
    assert task["extra"]["treeherder"] == {"machine": {"platform": "gecko-decision"}, "symbol": "D"}


def test_the_status_of_one_and_of_several_tasks(fake: Taskcluster) -> None:
    status = get(fake, f"{QUEUE}/task/{TASK}/status").json()["status"]
    several = ask(f"{fake.url}{QUEUE}/tasks/status", "POST", {"taskIds": [TASK, UNKNOWN]}).json()

    assert (status["taskId"], status["taskGroupId"], status["state"]) == (TASK, TASK, "completed")
    [run] = status["runs"]
    assert (run["runId"], run["state"], run["reasonResolved"]) == (0, "completed", "completed")
    assert several == {"statuses": [{"taskId": TASK, "status": status}]}
    assert ask(f"{fake.url}{QUEUE}/tasks/status", "POST", []).status == 400


@pytest.mark.parametrize("task", ["", "x", TASK[:-1] + "B", TASK[:8] + "A" + TASK[9:], TASK + "A", "A" * 22])
def test_a_malformed_task_id_is_400_and_an_unknown_one_404(fake: Taskcluster, task: str) -> None:
    for rest in ("", "/status", "/artifacts", f"/artifacts/{RUNNABLE_JOBS}", f"/runs/0/artifacts/{RUNNABLE_JOBS}"):
        if task:
            found = get(fake, f"{QUEUE}/task/{task}{rest}")
            assert_error(found, 400, "InvalidRequestArguments", "URL parameter 'taskId' given as")
        assert_error(
            get(fake, f"{QUEUE}/task/{UNKNOWN}{rest}"), 404, "ResourceNotFound", "does not correspond|not found"
        )


def test_unknown_paths_queries_and_credentials_are_refused_as_the_services_do(fake: Taskcluster) -> None:
    for path in ("/", "/api/queue/v2/task/x", "/api/hooks/v1/ping", f"{QUEUE}/nothing"):
        found = get(fake, path)
        assert (found.status, found.json()) == (404, {"error": "Not found"})
    assert_error(get(fake, f"{QUEUE}/task/{TASK}?x=1"), 400, "InvalidRequestArguments", "x is not supported")
    assert_error(get(fake, f"{QUEUE}/task/{TASK}/artifacts?limit=x"), 400, "InvalidRequestArguments", "limit='x'")
    refused = ask(f"{fake.url}{QUEUE}/task/{TASK}", Authorization='Hawk id="someone"')
    assert_error(refused, 401, "AuthenticationFailed", "Unauthorized")
    assert_error(get(fake, artifact_path("private/x.json")), 403, "InsufficientScopes", "queue:get-artifact:private/x")


def test_the_api_packs_answers_for_clients_that_accept_gzip(fake: Taskcluster) -> None:
    packed = ask(f"{fake.url}{QUEUE}/task/{TASK}", Accept_Encoding="gzip")

    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == get(fake, f"{QUEUE}/task/{TASK}").body


# Artifacts.


def test_an_artifact_is_a_redirect_to_the_artifact_host_and_its_json_is_gzipped(fake: Taskcluster) -> None:
    url = f"{fake.artifact_url}/{TASK}/0/{RUNNABLE_JOBS}"
    for path in (artifact_path(), artifact_path(RUNNABLE_JOBS.replace("/", "%2F")), artifact_path(run=0)):
        found = get(fake, path)
        assert (found.status, found.headers["Location"]) == (303, url)
        assert found.headers["x-taskcluster-artifact-storage-type"] == "s3"
        assert found.json() == {"storageType": "s3", "url": url}
    assert urlsplit(url).port != urlsplit(fake.url).port

    body = ask(url)
    assert (body.status, body.headers["Content-Encoding"]) == (200, "gzip")
    assert ask(url, If_None_Match=body.headers["ETag"]).status == 304
    assert ask(url, "HEAD").headers["Content-Length"] == str(len(body.body))


def test_the_index_redirects_straight_to_the_artifact(fake: Taskcluster) -> None:
    found = get(fake, f"{INDEX}/task/{LATEST}/artifacts/{RUNNABLE_JOBS}")

    task = decision_task_id("try", PUSH_IDS[-1])
    assert (found.status, found.headers["Location"]) == (303, f"{fake.artifact_url}/{task}/0/{RUNNABLE_JOBS}")
    assert found.body.startswith(b"See Other")
    assert "x-taskcluster-artifact-storage-type" not in found.headers
    # What has no address of its own leads to the Queue, which answers.
    fake.set_artifact(task, "public/error", storage="error")
    for name, status in (("error", 424), ("nothing", 404)):
        found = get(fake, f"{INDEX}/task/{LATEST}/artifacts/public/{name}")
        assert found.headers["Location"] == f"{fake.url}{QUEUE}/task/{task}/artifacts/public%2F{name}"
        assert ask(found.headers["Location"]).status == status
    assert get(fake, f"{INDEX}/task/not.there/artifacts/{RUNNABLE_JOBS}").status == 404


def test_the_queue_lists_artifacts_and_describes_them(fake: Taskcluster) -> None:
    listed = get(fake, f"{QUEUE}/task/{TASK}/artifacts").json()["artifacts"]
    info = get(fake, f"{QUEUE}/task/{TASK}/artifact-info/{RUNNABLE_JOBS}").json()

    assert {each["name"] for each in listed} >= {*JSON_ARTIFACTS, "public/parameters.yml"}
    assert info in listed
    assert (info["storageType"], info["contentType"]) == ("s3", "application/json")
    assert info["contentLength"] == len(fetch(fake).body)
    assert get(fake, f"{QUEUE}/task/{TASK}/runs/0/artifacts").json()["artifacts"] == listed
    assert_error(get(fake, f"{QUEUE}/task/{TASK}/runs/1/artifacts"), 404, "ResourceNotFound", "no run with runId: 1")
    found = get(fake, f"{QUEUE}/task/{TASK}/artifact-content/{RUNNABLE_JOBS}").json()
    assert found == {"storageType": "s3", "url": f"{fake.artifact_url}/{TASK}/0/{RUNNABLE_JOBS}"}


def test_every_artifact_of_every_task_can_be_read(fake: Taskcluster) -> None:
    for project in PROJECTS:
        for push in (PUSH_IDS[0], PUSH_IDS[-1]):
            task, revision = decision_task_id(project, push), revision_of(project, push)
            found = {name: content(fake, name, task) for name in JSON_ARTIFACTS}
            graph, jobs = found[FULL_TASK_GRAPH], found[RUNNABLE_JOBS]
            assert 350 < len(graph) < 450
            assert jobs.keys() == {label for label, node in graph.items() if "treeherder" in node["task"]["extra"]}
            assert set(found["public/target-tasks.json"]) <= graph.keys()
            assert found["public/label-to-taskid.json"].keys() <= graph.keys()
            for label, node in graph.items():
                assert (node["label"], node["task"]["metadata"]["name"]) == (label, label)
                assert set(node["dependencies"].values()) <= graph.keys()
                assert f"tc-treeherder.v2.{project}.{revision}." in node["task"]["routes"][0]
            written = yaml.safe_load(gzip.decompress(fetch(fake, "public/parameters.yml", task).body))
            assert (written["project"], written["head_rev"]) == (project, revision)


def test_the_graph_holds_the_forms_that_gecko_has(fake: Taskcluster) -> None:
    graph, jobs = content(fake, FULL_TASK_GRAPH), content(fake)

    assert {node["task"]["extra"]["treeherder"]["tier"] for label, node in graph.items() if label in jobs} == {1, 2, 3}
    test = graph["test-linux2404-64/debug-mochitest-browser-chrome-3"]
    assert test["dependencies"] == {"build": "build-linux64/debug"}
    assert test["task"]["extra"]["chunks"] == {"current": 3, "total": 6}
    assert jobs["test-linux2404-64/debug-mochitest-browser-chrome-3"] == {
        "collection": {"debug": True},
        "groupName": "Mochitests",
        "groupSymbol": "M",
        "platform": "linux2404-64",
        "symbol": "bc3",
    }
    groups = {job.get("groupSymbol") for job in jobs.values()}
    assert {"M", "R", "W", "X", None} <= groups
    assert [label for label, job in jobs.items() if "collection" not in job]
    assert [label for label, job in jobs.items() if "platform" not in job]
    assert graph.keys() - jobs.keys()


def test_the_labels_of_projects_and_of_pushes_differ_a_little(fake: Taskcluster) -> None:
    graphs = [set(content(fake, RUNNABLE_JOBS, decision_task_id("try", push))) for push in PUSH_IDS]
    for push, labels in zip(PUSH_IDS, graphs, strict=True):
        assert [own_label(other) in labels for other in PUSH_IDS] == [other == push for other in PUSH_IDS]
        assert len(labels & graphs[-1]) > 0.9 * len(labels)
        assert push == PUSH_IDS[-1] or graphs[-1] - labels
    central = set(content(fake, RUNNABLE_JOBS, decision_task_id("mozilla-central", PUSH_ID)))
    assert central - graphs[0]
    assert graphs[0] - central


def test_actions_name_add_new_jobs_with_the_hook_of_the_projects_level(fake: Taskcluster) -> None:
    for project, level in (("try", "1"), ("autoland", "3")):
        task = decision_task_id(project, PUSH_ID)
        found = content(fake, "public/actions.json", task)
        [action] = [action for action in found["actions"] if action["name"] == "add-new-jobs"]
        assert (found["version"], found["variables"], action["context"], action["kind"]) == (1, {}, [], "hook")
        assert re.fullmatch(rf"in-tree-action-{level}-generic/[0-9a-f]{{10}}", action["hookId"])
        assert action["hookPayload"]["decision"]["action"]["taskGroupId"] == task
        assert action["hookPayload"]["decision"]["push"]["revision"] == revision_of(project, PUSH_ID)
        assert action["hookPayload"]["user"]["input"] == {"$eval": "input"}


@pytest.mark.parametrize(
    ("encoding", "label", "packings"),
    [("gzip", "gzip", 1), ("unlabelled", None, 1), ("doubled", "gzip", 2), ("plain", None, 0)],
)
def test_an_artifact_can_be_replaced_in_each_encoding(
    fake: Taskcluster, tmp_path: Path, encoding: str, label: str | None, packings: int
) -> None:
    file = tmp_path / "jobs.json"
    file.write_bytes(b'{"a": {"symbol": "b"}}')
    for body in (file, file.read_bytes()):
        fake.set_artifact(TASK, RUNNABLE_JOBS, body, encoding=encoding)
        found = fetch(fake)
        assert found.headers["Content-Encoding"] == label
        unpacked = found.body
        for _ in range(packings):
            unpacked = gzip.decompress(unpacked)
        assert unpacked == file.read_bytes()
    with pytest.raises(ValueError, match="encoding"):
        fake.set_artifact(TASK, RUNNABLE_JOBS, b"", encoding="zip")


def test_each_storage_type_is_answered_in_its_own_way(fake: Taskcluster) -> None:
    fake.set_artifact(TASK, "public/object", b"1", storage="object", encoding="plain")
    fake.set_artifact(TASK, "public/reference", storage="reference", url="http://169.254.169.254/latest/")
    fake.set_artifact(TASK, "public/link", storage="link", target="public/object")
    fake.set_artifact(TASK, "public/a", storage="link", target="public/b")
    fake.set_artifact(TASK, "public/b", storage="link", target="public/a")
    fake.set_artifact(TASK, "public/error", storage="error", reason="file-missing-on-worker", message="no such file")
    kinds = {name: get(fake, artifact_path(f"public/{name}")) for name in ("object", "reference", "link", "error")}

    storage_types = {name: each.headers["x-taskcluster-artifact-storage-type"] for name, each in kinds.items()}
    assert storage_types == {"object": "object", "reference": "reference", "link": "object", "error": "error"}
    for name in ("object", "link"):
        assert ask(kinds[name].headers["Location"]).body == b"1"
    assert (kinds["reference"].status, kinds["reference"].headers["Location"]) == (
        303,
        "http://169.254.169.254/latest/",
    )
    assert (kinds["error"].status, kinds["error"].json()) == (
        424,
        {"reason": "file-missing-on-worker", "message": "no such file"},
    )
    assert_error(get(fake, artifact_path("public/a")), 400, "InputError", "cycle")
    assert_error(get(fake, artifact_path("public/nothing")), 404, "ResourceNotFound", "^Artifact not found$")
    assert get(fake, f"{QUEUE}/task/{TASK}/artifact-info/public/link").json()["storageType"] == "link"
    assert get(fake, f"{QUEUE}/task/{TASK}/artifact-content/public/error").json()["storageType"] == "error"


def test_an_artifact_expires_at_the_queue_or_between_queue_and_host(fake: Taskcluster) -> None:
    fake.expire_artifact(TASK, RUNNABLE_JOBS, at="host")
    gone = fetch(fake)
    assert (gone.status, gone.headers["Content-Type"], b"NoSuchKey" in gone.body) == (404, "application/xml", True)

    fake.expire_artifact(TASK, RUNNABLE_JOBS)
    assert_error(get(fake, artifact_path()), 410, "ResourceExpired", "expired")
    # It is still listed.
    assert RUNNABLE_JOBS in str(get(fake, f"{QUEUE}/task/{TASK}/artifacts").json())
    fake.remove_artifact(TASK, RUNNABLE_JOBS)
    assert_error(get(fake, artifact_path()), 404, "ResourceNotFound", "Artifact not found")


# States.


@pytest.mark.parametrize("state", ["unscheduled", "pending", "running", "failed", "exception"])
def test_the_index_knows_no_task_that_did_not_complete(fake: Taskcluster, state: str) -> None:
    newest, older = (decision_task_id("try", push) for push in (PUSH_IDS[-1], PUSH_IDS[-2]))
    revision = f"{INDEX}/task/gecko.v2.try.revision.{revision_of('try', PUSH_IDS[-1])}.taskgraph.decision"
    fake.set_state(newest, state)

    assert get(fake, f"{QUEUE}/task/{newest}/status").json()["status"]["state"] == state
    assert get(fake, revision).status == 404
    assert get(fake, f"{INDEX}/task/{LATEST}").json()["taskId"] == older
    fake.set_state(newest, "completed")
    assert get(fake, revision).json()["taskId"] == newest
    assert get(fake, f"{INDEX}/task/{LATEST}").json()["taskId"] == newest


def test_a_task_that_is_not_resolved_has_no_artifacts(fake: Taskcluster) -> None:
    for state, runs in (("unscheduled", 0), ("pending", 1), ("running", 1)):
        fake.set_state(TASK, state)
        assert len(get(fake, f"{QUEUE}/task/{TASK}/status").json()["status"]["runs"]) == runs
        assert_error(get(fake, artifact_path()), 404, "ResourceNotFound", "Artifact not found|any runs")


def test_a_failed_task_has_artifacts_or_not(fake: Taskcluster) -> None:
    fake.set_state(TASK, "failed")
    assert fetch(fake).status == 200
    fake.set_state(TASK, "failed", artifacts=False)
    assert get(fake, artifact_path()).status == 404
    fake.set_state(TASK, "exception", reason="canceled", artifacts=False)
    [run] = get(fake, f"{QUEUE}/task/{TASK}/status").json()["status"]["runs"]
    assert (run["state"], run["reasonResolved"]) == ("exception", "canceled")


def test_a_retried_task_has_its_artifacts_in_the_first_run(fake: Taskcluster) -> None:
    for state in ("pending", "completed", "exception"):
        fake.set_state(TASK, state, retried=True)
        first, last = get(fake, f"{QUEUE}/task/{TASK}/status").json()["status"]["runs"]
        assert (first["state"], first["reasonResolved"], last["state"]) == ("exception", "worker-shutdown", state)
        assert_error(get(fake, artifact_path()), 404, "ResourceNotFound", "Artifact not found")
        assert get(fake, artifact_path(run=1)).status == 404
        assert ask(get(fake, artifact_path(run=0)).headers["Location"]).status == 200
    fake.set_artifact(TASK, RUNNABLE_JOBS, b"{}", run=1)
    assert [get(fake, artifact_path(run=run)).status for run in (0, 1)] == [404, 303]


def test_decision_tasks_and_entries_of_the_index_can_be_added_and_removed(fake: Taskcluster) -> None:
    again = fake.add_decision_task("try", PUSH_ID)
    other = fake.add_decision_task("mozilla-beta", revision="f" * 40)

    assert again != TASK
    assert get(fake, f"{INDEX}/task/{LATEST}").json()["taskId"] == again
    path = f"{INDEX}/task/gecko.v2.mozilla-beta.revision.{'f' * 40}.taskgraph.decision"
    assert get(fake, path).json()["taskId"] == other
    assert "build-linux64/opt" in content(fake, RUNNABLE_JOBS, other)
    fake.set_index(LATEST, other)
    assert get(fake, f"{INDEX}/task/{LATEST}").json()["taskId"] == other
    fake.set_index(LATEST, None)
    assert get(fake, f"{INDEX}/task/{LATEST}").status == 404
    fake.remove_task(other)
    assert get(fake, f"{QUEUE}/task/{other}").status == get(fake, path).status == 404
    with pytest.raises(ValueError, match="no task"):
        fake.set_state(UNKNOWN, "failed")


# As programs.


def test_it_runs_as_a_program_beside_its_artifact_host_and_shows_actions_in_treeherder(
    tmp_path: Path, treeherder: Treeherder
) -> None:
    fake = TaskclusterProcess(tmp_path / "log", treeherder.url)
    try:
        fake.check()
        assert fake.decision_task_id == TASK
        found = ask(f"{fake.url}{artifact_path()}")
        assert found.headers["Location"] == f"{fake.artifact_url}/{TASK}/0/{RUNNABLE_JOBS}"
        given = parameters(fake.url, fake.artifact_url)
        assert given["TaskclusterUrl"] == fake.url
        assert json.loads(given["TaskclusterProjects"])["autoland"] == "gecko.v2.autoland"
        assert f"http://{given['TaskclusterArtifactHosts']}" == fake.artifact_url
        assert list(settings(fake.url, fake.artifact_url).values()) == list(given.values())
        task = add_jobs(fake, "test-linux2404-64/opt-xpcshell-1")
        jobs = f"{treeherder.url}/api/project/try/jobs/?push_id={PUSH_ID}&job_type_symbol=add-new"
        deadline = time.monotonic() + 10
        while [job["task_id"] for job in ask(jobs).json()["results"]] != [task]:
            assert time.monotonic() < deadline
    finally:
        fake.stop()


def test_both_fakes_need_only_the_standard_library() -> None:
    for name in ("treeherder", "taskcluster"):
        command = [sys.executable, "-I", "-S", "-c"]
        path = module_environment()["PYTHONPATH"]
        code = f"import sys; sys.path.append({path!r}); import localstack.fakes.{name}"
        subprocess.run([*command, code], check=True)
