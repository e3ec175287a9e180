"""The fake Treeherder agrees with the fake Taskcluster, and jobs appear on it, run and end."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from localstack.fakes.pushes import BUSY_PUSH, PUSH_ID, PUSH_IDS, decision_task_id, pushed_at, revision_of
from localstack.fakes.taskcluster import FULL_TASK_GRAPH, Taskcluster
from localstack.fakes.treeherder import Treeherder
from tests.support.fake_taskcluster import TASK, UNKNOWN, add_jobs, ask, state_of


def test_treeherder_has_the_decision_task_of_each_push(treeherder: Treeherder) -> None:
    found = ask(f"{treeherder.url}/api/project/try/jobs/?push_id={PUSH_ID}").json()["results"]
    filtered = ask(f"{treeherder.url}/api/project/try/jobs/?push_id={PUSH_ID}&job_type_symbol=D").json()["results"]
    others = ask(f"{treeherder.url}/api/project/try/jobs/?push_id={PUSH_ID}&job_type_symbol=B").json()["results"]

    assert (found, others) == (filtered, [])
    [job] = found
    assert (job["job_type_symbol"], job["platform"], job["task_id"]) == ("D", "gecko-decision", TASK)
    assert (job["state"], job["result"], job["job_type_name"]) == ("completed", "success", "Gecko Decision Task")
    assert ask(f"{treeherder.url}/api/project/try/push/{PUSH_ID}/").json()["revision"] == revision_of("try", PUSH_ID)
    assert ask(f"{treeherder.url}/api/project/try/jobs/?push_id=1").json()["results"] == []
    treeherder.set_jobs("try", PUSH_ID, [{"ref_data_name": "a build"}])
    both = ask(f"{treeherder.url}/api/project/try/jobs/?push_id={PUSH_ID}").json()["results"]
    assert [each["build_system_type"] for each in both] == ["taskcluster", "buildbot"]


def test_treeherder_names_the_decision_tasks_that_succeeded(treeherder: Treeherder) -> None:
    path = f"{treeherder.url}/api/project/autoland/push/decisiontask/?push_ids="
    first, second = PUSH_IDS[:2]
    usual = decision_task_id("autoland", first)

    assert ask(f"{path}{first},1").json() == {str(first): {"id": usual, "run": "0"}}
    treeherder.set_decision_task("autoland", first, UNKNOWN, run=2)
    treeherder.set_decision_task("autoland", second, state="running")
    assert ask(f"{path}{first},{second}").json() == {str(first): {"id": UNKNOWN, "run": "2"}}
    [job] = ask(f"{treeherder.url}/api/project/autoland/jobs/?push_id={second}").json()["results"]
    assert (job["state"], job["result"]) == ("running", "unknown")
    treeherder.set_decision_task("autoland", first, "")
    missing = ask(f"{path}{first},{second}")
    assert (missing.status, type(missing.json())) == (404, str)
    assert ask(f"{treeherder.url}/api/project/autoland/jobs/?push_id={first}").json()["results"] == []
    with pytest.raises(ValueError, match="state"):
        treeherder.set_decision_task("autoland", first, state="other")


def jobs_of(treeherder: Treeherder, query: str = "") -> list[dict[str, Any]]:
    """The jobs of a push but its decision task, by their names."""
    url = f"{treeherder.url}/api/project/try/jobs/?push_id={PUSH_ID}&count=2000{query}"
    found = [job for job in ask(url).json()["results"] if job.get("job_type_symbol") != "D"]
    return sorted(found, key=lambda job: job["id"])


def test_a_job_is_added_runs_and_ends(treeherder: Treeherder) -> None:
    treeherder.set_jobs("try", PUSH_ID, [{"ref_data_name": "an old build"}])
    job = treeherder.add_job("try", PUSH_ID, "a build")

    old, added = jobs_of(treeherder)
    assert (added["id"], added["ref_data_name"], added["build_system_type"]) == (job, "a build", "buildbot")
    assert (added["state"], added["result"]) == ("pending", "unknown")
    assert added["id"] > old["id"]
    assert added["submit_timestamp"] == pytest.approx(time.time(), abs=30)
    treeherder.set_state(job, "running")
    assert (jobs_of(treeherder)[1]["state"], jobs_of(treeherder)[1]["result"]) == ("running", "unknown")
    treeherder.set_state(job, "completed", "busted")
    [_, ended] = jobs_of(treeherder)
    assert (ended["state"], ended["result"]) == ("completed", "busted")
    assert ended["submit_timestamp"] <= ended["start_timestamp"] <= ended["end_timestamp"]
    treeherder.set_state(old["id"], "completed", "retry")
    assert jobs_of(treeherder, "&result=retry")[0]["id"] == old["id"]
    assert treeherder.add_job("try", PUSH_ID, "a build", submit_timestamp=1) > job


def test_a_job_with_a_known_guid_is_changed(treeherder: Treeherder) -> None:
    job = treeherder.add_job("try", PUSH_ID, "a build", job_guid="a/0")
    assert treeherder.add_job("try", PUSH_ID, "a build", "running", job_guid="a/0") == job
    [found] = jobs_of(treeherder)
    assert found["state"] == "running"


def test_malformed_jobs_are_refused(treeherder: Treeherder) -> None:
    job = treeherder.add_job("try", PUSH_ID, "a build")
    for refused in (
        lambda: treeherder.add_job("try", PUSH_ID, "a build", "other"),
        lambda: treeherder.set_state(job, "other"),
    ):
        with pytest.raises(ValueError, match="a state, which is one of unscheduled"):
            refused()
    with pytest.raises(ValueError, match="there is no job 1"):
        treeherder.set_state(1, "running")


@pytest.fixture
def linked(treeherder: Treeherder) -> Iterator[Taskcluster]:
    """A fake Taskcluster whose tasks appear in the fake Treeherder."""
    fake = Taskcluster(treeherder=treeherder.url, pace=None).start()
    yield fake
    fake.stop()


def wait_for(treeherder: Treeherder, expected: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Wait until the push has jobs with these symbols, states and results; returns them."""
    deadline = time.monotonic() + 10
    while True:
        found = jobs_of(treeherder)
        shown = [(f"{job['job_group_symbol']}({job['job_type_symbol']})", job["state"], job["result"]) for job in found]
        if shown == expected:
            return found
        assert time.monotonic() < deadline, shown
        time.sleep(0.01)


def test_an_action_and_what_it_creates_appear_run_and_end(linked: Taskcluster, treeherder: Treeherder) -> None:
    label, build = "test-android-em-14-x86_64/opt-xpcshell-2", "build-android-x86_64/opt"
    linked.set_result(build, "failed")
    task = add_jobs(linked, label)
    [action] = wait_for(treeherder, [("AC(add-new)", "pending", "unknown")])
    assert (action["platform"], action["job_type_name"]) == ("gecko-decision", "Action: Add new jobs")
    assert (action["task_id"], action["retry_id"], action["build_system_type"]) == (task, 0, "taskcluster")

    linked.advance()
    wait_for(treeherder, [("AC(add-new)", "running", "unknown")])
    linked.advance()
    done = ("AC(add-new)", "completed", "success")
    # In the order in which they are created.
    found = wait_for(treeherder, [done, ("?(B)", "pending", "unknown"), ("X(X2)", "unscheduled", "unknown")])
    assert [job["job_type_name"] for job in found[1:]] == [build, label]
    assert [job["platform"] for job in found[1:]] == ["android-5-0-x86_64", "android-em-14-x86_64"]
    for job in found[1:]:
        # The name is a hash, as of all Taskcluster jobs.
        assert re.fullmatch("[0-9a-f]{40}", job["ref_data_name"])
        assert linked.actions()[0]["created"][job["task_id"]] == job["job_type_name"]
    linked.finish()
    wait_for(treeherder, [done, ("?(B)", "completed", "busted"), ("X(X2)", "unscheduled", "unknown")])
    linked.set_state(found[2]["task_id"], "exception", reason="canceled")
    wait_for(treeherder, [done, ("?(B)", "completed", "busted"), ("X(X2)", "completed", "usercancel")])


def test_each_run_of_a_task_is_a_job_and_an_earlier_one_was_retried(
    linked: Taskcluster, treeherder: Treeherder
) -> None:
    label = "test-linux2404-64/opt-xpcshell-1"
    linked.set_result(label, "retried")
    add_jobs(linked, label)
    linked.finish()

    action = ("AC(add-new)", "completed", "success")
    found = wait_for(treeherder, [action, ("X(X1)", "completed", "retry"), ("X(X1)", "completed", "success")])
    assert [job["retry_id"] for job in found[1:]] == [0, 1]
    assert found[1]["task_id"] == found[2]["task_id"]


def test_names_are_cut_and_tasks_without_data_for_treeherder_do_not_appear(
    linked: Taskcluster, treeherder: Treeherder
) -> None:
    long = "test-linux2404-64/opt-" + "x" * 200
    graph = {long: {"task": {"extra": {"treeherder": {"symbol": 1}}}}, "hidden": {}}
    linked.set_artifact(TASK, FULL_TASK_GRAPH, json.dumps(graph).encode())
    add_jobs(linked, long, "hidden")
    linked.finish()

    [_, job] = wait_for(treeherder, [("AC(add-new)", "completed", "success"), ("?(1)", "completed", "success")])
    assert job["job_type_name"] == long[:139]
    assert (job["platform"], job["platform_option"]) == ("b-linux", "opt")


def test_a_treeherder_that_is_gone_does_not_keep_tasks_from_running(treeherder: Treeherder) -> None:
    fake = Taskcluster(treeherder="http://127.0.0.1:9", pace=None).start()
    task = add_jobs(fake, "test-linux2404-64/opt-xpcshell-1")
    fake.finish()
    assert state_of(fake, task) == "completed"
    fake.stop()


def pushes(treeherder: Treeherder, query: str = "", project: str = "try") -> list[int]:
    """The ids of the pushes that a query finds."""
    return [push["id"] for push in ask(f"{treeherder.url}/api/project/{project}/push/?{query}").json()["results"]]


def test_pushes_are_listed_newest_first(treeherder: Treeherder) -> None:
    answer = ask(f"{treeherder.url}/api/project/try/push/?count=3").json()

    assert [push["id"] for push in answer["results"]] == list(PUSH_IDS)[:-4:-1]
    assert answer["meta"] == {"count": 3, "repository": "try", "filter_params": {"count": "3"}}
    assert len(pushes(treeherder)) == 10
    assert pushes(treeherder, "count=1000") == [*reversed(PUSH_IDS), BUSY_PUSH]
    for query in ("count=1001", "count=many", "id__in=1,two", "push_timestamp__lt=now"):
        refused = ask(f"{treeherder.url}/api/project/try/push/?{query}")
        assert (refused.status, list(refused.json())) == (400, ["detail"]), query
    assert ask(f"{treeherder.url}/api/project/a%20b/push/").status == 404


def test_pushes_are_filtered(treeherder: Treeherder) -> None:
    first, second, third, fourth = PUSH_IDS[:4]
    author = ask(f"{treeherder.url}/api/project/try/push/{second}/").json()["author"]

    for comparison, found in (
        ("lt", [first, BUSY_PUSH]),
        ("lte", [second, first, BUSY_PUSH]),
        ("gt", [*reversed(PUSH_IDS[2:])]),
        ("gte", [*reversed(PUSH_IDS[1:])]),
    ):
        assert pushes(treeherder, f"count=20&push_timestamp__{comparison}={pushed_at(second)}") == found, comparison
    assert pushes(treeherder, f"id__in={first},{third},7") == [third, first]
    assert pushes(treeherder, f"revision={revision_of('try', third)}") == [third]
    assert pushes(treeherder, f"revision={revision_of('try', third)[:12]}") == [third]
    assert pushes(treeherder, f"revision={revision_of('autoland', third)}") == []
    mine, others = (pushes(treeherder, f"count=20&author={sign}{author}") for sign in ("", "-"))
    assert second in mine
    assert sorted(mine + others) == [BUSY_PUSH, *PUSH_IDS]
    assert pushes(treeherder, f"author={author}&push_timestamp__lte={pushed_at(fourth)}") == [second]
    # The page has all that it asked for when it asks again from the last one.
    page = pushes(treeherder, "count=4")
    assert pushes(treeherder, f"count=4&push_timestamp__lt={pushed_at(page[-1])}")[0] == page[-1] - 1
    treeherder.set_author("try", 2000, "new@example.org")
    assert pushes(treeherder, "author=new@example.org") == [2000]
    assert pushes(treeherder, "author=new@example.org", "autoland") == []


def test_a_push_has_commits_as_people_write_them(treeherder: Treeherder) -> None:
    found = [
        push
        for project in ("try", "autoland")
        for push in ask(f"{treeherder.url}/api/project/{project}/push/?count=20").json()["results"]
    ]

    assert {1, 3, 12} <= {push["revision_count"] for push in found}
    for push in found:
        commits = push["revisions"]
        assert commits[0]["revision"] == push["revision"]
        assert len({commit["revision"] for commit in commits}) == push["revision_count"]
        assert push["author"] in commits[0]["author"]
        for commit in commits:
            assert re.fullmatch(r"[\w ]+ <\S+@(mozilla\.com|example\.org)>", commit["author"])
            assert re.match(r"Bug \d{7} - \S|Fuzzy \(query=", commit["comments"])
    comments = [commit["comments"] for push in found for commit in push["revisions"]]
    assert any("\n\nDifferential Revision: " in text for text in comments)
    assert len(set(comments)) > 20


def test_all_jobs_have_the_properties_that_treeherders_have(treeherder: Treeherder) -> None:
    treeherder.add_job("try", PUSH_ID, "a build")
    treeherder.set_jobs("try", PUSH_IDS[1], [{"ref_data_name": "another"}])
    for push in PUSH_IDS[:2]:
        decision, job = ask(f"{treeherder.url}/api/project/try/jobs/?push_id={push}").json()["results"]
        assert decision.keys() == job.keys()
        assert (job["job_group_symbol"], job["platform_option"], job["tier"], job["task_id"]) == ("?", "opt", 1, None)
        assert (job["failure_classification_id"], job["push_id"], job["result_set_id"]) == (1, push, push)


def test_pages_of_all_origins_may_read_the_api(treeherder: Treeherder) -> None:
    url = f"{treeherder.url}/api/project/try/push/"
    origin = "https://page.example.org"
    preflight = ask(url, "OPTIONS", Origin=origin, Access_Control_Request_Method="GET")

    assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert "x-requested-with" in preflight.headers["Access-Control-Allow-Headers"]
    assert "GET" in preflight.headers["Access-Control-Allow-Methods"]
    for path in ("", "1/"):
        assert ask(url + path, Origin=origin).headers["Access-Control-Allow-Origin"] == "*"


def test_links_for_people_lead_to_a_page_that_says_what_would_be_shown(
    linked: Taskcluster, treeherder: Treeherder
) -> None:
    job = treeherder.add_job("try", PUSH_ID, "a <build>", "running")
    revision = revision_of("try", PUSH_ID)

    answer = ask(f"{treeherder.url}/jobs?repo=try&revision={revision}&selectedJob={job}")
    shown = answer.body.decode()
    assert answer.headers.get_content_type() == "text/html"
    assert f"Push {PUSH_ID} by someone@mozilla.com, 2 jobs: Fuzzy" in shown
    assert "Selected: a &lt;build&gt;, running, unknown" in shown
    assert ask(f"{treeherder.url}/jobs").status == 200
    for path in (f"/tasks/{TASK}", f"/tasks/{TASK}/runs/0", f"/tasks/groups/{TASK}"):
        assert "Gecko Decision Task" in ask(linked.url + path).body.decode()
    assert "does not know" in ask(f"{linked.url}/tasks/{UNKNOWN}").body.decode()
