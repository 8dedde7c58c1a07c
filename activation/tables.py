"""The ledger's tables, and what differs between the two databases that can hold it."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from activation.actions import State
from activation.prepared import any_of

if TYPE_CHECKING:
    from collections.abc import Collection

BUSY_SECONDS = 30.0
# parameters are payloads, and the text of an error ends in a log
USUAL: dict[str, Any] = {"pool_size": 10, "max_overflow": 10, "hide_parameters": True}

metadata = sa.MetaData()

deliveries = sa.Table(
    "deliveries",
    metadata,
    # what is enqueued together lies together, and is found again by this number without a detour
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True),
    sa.Column("action_id", sa.Text, nullable=False, unique=True),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("occurrence_id", sa.Text, nullable=False),
    sa.Column("occurred_at", sa.DateTime, nullable=False),
    sa.Column("expires_at", sa.DateTime),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),  # what the next send carries or the last one carried
    sa.Column("payload_hash", sa.Text, nullable=False),
    sa.Column("acknowledged_hash", sa.Text),
    sa.Column("vendor_reference", sa.Text),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("attempt_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("first_planned_at", sa.DateTime, nullable=False),
    sa.Column("started_at", sa.DateTime),  # when the last intent was committed
    sa.Column("acknowledged_at", sa.DateTime),
    sa.Column("updated_at", sa.DateTime, nullable=False),
    # the queue: wall clock in unix seconds, because promises to vendors and leases are about real time
    sa.Column("plan_id", sa.Text),  # the plan that last wanted it
    sa.Column("queued", sa.Text),  # the queue in which the row is free to be claimed, see `openings`; else null
    sa.Column("due", sa.Float, nullable=False, server_default="0"),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),  # requests under the present plan
    sa.Column("given_up_at", sa.Integer, nullable=False, server_default="0"),  # attempts before a person asked again
    sa.Column("first_tried", sa.Float),  # since when it has been tried without an end; the age that is capped
    sa.Column("is_wanted", sa.Boolean, nullable=False, server_default=sa.true()),  # false: only find out, never send
    sa.Column("order_key", sa.Text),
    sa.Column("lease", sa.Text),  # the worker that holds it, see `workers`
)

# Indexes are written in every commit, so each is kept in an order in which neighbours change together.
sa.Index(
    "deliveries_queue",
    *[deliveries.c[name] for name in ("queued", "destination", "priority", "occurred_at", "action_id")],
    sqlite_where=deliveries.c.queued.is_not(None),
    postgresql_where=deliveries.c.queued.is_not(None),
)
# What was delivered is compared with every plan, and reading it must not mean reading payloads:
sa.Index(
    "deliveries_delivered",
    deliveries.c.acknowledged_at,
    deliveries.c.action_id,
    deliveries.c.payload_hash,
    sqlite_where=deliveries.c.state == "acknowledged",
    postgresql_where=deliveries.c.state == "acknowledged",
)
# What nobody can vouch for is looked for in every plan:
IS_UNKNOWN = any_of(deliveries.c.state, [State.UNKNOWN])
sa.Index("deliveries_unknown", deliveries.c.seq, sqlite_where=IS_UNKNOWN, postgresql_where=IS_UNKNOWN)
sa.Index(
    "deliveries_in_order",
    deliveries.c.destination,
    deliveries.c.order_key,
    sqlite_where=deliveries.c.order_key.is_not(None),
    postgresql_where=deliveries.c.order_key.is_not(None),
)

attempts = sa.Table(
    "attempts",
    metadata,
    # no key: it is only ever appended to, in the same transaction that ends the attempt, and a key would be an index
    sa.Column("attempt_id", sa.Text, nullable=False),
    sa.Column("action_id", sa.Text, nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("attempt_number", sa.Integer, nullable=False),
    sa.Column("started_at", sa.DateTime, nullable=False),
    sa.Column("finished_at", sa.DateTime, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("status_code", sa.Integer),
    sa.Column("reason", sa.Text, nullable=False),
)

# Who may hold deliveries, and until when it is taken for alive. What a worker holds says so in `lease`, which has no
# index: it is written for every action, and only asked for after somebody died.
workers = sa.Table(
    "workers",
    metadata,
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("lease_until", sa.Float, nullable=False),
)

# Which queues the workers of a plan may claim from: what is enqueued waits in a queue of its own until somebody has
# looked at the whole of it, and opening it is one row, however much is in it.
openings = sa.Table(
    "openings",
    metadata,
    sa.Column("queue", sa.Text, primary_key=True),
    sa.Column("plan_id", sa.Text, nullable=False),
    sa.Column("opened_at", sa.Float, nullable=False),
)

# one row per destination: its token bucket, and until when it is left alone; shared by all workers
pace = sa.Table(
    "pace",
    metadata,
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("tokens", sa.Float, nullable=False),
    sa.Column("filled_at", sa.Float, nullable=False),
    sa.Column("paused_until", sa.Float, nullable=False, server_default="0"),
    sa.Column("paused_for", sa.Text, nullable=False, server_default=""),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),  # requests in a row that came to nothing
    sa.Column("openings", sa.Integer, nullable=False, server_default="0"),  # times in a row that the breaker opened
)


def engine_for(url: str) -> sa.Engine:
    """An engine for the ledger at this address, its tables made.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: if the database cannot be opened.
        ModuleNotFoundError: if the driver for PostgreSQL is not installed.
    """
    address = sa.make_url(url)
    if address.get_backend_name() == "postgresql":
        # pg8000 is the driver: pure Python, BSD
        engine = sa.create_engine(address.set(drivername="postgresql+pg8000"), **USUAL)
        sa.event.listen(engine, "begin", _begin_alone)
    else:
        path = Path(str(address.database))
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)  # payloads hold e-mail addresses
        engine = sa.create_engine(address, connect_args={"timeout": BUSY_SECONDS}, **USUAL)
        sa.event.listen(engine, "connect", _configure)
        sa.event.listen(engine, "begin", _begin_immediate)
    _create(engine)
    return engine


def _create(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        known = sa.inspect(connection)
        before: list[str] = []
        if known.has_table(deliveries.name):
            before = [column["name"] for column in known.get_columns(deliveries.name)]
        if not before or {column.name for column in deliveries.columns} <= set(before):
            metadata.create_all(connection)
            return
        # a ledger of an earlier version is copied into the tables of this one
        indexes = known.get_indexes(deliveries.name)
        connection.exec_driver_sql("alter table deliveries rename to deliveries_before")
        if engine.dialect.name == "postgresql":  # keeps the names of constraints
            connection.exec_driver_sql("alter table deliveries_before drop constraint deliveries_pkey")
        for index in indexes:
            connection.exec_driver_sql(f"drop index if exists {index['name']}")
        metadata.create_all(connection)
        shared = ", ".join(column.name for column in deliveries.columns if column.name in before)
        connection.exec_driver_sql(f"insert into deliveries ({shared}) select {shared} from deliveries_before")
        connection.exec_driver_sql("drop table deliveries_before")


def _configure(raw: Any, _record: Any) -> None:
    # the driver must not open transactions by itself: `begin immediate` below takes the write lock up front, so that
    # two threads wait for each other instead of failing half-way
    raw.isolation_level = None
    cursor = raw.cursor()
    cursor.execute(f"pragma busy_timeout = {int(BUSY_SECONDS * 1000)}")
    cursor.execute("pragma page_size = 8192")  # of a new ledger; a step writes whole pages, each with some ten rows
    cursor.execute("pragma journal_mode = wal")
    cursor.execute("pragma synchronous = full")
    cursor.execute("pragma cache_size = -8000")  # KiB; what a step changes is not read again and again
    cursor.execute("pragma wal_autocheckpoint = 8000")  # pages; fewer of them means fewer waits for the disk
    cursor.close()


def _begin_alone(connection: sa.Connection) -> None:
    # one writer at a time, as SQLite has it: workers that lock rows in different orders would stop each other
    if not connection.get_execution_options().get("only_reads"):
        connection.exec_driver_sql("select pg_advisory_xact_lock(7261190417)")


def _begin_immediate(connection: sa.Connection) -> None:
    if not connection.get_execution_options().get("only_reads"):
        connection.exec_driver_sql("begin immediate")


# Many rows in one statement: as one parameter of JSON, because the text of a statement that changes with the number of
# its parameters has to be put together, parsed and planned again every time.


class _Listed(FunctionElement[Any]):
    inherit_cache = True
    name = "listed"


class _Mapped(FunctionElement[Any]):
    inherit_cache = True
    name = "mapped"


@compiles(_Listed, "sqlite")
@compiles(_Mapped, "sqlite")
def _in_sqlite(element: Any, compiler: Any, **how: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **how)})"


@compiles(_Listed, "postgresql")
def _list_in_postgresql(element: Any, compiler: Any, **how: Any) -> str:
    return f"json_array_elements_text(cast({compiler.process(element.clauses, **how)} as json))"


@compiles(_Mapped, "postgresql")
def _map_in_postgresql(element: Any, compiler: Any, **how: Any) -> str:
    return f"json_each_text(cast({compiler.process(element.clauses, **how)} as json))"


def listed(keys: Collection[str] | Collection[int]) -> str:
    """The list as such a parameter."""
    return orjson.dumps(list(keys)).decode()


def one_of(column: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
    """Whether the column is in the list that the parameter holds as JSON."""
    each = _Listed(sa.bindparam(parameter, type_=sa.Text)).table_valued(sa.column("value", sa.Text))
    return column.in_(sa.select(sa.cast(each.c.value, column.type)))


def pairs(parameter: str) -> sa.TableValuedAlias:
    """The keys and values of the object of strings that the parameter holds as JSON."""
    found = _Mapped(sa.bindparam(parameter, type_=sa.Text))
    return found.table_valued(sa.column("key", sa.Text), sa.column("value", sa.Text))


# Workers


def own_name(number: int = 0) -> str:
    """This process as the holder of leases: host, process id, and when the process started."""
    return f"{socket.gethostname()}/{os.getpid()}/{_started(os.getpid())}/{number}"


def is_gone(worker: str) -> bool:
    """Whether the worker surely no longer lives: a process of this machine that has ended."""
    host, pid, started, _ = worker.rsplit("/", 3)
    return host == socket.gethostname() and _started(int(pid)) != started


def _started(pid: int) -> str:
    """When a process of this machine started, as the kernel counts; empty if there is none (any more)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return _alive_without_proc(pid)
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else fields[19]


def _alive_without_proc(pid: int) -> str:
    if Path("/proc/self").exists():
        return ""
    try:  # other systems than Linux: whether the number is taken is all that can be known
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "alive"
    return "alive"
