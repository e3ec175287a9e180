"""Small pages in place of those that the real services have for people."""

import html
from collections.abc import Iterable


def page(title: str, lines: Iterable[str]) -> bytes:
    """A page with a title and lines of text."""
    shown = "".join(f"<p>{html.escape(line)}</p>\n" for line in lines)
    name = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{name}</title>\n<h1>{name}</h1>\n{shown}'
    ).encode()
