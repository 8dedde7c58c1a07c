"""What dbt does for every node and nobody here reads: left out, which is a quarter of the processor time of a build.

A build runs five hundred nodes, most of them within milliseconds, and for each of them dbt puts twenty events into
protocol buffers that no logger takes, makes an object for every macro there is, twice, and compiles the node's
templates anew. What a node does and what it says stay as they are (`tests/lifecycle/test_dbt_spared.py`):

- An event is put together when somebody reads it. Of those below a warning only `HEARD` are handed to callbacks.
- Macros are put into a context by dictionary and not one by one.
- What Jinja compiled is kept beside the project, and used as long as the template is the same text.
- The reader of a query's result is made once for the same columns.

All this replaces insides of dbt, so it happens only with the versions it was written for (`VERSIONS`, which the lock
files name); with any other dbt runs as it is, and slower.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import marshal
import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbt.clients.jinja import MacroGenerator
from dbt.context.macro_resolver import TestMacroNamespace
from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
from dbt.context.manifest import ManifestContext
from dbt.include.global_project import PROJECT_NAME
from dbt_common.clients import agate_helper, jinja
from dbt_common.events import event_manager_client
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from jinja2 import Undefined

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

VERSIONS = {"dbt-adapters": "1.24.5", "dbt-common": "1.39.0", "dbt-core": "1.11.16", "jinja2": "3.1.6"}
HEARD = frozenset({"LogStartLine", "PrintEvent"})  # what the run shows while dbt works; what a macro prints
TEMPLATES = Path(__file__).resolve().parent.parent / "target" / "templates.marshal"
MOST_TEMPLATES = 6000  # some three times what the project has; a file with more keeps what was used last

LOUD = frozenset({EventLevel.WARN, EventLevel.ERROR})

# dbt's own
PUT_TOGETHER = BaseEvent.__init__
FOUND_ABOVE: Any = super(ManifestContext, ManifestContext).to_dict
COMPILE = jinja.MacroFuzzEnvironment.compile
BUILD_TYPE_TESTER = agate_helper.build_type_tester


class Templates:
    """What Jinja made of each template, by the environment's kind and the template's text, from one run to the next.

    The file is read as Python reads its own compiled modules: whoever may write to it may run code here, as may whoever
    writes to the project's folder. One that is torn, or that other versions wrote, counts as none.
    """

    def __init__(self, path: Path = TEMPLATES) -> None:
        self.path = path
        self._made_by = repr((importlib.util.MAGIC_NUMBER, sorted(VERSIONS.items()))).encode()
        self._before = self._read()
        self._used: dict[bytes, CodeType] = {}

    def compiled(self, kind: str, source: str, compile_it: Callable[[], CodeType]) -> CodeType:
        """The code of a template, from `compile_it` if it was not compiled before."""
        key = hashlib.blake2b(f"{kind}\n{source}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
        code = self._used.get(key) or self._before.get(key)
        if code is None:
            code = compile_it()
        self._used[key] = code
        return code

    def keep(self) -> None:
        """Write down what is new, in one step; where the project cannot be written to, nothing is kept."""
        if self._used.keys() <= self._before.keys():
            return
        everything = {**self._before, **self._used}
        content = marshal.dumps(everything if len(everything) <= MOST_TEMPLATES else self._used)
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(self._seal(content) + content)
            fresh.replace(self.path)

    def _seal(self, content: bytes) -> bytes:
        return hashlib.blake2b(self._made_by + content, digest_size=32).digest()

    def _read(self) -> dict[bytes, CodeType]:
        try:
            whole = self.path.read_bytes()
        except OSError:
            return {}
        seal, content = whole[:32], whole[32:]
        if seal != self._seal(content):
            return {}
        found: dict[bytes, CodeType] = marshal.loads(content)  # noqa: S302 - see the class
        return found


def spare(templates: Templates) -> bool:
    """Leave all this out in this process from now on; False, and nothing done, with other versions of dbt."""
    if any(version(name) != wanted for name, wanted in VERSIONS.items()):
        return False
    for owner, name, value in replacements(templates):
        setattr(owner, name, value)
    return True


def replacements(templates: Templates) -> list[tuple[Any, str, Any]]:
    """What is replaced: where, under which name, by what."""

    def compiled(self: Any, source: Any, *args: Any, **kwargs: Any) -> Any:
        # while dbt reads the project it collects names that it does not know; such a template is compiled once
        is_usual = isinstance(source, str) and self.undefined is Undefined and not jinja.MACRO_DEBUGGING
        if args or kwargs or not is_usual:
            return COMPILE(self, source, *args, **kwargs)
        return templates.compiled(type(self).__name__, source, lambda: COMPILE(self, source))

    content = functools.cached_property(_content)
    content.__set_name__(BaseEvent, "pb_msg")
    return [
        (BaseEvent, "__init__", _remember),
        (BaseEvent, "pb_msg", content),
        (event_manager_client, "_EVENT_MANAGER", Selective()),
        (MacroGenerator, "__init__", _generate),
        (MacroNamespaceBuilder, "build_namespace", _build_namespace),
        (ManifestContext, "to_dict", _to_dict),
        (jinja.MacroFuzzEnvironment, "compile", compiled),
        (agate_helper, "build_type_tester", _build_type_tester),
    ]


def _remember(self: Any, *args: Any, **kwargs: Any) -> None:
    """In place of `BaseEvent.__init__`."""
    object.__setattr__(self, "_given", (args, kwargs))


def _content(self: Any) -> Any:
    """What `BaseEvent.__init__` would have made at once: the event's protocol buffer."""
    args, kwargs = object.__getattribute__(self, "_given")
    PUT_TOGETHER(self, *args, **kwargs)
    return self.__dict__["pb_msg"]


class Selective(EventManager):  # type: ignore[misc]
    """Hands on what somebody listens for."""

    def fire_event(
        self, e: Any, level: Any = None, node: Any = None, force_warn_or_error_handling: bool = False
    ) -> None:
        """See `EventManager`."""
        is_heard = force_warn_or_error_handling or type(e).__name__ in HEARD or (level or e.level_tag()) in LOUD
        if is_heard or any(logger.level not in LOUD for logger in self.loggers):
            super().fire_event(e, level, node, force_warn_or_error_handling)


def _generate(self: Any, macro: Any, context: Any = None, node: Any = None, stack: Any = None) -> None:
    """In place of `MacroGenerator.__init__` and the two that it calls."""
    self.context = context
    self.macro = macro
    self.node = node
    self.stack = stack


def _build_namespace(self: Any, macros_by_package: dict[str, dict[str, Any]], ctx: dict[str, Any]) -> MacroNamespace:
    """In place of `MacroNamespaceBuilder.build_namespace`."""
    node, stack = self.node, self.thread_ctx
    callables = {
        package: {name: MacroGenerator(macro, ctx, node, stack) for name, macro in macros.items()}
        for package, macros in macros_by_package.items()
    }
    inside: dict[str, Any] = {}
    for package in reversed(self.internal_package_names_order):  # the first of them wins
        inside.update(callables.get(package, {}))
    outside = {package: each for package, each in callables.items() if package not in self.internal_package_names}
    local = outside.get(self.search_package, {})
    root = {} if self.root_package == self.search_package else outside.get(self.root_package, {})
    return MacroNamespace(root, local, inside, outside)


def _to_dict(self: Any) -> dict[str, Any]:
    """In place of `ManifestContext.to_dict`."""
    found: dict[str, Any] = FOUND_ABOVE(self)
    names = self.namespace
    if isinstance(names, TestMacroNamespace):
        found.update(names.local_namespace)
        found.update(names.project_namespace)
    else:  # in the reverse of the order in which a name is looked for
        found.update(names.global_project_namespace)
        found[PROJECT_NAME] = names.global_project_namespace
        found.update(names.packages)
        found.update(names.global_namespace)
        found.update(names.local_namespace)
    return found


def _build_type_tester(text_columns: Any, string_null_values: Any = ("null", "")) -> Any:
    """In place of `agate_helper.build_type_tester`."""
    return _type_tester(frozenset(text_columns), tuple(string_null_values))


@functools.lru_cache(maxsize=256)
def _type_tester(text_columns: frozenset[str], string_null_values: tuple[str, ...]) -> Any:
    return BUILD_TYPE_TESTER(text_columns, string_null_values)
