"""Action tasks of the fake Taskcluster do what gecko's do, and the tasks that they create run."""

import gzip
import json
import time
from typing import Any

import pytest

from localstack.fakes.pushes import PUSH_ID, decision_task_id, revision_of
from localstack.fakes.taskcluster import FULL_TASK_GRAPH, Taskcluster
from tests.support.fake_taskcluster import (
    INDEX,
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
    payload_of,
    state_of,
    trigger,
)

NAME = "Action: Add new jobs"
BUILD, LABEL, OTHER = "build-linux64/opt", "test-linux2404-64/opt-xpcshell-1", "test-linux2404-64/opt-xpcshell-2"
# Pushes to try have no build for these.
MISSING = "build-android-x86_64/opt"
ON_ANDROID = [f"test-android-em-14-x86_64/opt-xpcshell-{chunk}" for chunk in (2, 3)]
TASKS, TASK_GRAPH, TO_RUN = (f"public/{name}.json" for name in ("label-to-taskid", "task-graph", "to-run"))


def ended(fake: Taskcluster, *labels: str, **options: Any) -> str:
    """Trigger an action, and let it end."""
    task = add_jobs(fake, *labels, **options)
    assert [fake.advance(task), fake.advance(task), fake.advance(task)] == [1, 1, 0]
    return task


def log_of(fake: Taskcluster, task: str) -> str:
    return gzip.decompress(fetch(fake, "public/logs/live_backing.log", task).body).decode()


def created_by(fake: Taskcluster, action: str) -> dict[str, str]:
    """The ids of the tasks that an action created, by their labels."""
    [found] = [each for each in fake.actions() if each["task_id"] == action]
    return {label: task for task, label in found["created"].items()}


def artifacts_of(fake: Taskcluster, task: str) -> list[str]:
    return [each["name"] for each in get(fake, f"{QUEUE}/task/{task}/artifacts").json()["artifacts"]]


def indexed(fake: Taskcluster, task: str) -> int:
    path = f"gecko.v2.try.revision.{revision_of('try', PUSH_ID)}.taskgraph.actions.{task}"
    return get(fake, f"{INDEX}/task/{path}").status


# The action itself.


def test_an_action_task_has_the_definition_of_geckos(fake: Taskcluster) -> None:
    task = get(fake, f"{QUEUE}/task/{add_jobs(fake, LABEL)}").json()

    revision = revision_of("try", PUSH_ID)
    assert (task["metadata"]["name"], task["taskGroupId"], task["schedulerId"]) == (NAME, TASK, "gecko-level-1")
    assert task["metadata"]["description"].endswith(f"Action triggered by clientID `{fake.client_id}`")
    assert (task["tags"]["kind"], task["tags"]["project"]) == ("action-callback", "try")
    assert (task["priority"], task["retries"], task["taskQueueId"]) == ("lowest", 5, "gecko-1/decision")
    assert task["routes"][0] == f"tc-treeherder.v2.try.{revision}"
    assert task["routes"][1].startswith(f"index.gecko.v2.try.revision.{revision}.taskgraph.actions.")
    assert task["routes"][2].startswith("index.gecko.v2.try.pushlog-id.201001.actions.")
    assert json.loads(task["payload"]["env"]["ACTION_INPUT"]) == {"tasks": [LABEL]}
    treeherder = task["extra"]["treeherder"]
    assert (treeherder["groupSymbol"], treeherder["symbol"]) == ("AC", "add-new")


def test_an_action_is_pending_runs_and_completes_and_then_the_index_has_it(fake: Taskcluster) -> None:
    task = add_jobs(fake, LABEL)

    assert (state_of(fake, task), indexed(fake, task)) == ("pending", 404)
    fake.advance()
    assert (state_of(fake, task), indexed(fake, task)) == ("running", 404)
    assert get(fake, artifact_path("public/logs/live.log", task)).headers["x-taskcluster-artifact-storage-type"] == (
        "reference"
    )
    assert get(fake, artifact_path(TASKS, task)).status == 404
    fake.advance()
    assert (state_of(fake, task), indexed(fake, task)) == ("completed", 200)
    assert artifacts_of(fake, task) == [
        TASKS,
        "public/logs/live.log",
        "public/logs/live_backing.log",
        TASK_GRAPH,
        TO_RUN,
    ]
    assert fetch(fake, "public/logs/live.log", task).status == 200
    [run] = get(fake, f"{QUEUE}/task/{task}/status").json()["status"]["runs"]
    assert run["scheduled"] <= run["started"] <= run["resolved"]


def test_requested_labels_are_always_new_and_what_they_need_is_reused(fake: Taskcluster) -> None:
    before = content(fake, "public/label-to-taskid.json")
    assert BUILD in before
    first, second = ended(fake, LABEL, BUILD), ended(fake, LABEL)

    found = content(fake, TASKS, first)
    assert found.keys() == {LABEL, BUILD}
    assert found[BUILD] != before[BUILD]
    graph = content(fake, TASK_GRAPH, first)
    assert {node["label"]: task for task, node in graph.items()} == found == created_by(fake, first)
    assert graph[found[LABEL]]["dependencies"] == {"build": found[BUILD]}
    assert content(fake, TO_RUN, first) == [LABEL, BUILD]
    # The build of the first action, which the Index has.
    assert content(fake, TASKS, second) == {LABEL: created_by(fake, second)[LABEL], BUILD: found[BUILD]}
    assert created_by(fake, second).keys() == {LABEL}


def test_a_build_that_is_missing_is_made_once_and_later_actions_reuse_it(fake: Taskcluster) -> None:
    assert MISSING not in content(fake, "public/label-to-taskid.json")
    first = created_by(fake, ended(fake, *ON_ANDROID))
    second = created_by(fake, ended(fake, ON_ANDROID[0]))

    assert first.keys() == {MISSING, *ON_ANDROID}
    assert second.keys() == {ON_ANDROID[0]}
    definition = get(fake, f"{QUEUE}/task/{second[ON_ANDROID[0]]}").json()
    assert first[MISSING] in definition["dependencies"]


def test_two_actions_at_once_each_make_the_missing_build(fake: Taskcluster) -> None:
    tasks = [add_jobs(fake, label) for label in ON_ANDROID]
    fake.advance()
    fake.advance()

    assert [MISSING in created_by(fake, task) for task in tasks] == [True, True]


def test_a_failed_action_is_not_in_the_index_and_what_it_made_is_not_reused(fake: Taskcluster) -> None:
    fake.set_creation_error(ON_ANDROID[0])
    first = ended(fake, ON_ANDROID[0])
    second = ended(fake, ON_ANDROID[1])

    assert (state_of(fake, first), indexed(fake, first)) == ("failed", 404)
    assert MISSING in created_by(fake, first)
    assert MISSING in created_by(fake, second)


def test_one_unknown_label_fails_the_whole_action_before_anything_is_created(fake: Taskcluster) -> None:
    task = ended(fake, LABEL, "test-nothing")

    assert (state_of(fake, task), created_by(fake, task)) == ("failed", {})
    assert artifacts_of(fake, task) == ["public/logs/live.log", "public/logs/live_backing.log"]
    *_, reason, end = log_of(fake, task).splitlines()
    assert reason == "Exception: test-nothing was not found in the task-graph"
    assert end.endswith("Unsuccessful task run")
    [run] = get(fake, f"{QUEUE}/task/{task}/status").json()["status"]["runs"]
    assert (run["state"], run["reasonResolved"]) == ("failed", "failed")


def test_no_labels_create_nothing_and_a_missing_list_fails(fake: Taskcluster) -> None:
    task = ended(fake)
    assert (state_of(fake, task), content(fake, TASKS, task), content(fake, TO_RUN, task)) == ("completed", {}, [])
    task = ended(fake, tasks={})
    assert "TypeError" in log_of(fake, task)
    payload = payload_of(fake)
    for payload["user"]["input"] in ({}, None):
        task = trigger(fake, payload).json()["taskId"]
        fake.finish()
        assert "KeyError: 'tasks'" in log_of(fake, task)


def test_another_action_completes_and_does_nothing_and_nonsense_fails(fake: Taskcluster) -> None:
    payload = payload_of(fake, LABEL)
    payload["decision"]["action"] |= {"name": "retrigger", "cb_name": "retrigger"}
    task = trigger(fake, payload).json()["taskId"]
    fake.finish()
    assert (state_of(fake, task), indexed(fake, task), created_by(fake, task)) == ("completed", 200, {})
    # It is in the Index, and has no labels.
    assert state_of(fake, ended(fake, LABEL)) == "completed"
    fake.set_artifact(TASK, FULL_TASK_GRAPH, json.dumps({LABEL: {"dependencies": 1}}).encode())
    assert "AttributeError" in log_of(fake, ended(fake, LABEL))


def test_duplicate_labels_collapse_and_labels_without_data_for_treeherder_are_known(fake: Taskcluster) -> None:
    dummy = "post-balrog-dummy-linux64-1"
    assert created_by(fake, ended(fake, LABEL, dummy, LABEL)).keys() == {LABEL, dummy}


def test_with_times_everything_is_created_so_often_and_the_last_ids_are_listed(fake: Taskcluster) -> None:
    task = ended(fake, ON_ANDROID[0], times=2)

    graph, tasks = content(fake, TASK_GRAPH, task), content(fake, TASKS, task)
    labels = sorted(node["label"] for node in graph.values())
    assert labels == sorted([MISSING, ON_ANDROID[0]] * 2)
    assert {f"public/task-graph-{number}.json" for number in (0, 1)} <= set(artifacts_of(fake, task))
    assert tasks == content(fake, "public/label-to-taskid-1.json", task)


def test_a_label_that_cannot_be_created_takes_its_dependents_along_and_the_rest_is_created(fake: Taskcluster) -> None:
    fake.set_creation_error(MISSING, "Error: Queue is tired")
    task = ended(fake, *ON_ANDROID, LABEL)

    assert state_of(fake, task) == "failed"
    assert created_by(fake, task).keys() == {LABEL}
    # The numbered ones alone, which name tasks that are not there.
    assert artifacts_of(fake, task) == [
        "public/label-to-taskid-0.json",
        "public/logs/live.log",
        "public/logs/live_backing.log",
        "public/task-graph-0.json",
        "public/to-run-0.json",
    ]
    planned = content(fake, "public/label-to-taskid-0.json", task)
    assert {MISSING, *ON_ANDROID, LABEL} <= planned.keys()
    assert get(fake, f"{QUEUE}/task/{planned[MISSING]}").status == 404
    assert f"Could not create '{MISSING}':\n\nError: Queue is tired" in log_of(fake, task)
    # They depend on the action, which did not complete.
    fake.finish()
    assert state_of(fake, planned[LABEL]) == "unscheduled"


def test_the_decision_task_is_found_by_the_index_and_its_artifacts_count(fake: Taskcluster) -> None:
    graph = {"a": {"dependencies": {}}, "b": {"dependencies": {"build": "a"}}}
    fake.set_artifact(TASK, FULL_TASK_GRAPH, json.dumps(graph).encode())
    fake.set_artifact(TASK, "public/label-to-taskid.json", b"{}")
    assert created_by(fake, ended(fake, "b")).keys() == {"a", "b"}
    fake.remove_artifact(TASK, FULL_TASK_GRAPH)
    assert "404 Client Error" in log_of(fake, ended(fake, "b"))
    fake.set_index(f"gecko.v2.try.revision.{revision_of('try', PUSH_ID)}.taskgraph.decision", None)
    assert "taskgraph.decision not found" in log_of(fake, ended(fake, "b"))


@pytest.mark.parametrize("reason", ["deadline-exceeded", "canceled", "claim-expired"])
def test_an_action_can_end_without_its_work(fake: Taskcluster, reason: str) -> None:
    fake.set_result(NAME, "exception", reason=reason)
    task = ended(fake, LABEL)
    assert (state_of(fake, task), created_by(fake, task)) == ("exception", {})
    # What is left of its log leads to a worker that is gone.
    assert artifacts_of(fake, task) == ["public/logs/live.log"]
    [run] = get(fake, f"{QUEUE}/task/{task}/status").json()["status"]["runs"]
    assert run["reasonResolved"] == reason
    fake.set_result(NAME, "failed")
    task = ended(fake, LABEL)
    assert (state_of(fake, task), created_by(fake, task)) == ("failed", {})
    assert artifacts_of(fake, task) == ["public/logs/live.log", "public/logs/live_backing.log"]


def test_an_action_whose_worker_went_away_runs_again(fake: Taskcluster) -> None:
    fake.set_result(NAME, "retried")
    task = add_jobs(fake, LABEL)
    states = []
    while fake.advance(task):
        states.append(state_of(fake, task))

    assert states == ["running", "pending", "running", "completed"]
    status = get(fake, f"{QUEUE}/task/{task}/status").json()["status"]
    assert [run["reasonResolved"] for run in status["runs"]] == ["worker-shutdown", "completed"]
    assert status["retriesLeft"] == 4
    assert get(fake, artifact_path(TASKS, task, run=0)).status == 404
    assert get(fake, artifact_path(TASKS, task)).status == 303


# What it creates.


def test_created_tasks_wait_for_the_action_and_for_their_build(fake: Taskcluster) -> None:
    task = ended(fake, *ON_ANDROID)
    created = created_by(fake, task)
    build, test = created[MISSING], created[ON_ANDROID[0]]

    assert (state_of(fake, build), state_of(fake, test)) == ("pending", "unscheduled")
    assert get(fake, f"{QUEUE}/task/{test}/status").json()["status"]["runs"] == []
    fake.advance()
    fake.advance()
    assert (state_of(fake, build), state_of(fake, test)) == ("completed", "pending")
    fake.finish()
    assert {state_of(fake, each) for each in created.values()} == {"completed"}
    definition = get(fake, f"{QUEUE}/task/{test}").json()
    assert (definition["taskGroupId"], definition["extra"]["parent"]) == (TASK, task)
    assert definition["dependencies"] == [build, task]
    assert definition["metadata"]["name"] == definition["tags"]["label"] == ON_ANDROID[0]
    assert definition["created"] < definition["deadline"] < definition["expires"]


def test_a_test_whose_build_failed_stays_unscheduled_until_the_build_is_made_anew(fake: Taskcluster) -> None:
    fake.set_result(MISSING, "failed")
    first = created_by(fake, ended(fake, ON_ANDROID[0]))
    fake.finish()
    assert [state_of(fake, first[each]) for each in (MISSING, ON_ANDROID[0])] == ["failed", "unscheduled"]

    # The failed build is reused as it is, unless it is asked for.
    fake.set_result(MISSING, "success")
    second = created_by(fake, ended(fake, ON_ANDROID[0]))
    third = created_by(fake, ended(fake, ON_ANDROID[0], MISSING))
    fake.finish()
    assert second.keys() == {ON_ANDROID[0]}
    assert state_of(fake, second[ON_ANDROID[0]]) == "unscheduled"
    assert {state_of(fake, task) for task in third.values()} == {"completed"}
    # Its time is over.
    fake.set_state(second[ON_ANDROID[0]], "exception", reason="deadline-exceeded")
    assert state_of(fake, second[ON_ANDROID[0]]) == "exception"


def test_a_test_on_a_build_of_the_push_that_failed_stays_unscheduled(fake: Taskcluster) -> None:
    build = content(fake, "public/label-to-taskid.json")[BUILD]
    assert state_of(fake, build) == "completed"
    fake.set_state(build, "failed")
    test = created_by(fake, ended(fake, LABEL))[LABEL]
    fake.finish()
    assert state_of(fake, test) == "unscheduled"
    fake.set_state(build, "completed")
    assert state_of(fake, test) == "pending"


@pytest.mark.parametrize(
    ("result", "options", "state", "reason"),
    [
        ("success", {}, "completed", "completed"),
        ("failed", {}, "failed", "failed"),
        ("exception", {"reason": "canceled"}, "exception", "canceled"),
        ("exception", {}, "exception", "malformed-payload"),
        ("pending", {}, "pending", None),
        ("running", {}, "running", None),
    ],
)
def test_each_result_of_a_label(
    fake: Taskcluster, result: str, options: dict[str, str], state: str, reason: str | None
) -> None:
    fake.set_result(LABEL, result, **options)
    created = created_by(fake, ended(fake, LABEL, OTHER))
    fake.finish()

    [run] = get(fake, f"{QUEUE}/task/{created[LABEL]}/status").json()["status"]["runs"]
    assert (run["state"], run.get("reasonResolved")) == (state, reason)
    assert state_of(fake, created[OTHER]) == "completed"
    # It goes on when it may.
    fake.set_result(LABEL, "success")
    fake.finish()
    assert state_of(fake, created[LABEL]) == (state if reason else "completed")


def test_a_result_of_all_labels_leaves_actions_alone(fake: Taskcluster) -> None:
    fake.set_result("*", "failed")
    task = ended(fake, LABEL)
    fake.finish()

    assert state_of(fake, task) == "completed"
    assert state_of(fake, created_by(fake, task)[LABEL]) == "failed"
    with pytest.raises(ValueError, match="a result is one of"):
        fake.set_result("*", "other")


def test_tasks_that_a_decision_task_created_are_there(fake: Taskcluster) -> None:
    for project in ("try", "autoland"):
        decision = decision_task_id(project, PUSH_ID)
        tasks = content(fake, "public/label-to-taskid.json", decision)
        definition = get(fake, f"{QUEUE}/task/{tasks[BUILD]}").json()
        assert (definition["metadata"]["name"], definition["taskGroupId"]) == (BUILD, decision)
        assert state_of(fake, tasks[BUILD]) == "completed"
        found = ask(f"{fake.url}{QUEUE}/tasks/status", "POST", {"taskIds": [*tasks.values()]}).json()["statuses"]
        assert len(found) == len(tasks)


def test_statuses_come_in_pages_and_leave_out_unknown_tasks(fake: Taskcluster) -> None:
    created = list(created_by(fake, ended(fake, LABEL, OTHER)).values())
    url = f"{fake.url}{QUEUE}/tasks/status"
    asked = {"taskIds": [UNKNOWN, *created, TASK]}

    whole = ask(url, "POST", asked).json()
    assert [each["taskId"] for each in whole["statuses"]] == [*created, TASK]
    assert [each["status"]["state"] for each in whole["statuses"]] == ["pending", "pending", "completed"]
    first = ask(f"{url}?limit=2", "POST", asked).json()
    rest = ask(f"{url}?limit=2&continuationToken={first['continuationToken']}", "POST", asked).json()
    assert first["statuses"] + rest["statuses"] == whole["statuses"]
    assert "continuationToken" not in rest
    many = ask(url, "POST", {"taskIds": [TASK] * 1500}).json()
    assert (len(many["statuses"]), many["continuationToken"]) == (1000, "1000")
    assert_error(ask(url, "POST", {"taskIds": ["x"]}), 400, "InputValidationError", "Schema Validation")


def test_everything_that_an_action_created_depends_on_it(fake: Taskcluster) -> None:
    task = ended(fake, *ON_ANDROID)
    path = f"{QUEUE}/task/{task}/dependents"

    found = get(fake, path).json()
    assert found["taskId"] == task
    assert {each["status"]["taskId"] for each in found["tasks"]} == set(created_by(fake, task).values())
    assert {each["task"]["metadata"]["name"] for each in found["tasks"]} == {MISSING, *ON_ANDROID}
    assert len(get(fake, f"{path}?limit=2").json()["tasks"]) == 2
    assert get(fake, f"{QUEUE}/task/{UNKNOWN}/dependents").status == 404


# Time.


def until(found: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_with_a_pace_everything_happens_by_itself(fake: Taskcluster) -> None:
    fake.set_pace(0.05)
    task = add_jobs(fake, ON_ANDROID[0])
    until(lambda: state_of(fake, task) == "completed")
    created = created_by(fake, task)
    until(lambda: all(state_of(fake, each) == "completed" for each in created.values()))


def test_a_pace_that_is_set_counts_for_tasks_that_wait_already(fake: Taskcluster) -> None:
    task = add_jobs(fake, LABEL)
    time.sleep(0.1)
    assert state_of(fake, task) == "pending"
    fake.set_pace(0)
    until(lambda: state_of(fake, task) == "completed")
    with pytest.raises(ValueError, match="a pace is a number"):
        fake.set_pace(-1)


def test_a_state_that_is_set_stays(fake: Taskcluster) -> None:
    task = add_jobs(fake, LABEL)
    fake.set_state(task, "running")
    fake.finish()
    assert state_of(fake, task) == "running"


def test_a_thousand_labels_are_created_in_a_moment(fake: Taskcluster) -> None:
    labels = [f"test-linux2404-64/opt-mochitest-{number}" for number in range(1000)]
    node = content(fake, FULL_TASK_GRAPH)[LABEL]
    graph = {label: node | {"label": label, "dependencies": {}} for label in labels}
    fake.set_artifact(TASK, FULL_TASK_GRAPH, json.dumps(graph).encode())
    begin = time.monotonic()
    task = ended(fake, *labels)

    assert time.monotonic() - begin < 5
    assert len(content(fake, TASKS, task)) == len(created_by(fake, task)) == 1000
