"""Hooks of the fake Taskcluster: each answer of the real service to a call."""

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from localstack.fakes.pushes import PUSH_IDS, decision_task_id
from localstack.fakes.taskcluster import PROJECTS, Taskcluster
from localstack.fakes.taskcluster.decoys import KINDS
from tests.support.fake_taskcluster import (
    HOOKS,
    QUEUE,
    TASK,
    action_of,
    add_jobs,
    assert_error,
    content,
    get,
    hook_path,
    payload_of,
    state_of,
    trigger,
)

LABEL = "test-linux2404-64/opt-xpcshell-1"


def last_fires(fake: Taskcluster, query: str = "") -> list[dict[str, Any]]:
    return get(fake, f"{hook_path(fake)}/last-fires{query}").json()["lastFires"]


def test_every_push_has_a_hook_with_the_schema_of_geckos(fake: Taskcluster) -> None:
    for project in PROJECTS:
        for push in (PUSH_IDS[0], PUSH_IDS[-1]):
            decision = decision_task_id(project, push)
            hook = get(fake, hook_path(fake, decision)).json()
            action = action_of(fake, decision)
            assert (hook["hookGroupId"], hook["hookId"]) == (action["hookGroupId"], action["hookId"])
            schema = hook["triggerSchema"]
            assert schema["required"] == ["decision", "user"]
            for inner in (
                schema,
                *schema["properties"].values(),
                schema["properties"]["decision"]["properties"]["push"],
            ):
                assert inner["additionalProperties"] is False


def test_each_call_makes_another_task(fake: Taskcluster) -> None:
    answers = [trigger(fake, payload_of(fake, LABEL)).json() for _ in range(2)]

    first, second = (answer["taskId"] for answer in answers)
    assert answers == [{"taskId": task, "status": {"taskId": task}} for task in (first, second)]
    assert first != second
    assert [action["task_id"] for action in fake.actions()] == [first, second]


def test_an_extra_key_in_the_input_comes_back_in_the_task(fake: Taskcluster) -> None:
    marker = "01KAS4B0MRJ6WJ0RGDX8T0E4JQ.1"
    task = add_jobs(fake, LABEL, request=marker)

    definition = get(fake, f"{QUEUE}/task/{task}").json()
    assert definition["extra"]["action"] == {
        "name": "add-new-jobs",
        "context": {
            "taskGroupId": TASK,
            "taskId": None,
            "input": {"tasks": [LABEL], "request": marker},
            "clientId": fake.client_id,
        },
    }
    assert [action["task_id"] for action in fake.actions(marker)] == [task]
    assert fake.actions("another") == []


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("taskId",), TASK, "^data must NOT have additional properties$"),
        (("user",), None, "^data must have required property 'user'$"),
        (("user", "x"), "", "^data/user must NOT have additional properties$"),
        (("user", "input"), [], "^data/user/input must be object; .*must match a schema in anyOf$"),
        (("user", "taskId"), 1, "^data/user/taskId must be string; "),
        (("decision", "push", "x"), "", "^data/decision/push must NOT have additional properties$"),
        (("decision", "push", "revision"), 1, "^data/decision/push/revision must be string$"),
        (("decision", "action", "symbol"), None, "^data/decision/action must have required property 'symbol'$"),
    ],
)
def test_a_payload_that_the_schema_refuses_is_400(
    fake: Taskcluster, place: tuple[str, ...], value: object, message: str
) -> None:
    payload = payload_of(fake, LABEL)
    inner = payload
    for name in place[:-1]:
        inner = inner[name]
    if value is None:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    assert_error(trigger(fake, payload), 400, "InputError", message)
    assert fake.actions() == []
    assert get(fake, f"{hook_path(fake)}/last-fires").status == 404


def test_a_payload_that_is_no_object_is_400_and_one_of_more_than_10_megabytes_500(fake: Taskcluster) -> None:
    assert_error(trigger(fake, []), 400, "InputValidationError", "Schema Validation Failed!")
    large = payload_of(fake, LABEL, x="x" * 11_000_000)
    assert_error(trigger(fake, large), 500, "InternalServerError", "incidentId")
    assert trigger(fake, payload_of(fake, LABEL, x="x" * 2_000_000)).status == 200


def test_what_is_not_there_is_404(fake: Taskcluster) -> None:
    group = f"{HOOKS}/hooks/project-gecko"
    missing = f"{group}/in-tree-action-1-generic%2F0000000000"

    assert_error(trigger(fake, payload_of(fake, LABEL), path=missing), 404, "ResourceNotFound", "^No such hook$")
    assert_error(get(fake, missing), 404, "ResourceNotFound", "^No such hook$")
    for path in (missing, hook_path(fake)):
        found = get(fake, f"{path}/last-fires")
        assert_error(found, 404, "ResourceNotFound", "^No such hook or never fired$")
    # A slash in the id that is not encoded is another path.
    found = get(fake, hook_path(fake).replace("%2F", "/") + "/last-fires")
    assert (found.status, found.json()) == (404, {"error": "Not found"})
    path, payload, action = hook_path(fake), payload_of(fake, LABEL), action_of(fake)
    fake.remove_hook(f"{action['hookGroupId']}/{action['hookId']}")
    assert_error(trigger(fake, payload, path=path), 404, "ResourceNotFound", "^No such hook$")


def test_the_last_fires_are_listed_newest_first_in_pages_with_the_states_of_their_tasks(fake: Taskcluster) -> None:
    tasks = [add_jobs(fake, LABEL) for _ in range(3)]
    fake.advance(tasks[0])

    found = last_fires(fake)
    assert [fire["taskId"] for fire in found] == tasks[::-1]
    assert [fire["taskState"] for fire in found] == ["pending", "pending", "running"]
    assert {(fire["result"], fire["error"], fire["firedBy"]) for fire in found} == {("success", "", "triggerHook")}
    assert found == sorted(found, key=lambda fire: fire["taskCreateTime"], reverse=True)
    path = f"{hook_path(fake)}/last-fires?limit=2"
    first = get(fake, path).json()
    second = get(fake, f"{path}&continuationToken={first['continuationToken']}").json()
    assert first["lastFires"] + second["lastFires"] == found
    assert "continuationToken" not in second


def test_a_hook_that_declines_answers_with_an_empty_object_and_leaves_no_row(fake: Taskcluster) -> None:
    fake.set_firing("declined", times=1)

    found = trigger(fake, payload_of(fake, LABEL))
    assert (found.status, found.json()) == (200, {})
    assert get(fake, f"{hook_path(fake)}/last-fires").status == 404
    assert trigger(fake, payload_of(fake, LABEL)).json().keys() == {"taskId", "status"}


@pytest.mark.parametrize(
    ("kind", "status", "code", "message"),
    [
        ("rendering", 400, "InputError", "^While firing hook: InterpreterError"),
        ("creation", 400, "InputError", "^While calling createTask: Error"),
        ("queue_down", 400, "InputError", "^While firing hook: Error: Unknown Server Error$"),
        ("refused", 403, "InsufficientScopes", "^The role `hook-id:project-gecko/in-tree-action-1-generic/"),
    ],
)
def test_a_call_that_fails_names_in_its_row_a_task_that_is_not_there(
    fake: Taskcluster, kind: str, status: int, code: str, message: str
) -> None:
    fake.set_firing(kind)
    assert_error(trigger(fake, payload_of(fake, LABEL)), status, code, message)
    [fire] = last_fires(fake)
    assert (fire["result"], fire["taskState"]) == ("error", "unknown")
    assert fire["error"]
    assert get(fake, f"{QUEUE}/task/{fire['taskId']}").status == 404
    assert fake.actions() == []
    fake.set_firing("none")
    assert trigger(fake, payload_of(fake, LABEL)).status == 200


def test_the_payload_of_another_level_is_refused_by_the_role_of_the_hook(fake: Taskcluster) -> None:
    decision = decision_task_id("autoland", PUSH_IDS[0])
    payload = payload_of(fake, LABEL, decision=decision)

    found = trigger(fake, payload, path=hook_path(fake))
    assert_error(found, 403, "InsufficientScopes", "The role `hook-id:.*does not have sufficient scopes to create")
    assert trigger(fake, payload, decision).status == 200


def test_a_queue_that_hangs_makes_a_400_behind_which_a_task_appears(fake: Taskcluster) -> None:
    fake.set_firing("hanging", seconds=0.5, later=60)
    path, payload = hook_path(fake), payload_of(fake, LABEL, request="a marker")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(trigger, fake, payload, path=path)
        time.sleep(0.2)
        # A row appears when createTask has ended, and not before.
        assert get(fake, f"{path}/last-fires").status == 404
        assert_error(answer.result(), 400, "InputError", "^While firing hook: TimeoutError")

    [fire] = last_fires(fake)
    assert (fire["result"], fire["taskState"], fake.actions()) == ("error", "unknown", [])
    fake.advance()
    [fire] = last_fires(fake)
    assert (fire["result"], fire["taskState"]) == ("error", "pending")
    [action] = fake.actions("a marker")
    assert action["task_id"] == fire["taskId"]


def test_a_task_behind_a_400_appears_by_itself(fake: Taskcluster) -> None:
    fake.set_firing("hanging", seconds=0, later=0.1)
    trigger(fake, payload_of(fake, LABEL))
    deadline = time.monotonic() + 10
    while not fake.actions():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("kind", "options", "status"),
    [
        ("too_many_requests", {"retry_after": 7}, 429),
        ("unavailable", {}, 503),
        ("unavailable", {"status": 500}, 500),
        ("html", {}, 502),
        ("closed", {}, None),
        ("cut", {}, None),
    ],
)
def test_an_answer_is_lost_before_or_after_the_task_was_made(
    fake: Taskcluster, kind: str, options: dict[str, Any], status: int | None, before: bool
) -> None:
    fake.set_api_fault("hooks.triggerHook", kind, before=before, times=1, **options)
    if status:
        found = trigger(fake, payload_of(fake, LABEL))
        assert found.status == status
        assert found.headers["Retry-After"] == ("7" if kind == "too_many_requests" else None)
    elif kind == "cut" and before:
        assert trigger(fake, payload_of(fake, LABEL)).body == b""
    else:
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            trigger(fake, payload_of(fake, LABEL))
    assert len(fake.actions()) == (0 if before else 1)
    # The calls beside it are as they should be.
    assert get(fake, hook_path(fake)).status == 200
    assert fake.calls()["hooks.triggerHook"] == len(fake.triggers()) == 1
    assert trigger(fake, payload_of(fake, LABEL)).status == 200


def test_a_slow_answer_comes_after_the_task_was_made(fake: Taskcluster) -> None:
    fake.set_api_fault("hooks.triggerHook", "slow", seconds=30)
    path, payload = hook_path(fake), payload_of(fake, LABEL)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(trigger, fake, payload, path=path)
        deadline = time.monotonic() + 10
        while not fake.actions():
            assert time.monotonic() < deadline
        assert not answer.done()
        fake.set_api_fault("hooks.triggerHook", "none")
        assert answer.result().status == 200


def test_calls_are_counted_by_service_and_call(fake: Taskcluster) -> None:
    add_jobs(fake, LABEL)
    state_of(fake, TASK)
    get(fake, f"{QUEUE}/nothing")

    assert fake.calls() == {"queue.getLatestArtifact": 2, "hooks.triggerHook": 1, "queue.status": 1}
    assert [entry.get("call") for entry in fake.requests("api")] == [
        "queue.getLatestArtifact",
        "queue.getLatestArtifact",
        "hooks.triggerHook",
        "queue.status",
        None,
    ]
    fake.forget_requests()
    assert (fake.calls(), fake.triggers()) == ({}, [])


def test_a_reset_brings_hooks_clients_and_roles_back(fake: Taskcluster) -> None:
    add_jobs(fake, LABEL)
    fake.set_client(fake.client_id, None)
    fake.set_role("repo:hg.mozilla.org/try:*", [])
    fake.set_firing("declined")
    action = action_of(fake)
    fake.remove_hook(f"{action['hookGroupId']}/{action['hookId']}")
    fake.reset()

    assert fake.actions() == []
    assert trigger(fake, payload_of(fake, LABEL)).json()["taskId"]
    with pytest.raises(ValueError, match="no hook"):
        fake.remove_hook("project-gecko/x")
    with pytest.raises(ValueError, match="is one of declined"):
        fake.set_firing("x")


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_of_actions_can_be_wrong_in_many_ways(fake: Taskcluster, kind: str) -> None:
    usual = content(fake, "public/actions.json")
    fake.spoil_actions(TASK, kind)
    found = content(fake, "public/actions.json")

    assert found != usual
    assert [action for action in found["actions"] if action["name"] != "add-new-jobs"] == [
        action for action in usual["actions"] if action["name"] != "add-new-jobs"
    ]
    # Hooks of both levels are there: only the client can see that one is not meant.
    if kind == "other_level":
        assert get(fake, hook_path(fake)).status == 200
    with pytest.raises(ValueError, match="what can be wrong"):
        fake.spoil_actions(TASK, "x")


def test_a_new_project_has_hooks_too(fake: Taskcluster) -> None:
    decision = fake.add_decision_task("larch")

    assert get(fake, hook_path(fake, decision)).status == 200
    assert trigger(fake, payload_of(fake, LABEL, decision=decision), decision).status == 200
