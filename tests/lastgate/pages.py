"""Reads the documents: their headings, sections, tables, examples and links."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = tuple(sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]))

_HEADING = re.compile(r"^(#+) (.+)$")
_FENCE = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.S | re.M)


@cache
def text(path: Path) -> str:
    """Return a page."""
    return path.read_text("utf-8")


def prose(path: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", text(path))


def headings(path: Path) -> list[str]:
    """Return the headings of a page, in order, without their marks."""
    return [found[2] for line in prose(path).splitlines() if (found := _HEADING.match(line))]


def section(path: Path, heading: str) -> str:
    """Return what stands under a heading, up to the next of its level or above; empty without such a heading."""
    lines, level, is_fenced = [], 0, False
    for line in text(path).splitlines():
        is_fenced ^= line.startswith("```")
        found = None if is_fenced else _HEADING.match(line)
        if found and level and len(found[1]) <= level:
            break
        if found and not level and found[2] == heading:
            level = len(found[1])
        elif level:
            lines.append(line)
    return "\n".join(lines)


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a language (empty: of none) in a text."""
    return [body for name, body in _FENCE.findall(page + "\n") if name == language]


def rows(page: str) -> list[list[str]]:
    """Return the cells of all rows of all tables in a text."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def spans(page: str) -> set[str]:
    """Return what stands in backquotes in a text."""
    return set(re.findall(r"`([^`\n]+)`", _FENCE.sub("", page)))


def anchor(heading: str) -> str:
    """Return the name by which a heading is linked to, as forges make it."""
    kept = "".join(sign for sign in heading.lower() if sign.isalnum() or sign in " -_")
    return kept.strip().replace(" ", "-")


def links(path: Path) -> Iterator[str]:
    """Yield the targets of a page's links."""
    yield from re.findall(r"\]\(([^)\s]+)\)", prose(path))


def documents(body: str) -> list[Any]:
    """Return the JSON documents of a block, which stand one after the other."""
    found, at, decoder = [], 0, json.JSONDecoder()
    while body[at:].strip():
        at += len(body[at:]) - len(body[at:].lstrip())
        document, at = decoder.raw_decode(body, at)
        found.append(document)
    return found
