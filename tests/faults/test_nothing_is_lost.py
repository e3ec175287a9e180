"""No request is lost: a short run of `fault_injection.py`."""

import pytest

from tests.faults import fault_injection

KILLS, STOPS = 3, 2


@pytest.mark.xdist_group("faults")
def test_every_request_is_forwarded_or_fails_with_a_reason_while_everything_fails() -> None:
    done = fault_injection.run(fault_injection.Plan(requests=200, kills=KILLS, stops=STOPS), seed=1)

    counted = done.summary
    assert done.problems == [], counted
    # On a slow machine the queue may give a ticket out five times before one of them is done with it.
    ended = counted["forwarded"] + counted["failed"] + counted["neither, with a dead letter"]
    assert counted["requests"] == ended >= 200, counted
    # Each event had its effect.
    kills = counted["of these, between publishing and recording"]
    assert kills >= KILLS
    assert counted["forwarders killed"] == KILLS + kills * fault_injection.FORWARDERS
    assert counted["broker stopped"] == STOPS
    assert counted["connections cut"] >= KILLS
    assert counted["calls throttled"] >= STOPS * fault_injection.THROTTLED_HARD
    # A forwarder that was killed before it recorded its request as forwarded has published it, and another does again.
    assert counted["of these, repeated"] == counted["requests forwarded after a kill while recording"], counted
    assert counted["repeats"] > 0, counted
