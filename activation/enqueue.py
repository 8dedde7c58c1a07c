"""How an action that is wanted gets into the ledger: to wait for its turn, or as what is sent in this very moment.

What SQLAlchemy does to the parameters of every row costs more than all the rest, so in SQLite the rows go straight to
the driver. A server is asked once for all of them: there every question costs a round trip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from activation.actions import OPEN_STATES, State
from activation.prepared import Prepared, any_of, as_text
from activation.tables import listed, one_of, singles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from activation.actions import Action

COLUMNS = (
    "action_id", "destination", "object", "action", "customer_id", "occurrence_id", "occurred_at", "expires_at",
    "priority", "state", "payload", "payload_hash", "first_planned_at", "updated_at", "plan_id", "queued", "tries",
    "is_wanted", "order_key",
)  # fmt: skip
# of an action that was known already; the playbook may send it elsewhere now:
RENEWED = (
    "object", "action", "expires_at", "priority", "payload", "payload_hash", "plan_id", "queued", "tries", "is_wanted",
    "order_key",
)  # fmt: skip
# of an action that nobody heard of these are its own, in the order of Action; the rest is the same for all
OWN = ("seq", *COLUMNS[:9], "payload", "payload_hash")
_LAST = sa.select(sa.func.max(singles.c.seq))
_DRAWN = f"select nextval(pg_get_serial_sequence('{singles.name}', 'seq')) from generate_series(1, %s)"
_KNOWN = Prepared(sa.select(singles.c.action_id).where(one_of(singles.c.action_id, "ids")))


def known_singly(connection: sa.Connection, action_ids: Sequence[str]) -> set[str]:
    """Those of these that have rows of their own."""
    return {action_id for (action_id,) in _KNOWN.rows(connection, {"ids": listed(action_ids)})}


def rows_of(
    actions: Iterable[Action],
    now: datetime,
    *,
    plan_id: str | None,
    queued: str | None,
    order_key: Callable[[Action], str | None],
    is_wanted: bool,
) -> list[tuple[Any, ...]]:
    """The entries of these actions, in the order of COLUMNS."""
    when = as_text(now)
    return [
        (
            each.action_id, each.destination, each.object, each.action, each.customer_id, each.occurrence_id,
            each.occurred_at.isoformat(" ", "microseconds"), each.expires_at and as_text(each.expires_at),
            each.priority, "planned", each.payload,
            each.payload_hash, when, when, plan_id, queued, 0, is_wanted, order_key(each),
        )
        for each in actions
    ]  # fmt: skip


class Enqueueing:
    """The statement that notes actions, ready for one database.

    With `is_changed` it also takes up what was settled, if its payload is another one now.
    """

    def __init__(self, dialect: sa.Dialect, *, is_changed: bool) -> None:
        if dialect.name == "postgresql":
            several = sa.func.json_to_recordset(sa.cast(sa.bindparam("rows", type_=sa.Text), postgresql.JSON))
            given = several.table_valued(*[sa.column(name, singles.c[name].type) for name in COLUMNS])
            chosen = sa.select(*given.render_derived(with_types=True).c)
            insert: Any = postgresql.insert(singles).from_select(COLUMNS, chosen)
        else:
            insert = sqlite.insert(singles).values({name: sa.bindparam(name) for name in COLUMNS})
        self._statement = _renewing(insert, is_changed=is_changed)
        self._text = "" if dialect.name == "postgresql" else _in_order(self._statement, dialect, COLUMNS)

    def run(self, connection: sa.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Note these rows."""
        if self._text:
            connection.exec_driver_sql(self._text, list(rows))
        else:
            document = orjson.dumps([dict(zip(COLUMNS, row, strict=True)) for row in rows]).decode()
            connection.execute(self._statement, {"rows": document})


_KEEP = (
    sa.update(singles)
    .where(singles.c.action_id == sa.bindparam("id"), singles.c.acknowledged_hash == sa.bindparam("digest"))
    .where(singles.c.state == State.PLANNED, singles.c.lease.is_(None))
    .values(
        state=State.ACKNOWLEDGED,
        payload=sa.bindparam("text"),
        payload_hash=singles.c.acknowledged_hash,
        queued=None,
        plan_id=None,
    )
)


def keep(connection: sa.Connection, actions: Sequence[Action]) -> None:
    """Note that these are wanted as they were acknowledged, and that what was planned for them since is not."""
    rows = [{"id": each.action_id, "digest": each.payload_hash, "text": each.payload} for each in actions]
    connection.execute(_KEEP, rows)


def write(connection: sa.Connection, actions: Sequence[Action], shared: Mapping[str, Any]) -> Sequence[int]:
    """Write actions nobody heard of into rows of their own, the numbers of which are returned, in the same order.

    `shared` is what all have in common, by column. So one that is sent at once is written once, and not first planned,
    read again and only then intended.
    """
    numbers = _drawn(connection, len(actions))
    columns: list[Sequence[Any]] = list(zip(*actions, strict=True))
    for place in (6, 7):  # times, of which many are the same
        written = {moment: moment and as_text(moment) for moment in set(columns[place])}
        columns[place] = [written[moment] for moment in columns[place]]
    rows = list(zip(numbers, *columns, strict=True))
    if connection.dialect.name != "postgresql":
        # what is the same for all is written once: handing it over with every row costs more than its storage
        places, values = ", ".join("?" * len(OWN)), ", ".join(map(_literal, shared.values()))
        text = f"insert into {singles.name} ({', '.join([*OWN, *shared])}) values ({places}, {values})"
        connection.exec_driver_sql(text, rows)
        return numbers
    several = sa.func.json_to_recordset(sa.cast(sa.bindparam("rows", type_=sa.Text), postgresql.JSON))
    named = several.table_valued(*[sa.column(name, singles.c[name].type) for name in OWN])
    same = [sa.bindparam(f"all_{name}", value, type_=singles.c[name].type) for name, value in shared.items()]
    chosen = sa.select(*named.render_derived(with_types=True).c, *same)
    document = orjson.dumps([dict(zip(OWN, row, strict=True)) for row in rows]).decode()
    connection.execute(singles.insert().from_select([*OWN, *shared], chosen), {"rows": document})
    return numbers


def _drawn(connection: sa.Connection, number: int) -> Sequence[int]:
    """So many numbers for new rows, increasing."""
    if connection.dialect.name == "sqlite":  # nobody else writes before this transaction ends
        last = int(connection.execute(_LAST).scalar() or 0)
        return range(last + 1, last + 1 + number)
    return sorted(connection.exec_driver_sql(_DRAWN, (number,)).scalars())


def _literal(value: Any) -> str:
    """A value as it stands in SQLite's text."""
    if value is None:
        return "null"
    if isinstance(value, int | float):
        return repr(value)
    return "'{}'".format(str(as_text(value)).replace("'", "''"))


def _in_order(statement: Any, dialect: sa.Dialect, columns: Sequence[str]) -> str:
    """The statement's text, which takes these columns and nothing else."""
    compiled: Any = statement.compile(dialect=dialect)
    if tuple(compiled.positiontup) != tuple(columns):
        raise RuntimeError("The statement's parameters are not its columns.")
    return str(compiled)


def _renewing(insert: Any, *, is_changed: bool) -> Any:
    known, new = singles.c, insert.excluded
    in_open = any_of(known.state, OPEN_STATES)
    is_other = known.payload_hash != new.payload_hash
    goes_elsewhere = (known.destination != new.destination) & ~any_of(known.state, [State.ACKNOWLEDGED])
    may_change = (in_open | is_other | goes_elsewhere) if is_changed else in_open
    return insert.on_conflict_do_update(
        index_elements=["action_id"],
        set_={
            "state": sa.case((any_of(known.state, (State.UNKNOWN, State.WAITING)), known.state), else_=new.state),
            "due": sa.case((in_open, known.due), else_=sa.literal_column("0.0")),
            "given_up_at": sa.case((in_open, known.given_up_at), else_=known.attempt_count),
            "first_tried": sa.case((in_open, known.first_tried), else_=None),
            # who may have it is the one to be asked
            "destination": sa.case((any_of(known.state, [State.UNKNOWN]), known.destination), else_=new.destination),
            **{name: getattr(new, name) for name in RENEWED},
        },
        where=may_change & known.lease.is_(None),
    )
