"""The units that DynamoDB charges for reads and writes, by AWS's rules; the emulator does not know all of them."""

import base64
import math
from collections import Counter
from collections.abc import Iterable

READ_STEP, WRITE_STEP = 4096, 1024


def eventual_units(sizes: Iterable[int]) -> float:
    """The units of eventually consistent reads of items of these sizes, one by one."""
    return sum(math.ceil(size / READ_STEP) * 0.5 for size in sizes)


def write_units(table: dict, new: dict, old: dict | None = None) -> int:
    """The units of writing an item, over another or not, with its entries in the table's indexes. `table` is the
    description of the table.
    """
    return max(write_steps(item) for item in (new, old) if item) + index_units(table, new, old).total()


def index_units(table: dict, new: dict, old: dict | None = None) -> Counter[str]:
    """The units of such an item's entries, by their index.

    An entry that moves is written twice, one that stays as it is not at all (Amazon DynamoDB Developer Guide, "Using
    Global Secondary Indexes in DynamoDB", on write capacity).
    """
    units: Counter[str] = Counter()
    for index in table.get("GlobalSecondaryIndexes", []):
        entries = {name: index_entry(table, index, item or {}) for name, item in (("new", new), ("old", old))}
        if entries["new"] != entries["old"]:
            units[index["IndexName"]] += sum(write_steps(entry) for entry in entries.values() if entry)
    return units


def write_steps(item: dict) -> int:
    return math.ceil(item_size(item) / WRITE_STEP)


def index_entry(table: dict, index: dict, item: dict) -> dict | None:
    """The entry of an item in an index, or None if the index does not have the item."""
    if index["Projection"]["ProjectionType"] != "KEYS_ONLY":
        raise SystemExit(f"{index['IndexName']} has more than keys, whose units are not known here")
    keys = [key["AttributeName"] for key in (*index["KeySchema"], *table["KeySchema"])]
    return {key: item[key] for key in keys} if all(key in item for key in keys) else None


def item_size(item: dict) -> int:
    """An item's bytes as DynamoDB counts them."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def value_size(value: dict) -> int:
    [(kind, held)] = value.items()
    match kind:
        case "S":
            return len(held.encode())
        case "B":
            return len(held)
        case "N":
            return math.ceil(len(held.strip("-").replace(".", "").strip("0")) / 2) + 1
        case "BOOL" | "NULL":
            return 1
        case "SS":
            return sum(len(word.encode()) for word in held)
        case "L":
            return 3 + sum(1 + value_size(inner) for inner in held)
        case "M":
            return 3 + sum(1 + len(name.encode()) + value_size(inner) for name, inner in held.items())
    raise SystemExit(f"an item has a value of the kind {kind}, whose size is not known here")


def from_wire(item: dict) -> dict:
    """An item of a request's JSON as boto3 has it: binary values are base64 in JSON."""
    return {name: _value_from_wire(value) for name, value in item.items()}


def _value_from_wire(value: dict) -> dict:
    [(kind, held)] = value.items()
    match kind:
        case "B":
            return {"B": base64.b64decode(held)}
        case "L":
            return {"L": [_value_from_wire(inner) for inner in held]}
        case "M":
            return {"M": from_wire(held)}
    return value
