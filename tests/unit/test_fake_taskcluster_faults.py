"""The fake Taskcluster fails in every way that tests need, and forgets that at a reset."""

import gzip
import http.client
import json
import time

import pytest

from localstack.fakes.taskcluster import RUNNABLE_JOBS, Taskcluster
from localstack.fakes.taskcluster.faults import BOMB_BYTES, HUGE_BYTES, KINDS, gzip_bomb
from tests.support.fake_taskcluster import (
    INDEX,
    LATEST,
    QUEUE,
    TASK,
    artifact_path,
    ask,
    fetch,
    get,
)


def test_a_slow_answer_comes_late_and_another_setting_ends_its_wait(fake: Taskcluster) -> None:
    for kind in ("slow", "stalled"):
        fake.set_fault(TASK, RUNNABLE_JOBS, kind, seconds=0.3)
        begin = time.monotonic()
        assert gzip.decompress(fetch(fake).body).startswith(b"{")
        assert time.monotonic() - begin >= 0.3
        fake.set_fault(TASK, RUNNABLE_JOBS, kind)
        with pytest.raises(TimeoutError):
            ask(f"{fake.artifact_url}/{TASK}/0/{RUNNABLE_JOBS}", seconds=0.2)
    fake.set_fault(TASK, RUNNABLE_JOBS, "none")
    assert fetch(fake).status == 200


def test_a_body_is_cut_broken_or_excessive(fake: Taskcluster) -> None:
    fake.set_fault(TASK, RUNNABLE_JOBS, "cut")
    with pytest.raises(http.client.IncompleteRead):
        fetch(fake)
    fake.set_fault(TASK, RUNNABLE_JOBS, "garbage")
    with pytest.raises(ValueError, match="Unterminated"):
        fetch(fake).json()
    fake.set_fault(TASK, RUNNABLE_JOBS, "huge")
    huge = fetch(fake)
    assert len(huge.body) == HUGE_BYTES
    assert huge.json() == {}


def test_a_gzip_bomb_is_valid_and_unpacks_to_a_gigabyte(fake: Taskcluster) -> None:
    fake.set_fault(TASK, RUNNABLE_JOBS, "bomb")
    found = fetch(fake)

    assert found.headers["Content-Encoding"] == "gzip"
    assert len(found.body) < 2**21
    # The last four bytes are the size. A smaller one, as it takes long to unpack this.
    assert int.from_bytes(found.body[-4:], "little") == BOMB_BYTES
    assert json.loads(unpacked := gzip.decompress(gzip_bomb(2**24))) == {}
    assert len(unpacked) == 2**24


def test_redirects_lead_in_a_circle_or_to_another_host(fake: Taskcluster) -> None:
    fake.set_fault(TASK, RUNNABLE_JOBS, "redirect_loop")
    found = get(fake, artifact_path())
    for _ in range(3):
        found = ask(found.headers["Location"])
        assert (found.status, found.headers["Location"]) == (302, f"{fake.artifact_url}/{TASK}/0/{RUNNABLE_JOBS}")
    fake.set_fault(TASK, RUNNABLE_JOBS, "redirect", location="http://localhost:1/x", status=307)
    found = fetch(fake)
    assert (found.status, found.headers["Location"]) == (307, "http://localhost:1/x")


def test_errors_of_proxies_pass_after_some_times(fake: Taskcluster) -> None:
    fake.set_fault(TASK, RUNNABLE_JOBS, "unavailable", times=2, status=500)
    assert [fetch(fake).status for _ in range(4)] == [500, 500, 200, 200]
    fake.set_fault(TASK, RUNNABLE_JOBS, "too_many_requests", retry_after=7, times=1)
    assert (found := fetch(fake)).status == 429
    assert found.headers["Retry-After"] == "7"
    fake.set_fault(TASK, RUNNABLE_JOBS, "html")
    assert (found := fetch(fake)).status == 502
    assert (found.headers["Content-Type"], found.body[:6]) == ("text/html", b"<html>")
    fake.set_fault(TASK, RUNNABLE_JOBS, "html", status=200)
    assert fetch(fake).status == 200


def test_the_api_has_the_same_faults_below_a_path(fake: Taskcluster) -> None:
    fake.set_api_fault("/api/", "html")
    fake.set_api_fault("/api/index/", "too_many_requests", times=1)

    assert [get(fake, f"{INDEX}/task/{LATEST}").status for _ in range(2)] == [429, 200]
    assert get(fake, artifact_path()).status == 502
    fake.set_api_fault("/api/", "none")
    assert get(fake, artifact_path()).status == 303


def test_every_kind_of_fault_can_be_set_and_others_are_refused(fake: Taskcluster) -> None:
    for kind in KINDS:
        fake.set_fault(TASK, RUNNABLE_JOBS, kind, location="http://localhost:1/")
    for options in ({"kind": "other"}, {"kind": "redirect"}, {"kind": "slow", "minutes": 1}):
        with pytest.raises(ValueError, match=r"fault|redirect"):
            fake.set_fault(TASK, RUNNABLE_JOBS, **options)
    with pytest.raises(ValueError, match="no artifact"):
        fake.set_fault(TASK, "public/nothing", "cut")


def test_the_log_holds_each_request_with_its_headers_and_no_control_requests(fake: Taskcluster) -> None:
    get(fake, f"{INDEX}/task/{LATEST}?limit=1")
    ask(get(fake, artifact_path()).headers["Location"], Authorization="Bearer x")

    first, second = fake.requests("api")
    [third] = fake.requests("artifacts")
    assert (first["method"], first["path"]) == ("GET", f"{INDEX}/task/{LATEST}?limit=1")
    assert (second["path"], "authorization" in second["headers"]) == (artifact_path(), False)
    assert (third["path"], third["headers"]["authorization"]) == (f"/{TASK}/0/{RUNNABLE_JOBS}", "Bearer x")
    assert fake.requests() == [first, second, third]
    fake.forget_requests()
    assert fake.requests() == []


def test_a_reset_undoes_everything(fake: Taskcluster) -> None:
    before = fetch(fake).body
    fake.set_artifact(TASK, RUNNABLE_JOBS, b"{}")
    fake.set_state(TASK, "failed")
    fake.set_api_fault("/", "slow")
    fake.set_index(LATEST, None)
    fake.reset()

    assert fetch(fake).body == before
    assert get(fake, f"{INDEX}/task/{LATEST}").status == 200
    assert get(fake, f"{QUEUE}/task/{TASK}/status").json()["status"]["state"] == "completed"
