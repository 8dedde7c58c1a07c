"""Parameters and arrays as PHP reads and writes them, which is how a Bitrix24 portal is spoken to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable


def php_query(query: str) -> dict[str, Any]:
    """A query string with nested brackets: `filter[>id]=5&select[]=id` becomes objects and lists."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(query.lstrip("?"), keep_blank_values=True):
        head, bracket, rest = name.partition("[")
        steps = re.findall(r"\[([^\[\]]*)\]", bracket + rest)
        node, key = tree, head
        for step in steps:
            inner = node.setdefault(key, {})
            if not isinstance(inner, dict):
                inner = node[key] = {}
            node, key = inner, step or str(len(inner))
        node[key] = value
    return {key: lists_inside(value) for key, value in tree.items()}


def lists_inside(value: Any) -> Any:
    """Turn objects with the keys 0, 1, 2 ... into lists, all the way down."""
    if not isinstance(value, dict):
        return value
    inner = {key: lists_inside(item) for key, item in value.items()}
    return php_array(inner) if inner else inner


def is_sequence(keys: Iterable[str]) -> bool:
    """Whether the keys are 0, 1, 2 ... in order: what PHP writes as a JSON list."""
    return all(key == str(index) for index, key in enumerate(keys))


def php_array(values: dict[str, Any]) -> Any:
    """A mapping as PHP writes it: a list when its keys count up from 0, and so also when it is empty."""
    return list(values.values()) if is_sequence(values) else values


def php_array_of_json(values: dict[str, bytes]) -> bytes:
    """The same for values that are JSON already."""
    if is_sequence(values):
        return b"[" + b",".join(values.values()) + b"]"
    return b"{" + b",".join(orjson.dumps(key) + b":" + value for key, value in values.items()) + b"}"
