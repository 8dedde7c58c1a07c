"""What dlt finds out anew thousands of times in a load, found out once: a sixth of what a small load costs.

Both answers depend on their question alone. They are about dlt 1.31.0, which is pinned; another version may remember
them by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import typing_extensions
from dlt.common import validation
from dlt.common.configuration import resolve
from dlt.common.configuration.providers import environ
from dlt.common.configuration.specs.base_configuration import is_secret_hint


def remember() -> None:
    """Let dlt remember, for the rest of this process, which types are secrets' and what its own types hold."""
    secret = _remembered(is_secret_hint)
    for module in (environ, resolve):
        vars(module)["is_secret_hint"] = secret
    vars(validation)["get_type_hints"] = _type_hints


def _remembered(asked: Callable[[Any], bool]) -> Callable[[Any], bool]:
    cached = functools.cache(asked)

    def answered(hint: Any) -> bool:
        try:
            return cached(hint)
        except TypeError:  # a type that cannot be looked up, with a list in its annotation
            return asked(hint)

    return answered


@functools.cache
def _hints_of(spec: type) -> dict[str, Any]:
    return typing_extensions.get_type_hints(spec)


def _type_hints(spec: type, **_: Any) -> dict[str, Any]:
    """The types of a dictionary's values; dlt asks with the names of the module that the type is from anyway."""
    return _hints_of(spec)
