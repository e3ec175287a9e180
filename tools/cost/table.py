"""Prints the bill of a month: a table, and its largest parts."""

from tools.cost.bill import HOURS_A_DAY, Price
from tools.cost.day import Day

# In dollars a month.
GOAL = 3.00
BEGIN, END = "<!-- what `make cost` prints -->\n", "<!-- end -->"


def with_output(document: str, printed: str) -> str:
    """A document with what the meter printed in place of what it has: the table, and the rest as code."""
    before, rest = document.split(BEGIN)
    lines = [line if line.startswith("|") or not line else f"    {line}" for line in printed.splitlines()]
    return before + BEGIN + "\n".join(lines).rstrip() + "\n" + END + rest.split(END, 1)[1]


def print_table(prices: dict, usage: dict, naive: dict, columns: list[dict], subtotals: dict[str, float]) -> None:
    """Print a month of ours and of the naive design, each without and with the free tier, as docs/cost.md has it.
    `subtotals` are the dollars of parts of ours without the free tier, which belongs to none of them.
    """
    heads = [
        "",
        "used in a month",
        "dollars",
        "... beyond the free tier",
        "naive: used",
        "dollars",
        "... beyond the free tier",
    ]
    rows = [heads, ["---"] + ["---:"] * 6]
    for name, price in prices.items():
        ours, theirs = (amount(price, used[name]) for used in (usage, naive))
        dollars = [f"{column[name]:.3f}" for column in columns]
        rows.append([f"{price.label} ({price.unit})", ours, *dollars[:2], theirs, *dollars[2:]])
    sums = [sum(column.values()) for column in columns]
    url = [sum(column.values()) - column["http_api_requests"] for column in columns]
    # The dashboard is there if the template's parameter says so; the first three of an account are free.
    shown = [total + prices["dashboards"].dollars * (place in (0, 2)) for place, total in enumerate(sums)]
    rows += [[f"... {label}", "", f"{dollars:.2f}", "", "", "", ""] for label, dollars in subtotals.items()]
    for label, totals in (
        ("**A month**", sums),
        ("**A month behind function URLs**", url),
        ("**A month with a dashboard**", shown),
    ):
        texts = [f"**{total:.2f}**" for total in totals]
        rows.append([label, "", *texts[:2], "", *texts[2:]])
    widths = [max(len(row[place]) for row in rows if row is not rows[1]) for place in range(len(heads))]
    for row in rows:
        cells = [
            text.ljust(width) if place == 0 else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=False))
        ]
        print(f"| {' | '.join(cells)} |")


def amount(price: Price, used: float) -> str:
    """The used amount in the unit of its price: bytes are sold by the GB."""
    if price.unit.startswith("GB ") or price.unit == "GB":
        used /= price.per
    return f"{used:,.0f}" if used >= 100 else f"{used:.3g}"


def say_what_drives(
    day: Day, columns: list[dict[str, float]], prices: dict[str, Price], subtotals: dict[str, float]
) -> None:
    """Print whether the goal is met, the largest parts of the bill, and the usage of each function in a day."""
    print()
    for what, column in (("without a free tier", columns[0]), ("beyond the free tier", columns[1])):
        total = sum(column.values())
        most = sorted(column, key=lambda name: column[name], reverse=True)[:4]
        verdict = "met" if total < GOAL else "missed"
        drives = "; ".join(f"{prices[name].label} {column[name]:.2f}" for name in most)
        print(f"{what}: {total:.2f} dollars, under {GOAL:.2f} is {verdict}; most of it: {drives}")
    for count in range(1, len(subtotals)):
        parts = dict(list(subtotals.items())[:count])
        total = sum(parts.values())
        verdict = "met" if total < GOAL else "missed"
        print(f"{' and '.join(parts)} alone: {total:.2f} dollars, under {GOAL:.2f} is {verdict}")
    hourly = [name for name, lines in day.metrics.items() if lines >= HOURS_A_DAY]
    print(f"metrics: {len(day.metrics)} names, {len(hourly)} of them in each hour: {', '.join(sorted(hourly))}")
    for name in day.invocations:
        print(
            f"{name}: {day.invocations[name]:,.0f} invocations a day, "
            f"{day.gb_seconds[name] / day.invocations[name]:.4f} GB-seconds each"
        )
