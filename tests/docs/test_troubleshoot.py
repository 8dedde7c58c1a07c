"""The page of error messages names messages that exist: a sentence that was reworded is noticed here."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "troubleshoot.md"
ROOMS = ("activation", "dashboard", "ingest", "lifecycle", "sandbox")
ANY = "\N{HORIZONTAL ELLIPSIS}"


def _said() -> list[str]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    return [row for row in rows if row != "it says"]


@cache
def _sentences() -> tuple[str, ...]:
    """Every text in the code, with what is filled in later as an ellipsis."""
    found = []
    for room in ROOMS:
        for path in (PROJECT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
                elif isinstance(node, ast.JoinedStr):
                    found.append("".join(part.value if isinstance(part, ast.Constant) else ANY for part in node.values))
    return tuple(found)


@pytest.mark.parametrize("message", _said())
def test_a_message_on_the_page_is_one_the_code_says(message: str) -> None:
    pattern = re.compile(".*".join(re.escape(part.strip()) for part in message.split(ANY)), re.IGNORECASE | re.DOTALL)
    assert any(pattern.search(sentence) for sentence in _sentences()), message


def test_the_page_has_messages() -> None:
    assert len(_said()) > 20
