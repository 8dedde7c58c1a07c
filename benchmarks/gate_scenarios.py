"""How a defect or a clean variation of a day's raw data is written down: SQL over the raw tables of one loaded day.

`{day}` is the new day (a date literal), `{unix}` its first second in unix time, `{half_key}` and `{tenth_key}` are
conditions that hold for about that share of the rows, always the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HALF = "md5_number_lower(cast({key} as varchar)) % 2 = 0"
TENTH = "md5_number_lower(cast({key} as varchar)) % 10 = 0"
EVENTS = "raw_product.events"
NEW_EVENTS = "received_date = {day}"

# classes of defects, as the score counts them
LOST = "rows lost"
TWICE = "rows twice"
FROZEN = "silo frozen for a day"
SWAPPED = "columns swapped"
EMPTIED = "columns emptied"
RENAMED = "labels changed"
CURRENCY = "currency changed"
UNIT = "unit or sign of amounts"
CLOCK = "time zone shifted"
FUTURE = "dated in the future"
GARBLED = "letters garbled"
UNDELETED = "ends and deletions lost"
RESTATED = "closed days altered"
LOAD = "load lost rows"
CLASSES = (
    LOST, TWICE, FROZEN, SWAPPED, EMPTIED, RENAMED, CURRENCY, UNIT, CLOCK, FUTURE, GARBLED, UNDELETED, RESTATED, LOAD,
)  # fmt: skip
CLEAN = "nothing is wrong"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One change of `tables` (schema.table of raw_*), made by `statements`. `kind` is one of CLASSES, or CLEAN."""

    name: str
    kind: str
    tables: tuple[str, ...]
    statements: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether the gate has to stay open."""
        return self.kind == CLEAN

    @property
    def subjects(self) -> set[str]:
        """How the gate names these tables: silo.table; of the log of extracts, the tables that it is about."""
        if self.tables == ("raw_ops.extract_tables",):
            return {"stripe.invoices", "zendesk.tickets"}
        named = {table.removeprefix("raw_") for table in self.tables}
        return named | {f"{name.split('.')[0]}.every_table" for name in named if len(named) > 1}

    @property
    def silos(self) -> set[str]:
        """The silos whose tables are changed."""
        return {subject.split(".")[0] for subject in self.subjects}


def frozen(silo: str, *tables: str, since: str) -> Scenario:
    """A defect of several tables of a silo: none has a row since then, and nothing says why."""
    names = tuple(f"raw_{silo}.{table}" for table in tables)
    return Scenario(
        f"{silo}: no row of the day", FROZEN, names, tuple(f"delete from {name} where {since}" for name in names)
    )


def wrong(table: str, **changes: tuple[str, ...]) -> list[Scenario]:
    """Defects of a table by name, each with its class and its statements."""
    return [Scenario(_name(table, name), change[0], (table,), change[1:]) for name, change in changes.items()]


def clean(table: str, **changes: str) -> list[Scenario]:
    """Clean variations of a table by name, each a statement."""
    return [Scenario(_name(table, name), CLEAN, (table,), (statement,)) for name, statement in changes.items()]


def again(table: str, key: str, where: str, new_key: str) -> str:
    """The rows once more, under other keys."""
    return f"insert into {table} select * replace ({new_key} as {key}) from {table} where {where}"


def mixed_up(table: str, column: str, where: str = "true", key: str = "id") -> str:
    """Every row gets the value of another: the same values in the same numbers, and none where it belongs."""
    other = f"lead({column}) over (order by md5(cast({key} as varchar)))"
    return (
        f"update {table} as t set {column} = others.v from (select {key} as k, {other} as v from {table}"
        f" where {where} and {column} is not null) as others where others.k = t.{key} and others.v is not null"
    )


def filled(statement: str, day: str, unix: int) -> str:
    """The statement with its day and conditions; `day` is ISO, `unix` its first second."""
    keys = ("id", "message_id", "user_id")
    conditions = {f"half_{key}": HALF.format(key=key) for key in keys} | {
        f"tenth_{key}": TENTH.format(key=key) for key in keys
    }
    return statement.format(day=f"date '{day}'", unix=unix, **conditions)


def rounds(scenarios: Iterable[Scenario]) -> list[list[Scenario]]:
    """Scenarios that can be planted together: at most one of each silo, because no raw table speaks of another silo."""
    found: list[list[Scenario]] = []
    for scenario in scenarios:
        for planted in found:
            if scenario.tables and all(other.tables and not other.silos & scenario.silos for other in planted):
                planted.append(scenario)
                break
        else:
            found.append([scenario])
    return found


def _name(table: str, name: str) -> str:
    return f"{table.split('.')[1]}: {name.replace('_', ' ')}"
