"""The fake Treeherder agrees with the fake Taskcluster, and jobs appear on it, run and end."""

import pytest

from localstack.fakes.pushes import PUSH_ID, PUSH_IDS, decision_task_id, revision_of
from localstack.fakes.treeherder import Treeherder
from tests.support.fake_taskcluster import TASK, UNKNOWN, ask


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
