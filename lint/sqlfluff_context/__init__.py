"""What sqlfluff's jinja templater needs to know of dbt, so that models lint without a warehouse.

The linter reads the SQL around a macro, never what the macro returns on an engine, so a dispatched macro renders as a
call of its own name on its first argument: `json_text(context)`. A list renders as its members, nested ones included.
"""

from __future__ import annotations

import gc
import threading
from typing import Any

from tqdm import tqdm

# sqlfluff loads this before each file. Left to itself the collector walks a tree time and again while it grows, and
# finds nothing; here, between two files, what it walks is garbage
gc.disable()
if not gc.get_freeze_count():
    gc.freeze()
elif gc.get_count()[0] > 2_000_000:
    gc.collect()
# a progress bar, shown or not, makes a lock between processes; theirs is never given back, which Python complains about
tqdm.set_lock(threading.RLock())


def _sql(argument: object) -> str:
    """The argument of a macro as it may stand in SQL."""
    return ", ".join(map(_sql, argument)) if isinstance(argument, (list, tuple)) else str(argument)


class _Adapter:
    """Stands for dbt's `adapter`."""

    @staticmethod
    def dispatch(macro: str, *_: object) -> Any:
        """A function that renders as a call of the macro."""
        return lambda *arguments, **_named: f"{macro}({_sql(arguments[0]) if arguments else ''})"


class _CrossDatabase:
    """Stands for dbt's cross-database macros: `dbt.dateadd(...)` renders as `dateadd(...)` on its columns."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("type_"):
            return lambda: {"type_string": "varchar", "type_int": "integer"}.get(name, name.removeprefix("type_"))
        return lambda *arguments, **_named: f"{name}({arguments[-1] if arguments else ''})"


adapter = _Adapter()
graph: dict[str, Any] = {}
dbt = _CrossDatabase()
globals()["return"] = lambda value: value
