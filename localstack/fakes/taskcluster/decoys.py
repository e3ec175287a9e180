"""Lists of actions with which something is wrong."""

import json
from collections.abc import Callable
from typing import Any

from localstack.fakes.taskcluster.faults import Invalid

NAME = "add-new-jobs"
# How often each level of the exploding template repeats the one below, and how many levels it has.
TIMES, LEVELS = 10, 9


def _exploding() -> dict[str, Any]:
    """A template of some hundred bytes whose result has a billion numbers."""
    inner: Any = {"$eval": "range(0, 10)"}
    for level in range(LEVELS - 1):
        inner = {"$map": list(range(TIMES)), f"each(x{level})": inner}
    return inner


def _nested() -> dict[str, Any]:
    """A template that is nested deeper than a stack is."""
    return json.loads('{"$flatten": [' * 400 + "[]" + "]}" * 400)


def _wrong_level(action: dict[str, Any]) -> None:
    old, new = ("-1-", "-3-") if "-1-" in action["hookId"] else ("-3-", "-1-")
    action["hookId"] = action["hookId"].replace(old, new)


def _task(action: dict[str, Any]) -> None:
    for name in ("hookGroupId", "hookId", "hookPayload"):
        del action[name]
    action |= {"kind": "task", "task": {"created": {"$fromNow": ""}, "extra": {"action": {"$eval": "input"}}}}


def _payload(template: Any) -> Callable[[dict[str, Any]], None]:
    return lambda action: action["hookPayload"]["user"].update(input=template)


def _keyword(action: dict[str, Any]) -> None:
    action["schema"]["properties"]["tasks"]["uniqueItems"] = True


def _required(action: dict[str, Any]) -> None:
    action["schema"]["properties"]["reason"] = {"type": "string"}
    action["schema"]["required"] = ["tasks", "reason"]


# What is wrong with the action that adds jobs, by its name.
CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    # A hook for projects of another level; one that is not of an action; one of another group.
    "other_level": _wrong_level,
    "other_hook": lambda action: action.update(hookId="release-promotion/0123456789"),
    "other_group": lambda action: action.update(hookGroupId="project-releng"),
    "task": _task,
    # A keyword that the schema did not have, and a property that it did not ask for.
    "unknown_keyword": _keyword,
    "required_property": _required,
    "context": lambda action: action.update(context=[{"kind": "test"}]),
    # Templates that explode, nest, fail, and name what is not known.
    "exploding_template": _payload(_exploding()),
    "nested_template": _payload(_nested()),
    "failing_template": _payload({"$eval": "1 / 0 +"}),
    "unknown_name": _payload({"$eval": "ownTaskId"}),
}
KINDS = ("version", "twice", "missing", *CHANGES)


def spoil(content: dict[str, Any], kind: str) -> dict[str, Any]:
    """A list of actions with which something is wrong: another `version`, the action `twice` or `missing`, or one of
    `CHANGES`.
    """
    actions = content["actions"]
    [action] = (each for each in actions if each["name"] == NAME)
    if kind == "version":
        content["version"] = 2
    elif kind == "twice":
        actions.append(action | {"hookId": action["hookId"], "title": "Add new jobs too"})
    elif kind == "missing":
        actions.remove(action)
    elif change := CHANGES.get(kind):
        change(action)
    else:
        raise Invalid(f"what can be wrong with actions is one of {', '.join(KINDS)}")
    return content
