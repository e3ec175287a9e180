"""A part of JSON Schema, with the messages of ajv: what the schemas of hooks need."""

from typing import Any

TYPES: dict[str, type | tuple[type, ...]] = {"object": dict, "array": list, "string": str, "null": type(None)}


def errors(schema: dict[str, Any], value: Any, path: str = "data") -> list[str]:
    """What is wrong with a value: the first error, and all of an alternative's branches. None: nothing."""
    if "anyOf" in schema:
        branches = [errors(branch, value, path) for branch in schema["anyOf"]]
        if all(branches):
            return [*(error for branch in branches for error in branch), f"{path} must match a schema in anyOf"]
    if "const" in schema and value != schema["const"]:
        return [f"{path} must be equal to constant"]
    if (kind := schema.get("type")) and not isinstance(value, TYPES[kind]):
        return [f"{path} must be {kind}"]
    return _of_object(schema, value, path) if isinstance(value, dict) else []


def _of_object(schema: dict[str, Any], value: dict[str, Any], path: str) -> list[str]:
    for name in schema.get("required", ()):
        if name not in value:
            return [f"{path} must have required property '{name}'"]
    properties = schema.get("properties", {})
    if schema.get("additionalProperties") is False and not properties.keys() >= value.keys():
        return [f"{path} must NOT have additional properties"]
    for name, inner in properties.items():
        if name in value and (found := errors(inner, value[name], f"{path}/{name}")):
            return found
    return []
