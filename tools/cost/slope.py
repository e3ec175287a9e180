"""Checks that twice the traffic costs twice as much: meters 1, 2 and 4 times the traffic on the local stack.

    .venv/bin/python -m tools.cost.slope [OPTIONS OF THE METER]

Prints what one event of each cause costs at each, without a free tier, and fails if one of them is more than a tenth
from the first. Needs what `make cost` needs. Times are those of the processor: the machine may have other work.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.cost.bill import bill, load_prices

LISTS, TRIGGERS, OPENED = 10_000, 1_000, 300
# What grows with the traffic.
CAUSES = {
    "list": "lists",
    "trigger": "requests for Buildbot jobs",
    "follow": "requests that are followed",
    "push": "pushes whose list is looked at",
    "label": "requests for labels",
}
FACTORS = (1, 2, 4)
MOST_APART = 0.10


def cost_of_one(metered: dict, cause: str) -> float:
    """The dollars for one event of this cause."""
    prices = load_prices()
    used = dict.fromkeys(prices, 0.0) | metered["causes"][cause]
    return sum(bill(prices, used, False).values()) / metered["events"][cause]


def main() -> None:
    apart = False
    first: dict[str, float] = {}
    for factor in FACTORS:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "metered.json"
            traffic = ["--lists", str(LISTS * factor), "--triggers", str(TRIGGERS * factor)]
            traffic += ["--opened", str(OPENED * factor), "--json", str(file)]
            command = [sys.executable, "-m", "tools.cost.meter", *sys.argv[1:], *traffic]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            metered = json.loads(file.read_text())
        for cause, what in CAUSES.items():
            dollars = cost_of_one(metered, cause) * 1e6
            change = dollars / first.setdefault(cause, dollars) - 1
            apart |= abs(change) > MOST_APART
            print(f"{factor} x the traffic: a million {what} cost {dollars:.2f} dollars ({change:+.1%})", flush=True)
    if apart:
        sys.exit(f"the cost of one is more than {MOST_APART:.0%} from that at 1 x")


if __name__ == "__main__":
    main()
