"""No label is run twice, and no request is lost: a short run of `both_destinations.py`."""

import pytest

from tests.faults import both_destinations

# One at each point, of which two need another one first, and one at any time.
KILLS = len(both_destinations.POINTS) + 2 + 1


@pytest.mark.xdist_group("both-destinations")
def test_no_label_is_run_twice_and_every_request_ends_whatever_fails() -> None:
    done = both_destinations.run(both_destinations.Plan(kills=KILLS, outages=1), seed=1)

    assert (done.doubled, done.lost, done.problems) == ([], [], []), done.summary
    assert done.verdict() == f"{KILLS} kills: 0 doubled, 0 lost"
    # Each event had its effect.
    assert set(done.did.values()) == {1}, done.summary
    assert done.did.keys() == {*both_destinations.POINTS, both_destinations.ANYWHERE, *both_destinations.OUTAGES}
    assert done.summary["actions"] >= done.summary["requests"] > KILLS, done.summary
