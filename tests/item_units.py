"""What DynamoDB charges for reading and writing items, by AWS's rules, as the emulator does not know all of them."""

import base64
import math
from collections.abc import Iterable

READ_STEP, WRITE_STEP = 4096, 1024


def eventual_units(sizes: Iterable[int]) -> float:
    """What reading items of these sizes one by one costs with eventual consistency."""
    return sum(math.ceil(size / READ_STEP) * 0.5 for size in sizes)


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
        case "SS":
            return sum(len(word.encode()) for word in held)
        case "M":
            return 3 + sum(1 + len(name.encode()) + value_size(inner) for name, inner in held.items())
    raise SystemExit(f"an item has a value of the kind {kind}, whose size is not known here")
