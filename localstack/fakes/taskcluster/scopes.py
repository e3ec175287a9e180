"""Scopes: what satisfies what, and what roles add to them."""

from collections.abc import Iterable, Mapping


def satisfies(scopes: Iterable[str], wanted: str) -> bool:
    """Whether one of the scopes is the wanted one, or ends in `*` and is a prefix of it."""
    return any(covers(scope, wanted) for scope in scopes)


def covers(scope: str, wanted: str) -> bool:
    """Whether a scope is the wanted one, or ends in `*` and is a prefix of it."""
    return scope == wanted or (scope.endswith("*") and wanted.startswith(scope[:-1]))


def expand(scopes: Iterable[str], roles: Mapping[str, Iterable[str]]) -> list[str]:
    """The scopes, and those of the roles that they assume, and so on; without scopes that others cover.

    A role whose name ends in `*` is assumed under all names with that prefix.
    """
    found: set[str] = set()
    left = list(scopes)
    while left:
        scope = left.pop()
        if scope in found:
            continue
        found.add(scope)
        for role, given in roles.items():
            if covers(scope, f"assume:{role}") or (scope.startswith("assume:") and covers(f"assume:{role}", scope)):
                left += given
    stars = [scope for scope in found if scope.endswith("*")]
    return sorted(scope for scope in found if not any(covers(star, scope) for star in stars if star != scope))
