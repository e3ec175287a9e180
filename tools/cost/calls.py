"""The cost of a function's calls: units of the tables by AWS's rules, and calls to other services by their number."""

import json
import math

from tests.support.stack import GivenStack
from tests.support.store_calls import Call
from tools.cost.bill import Amounts
from tools.cost.item_units import READ_STEP, from_wire, index_units, item_size, write_units

# The names of the price file for calls to other services than DynamoDB.
OTHERS = {"AmazonSQS": "sqs_requests", "AmazonSSM": "parameter_calls"}


# The members of a query that say what it finds.
QUERY = ("TableName", "IndexName", "KeyConditionExpression", "Limit", "ScanIndexForward", "ExclusiveStartKey")


class Tables:
    """A copy of all items of the stack's tables, which follows the calls: the cost of a call depends on the items."""

    def __init__(self, stack: GivenStack) -> None:
        self.dynamodb = stack.client("dynamodb")
        names = [stack.env[name] for name in ("CATALOG_TABLE", "REQUESTS_TABLE")]
        self.tables = {name: self.dynamodb.describe_table(TableName=name)["Table"] for name in names}
        self.items: dict[str, dict[str, dict]] = {}
        # The units that writes cost in each index, of a day.
        self.index_units = Amounts()
        self.times = 1.0
        self.read_all()

    def read_all(self) -> None:
        """Read all items again, after other writes."""
        for name in self.tables:
            pages = self.dynamodb.get_paginator("scan").paginate(TableName=name, ConsistentRead=True)
            self.items[name] = {key_of(item): item for page in pages for item in page["Items"]}

    def cost(self, calls: list[Call], times: float = 1) -> Amounts:
        """The cost of these calls, which were made just now. They represent `times` of a day."""
        self.times = times
        cost = Amounts()
        for call in calls:
            service = call.target.partition(".")[0].partition("_")[0]
            if service == "DynamoDB":
                reads, writes = self._units(call)
                cost["dynamodb_read_units"] += reads
                cost["dynamodb_write_units"] += writes
            else:
                cost[OTHERS[service]] += 1
        return cost

    def _units(self, call: Call) -> tuple[float, float]:
        """The read and the write units of one call."""
        content = call.content()
        match call.operation:
            case "GetItem":
                return self._read(content["TableName"], content["Key"], content.get("ConsistentRead")), 0
            case "BatchGetItem":
                return sum(
                    self._read(name, key, wanted.get("ConsistentRead"))
                    for name, wanted in content["RequestItems"].items()
                    for key in wanted["Keys"]
                ), 0
            case "Query":
                return self._query(content), 0
            case "PutItem":
                return 0, self._put(content["TableName"], content["Item"])
            case "BatchWriteItem":
                return 0, sum(
                    self._put(name, write["PutRequest"]["Item"])
                    if "PutRequest" in write
                    else self._delete(name, write["DeleteRequest"]["Key"])
                    for name, writes in content["RequestItems"].items()
                    for write in writes
                )
            case "TransactWriteItems":
                writes = (entry for item in content["TransactItems"] for entry in item.items())
                return 0, 2 * sum(self._in_transaction(kind, write) for kind, write in writes)
            case "UpdateItem":
                return 0, self._update(content["TableName"], content["Key"])
            case "DeleteItem":
                return 0, self._delete(content["TableName"], content["Key"])
        raise SystemExit(f"the units of {call.operation} are not known here")

    def _in_transaction(self, kind: str, write: dict) -> int:
        """The units of one write, which count twice in a transaction."""
        match kind:
            case "Put":
                return self._put(write["TableName"], write["Item"])
            case "Update":
                return self._update(write["TableName"], write["Key"])
            case "Delete":
                return self._delete(write["TableName"], write["Key"])
        raise SystemExit(f"the units of {kind} in a transaction are not known here")

    def _read(self, name: str, key: dict, is_consistent: bool | None) -> float:
        return read_units(item_size(self.items[name].get(key_of(key), {})), is_consistent)

    def _query(self, content: dict) -> float:
        """Repeat the query, which finds one page, for whole items and without a filter: AWS charges for all of them."""
        asked = {name: content[name] for name in QUERY if name in content}
        condition = content["KeyConditionExpression"]
        for kind, sign in (("ExpressionAttributeNames", "#"), ("ExpressionAttributeValues", ":")):
            words = condition.replace("(", " ").replace(")", " ").replace(",", " ").split()
            used = {name: value for name, value in content.get(kind, {}).items() if name in words}
            if used:
                asked[kind] = used
            elif sign in condition:
                raise SystemExit(f"the query {content} is not understood here")
        found = self.dynamodb.query(**asked)
        return read_units(sum(map(item_size, found["Items"])), content.get("ConsistentRead"))

    def _put(self, name: str, wire: dict) -> int:
        return self._written(name, from_wire(wire))

    def _update(self, name: str, key: dict) -> int:
        return self._written(name, self.dynamodb.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"])

    def _delete(self, name: str, key: dict) -> int:
        """Only locks of pushes and claims are deleted, which no index has. One that is not there costs the minimum."""
        deleted = self.items[name].pop(key_of(key), key)
        return write_units(self.tables[name], deleted, deleted)

    def _written(self, name: str, item: dict) -> int:
        old, self.items[name][key_of(item)] = self.items[name].get(key_of(item)), item
        for index, units in index_units(self.tables[name], item, old).items():
            self.index_units[index] += units * self.times
        return write_units(self.tables[name], item, old)


def key_of(item: dict) -> str:
    return json.dumps([item["pk"], item["sk"]])


def read_units(size: int, is_consistent: bool | None) -> float:
    """The units of one read of so many bytes; a read that finds nothing costs the minimum."""
    return max(math.ceil(size / READ_STEP), 1) * (1 if is_consistent else 0.5)
