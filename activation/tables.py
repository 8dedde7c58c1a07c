"""The ledger's tables, and what differs between the two databases that can hold it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from activation.actions import State
from activation.prepared import any_of
from activation.views import views

if TYPE_CHECKING:
    from collections.abc import Collection

BUSY_SECONDS = 30.0
# parameters are payloads, and the text of an error ends in a log
USUAL: dict[str, Any] = {"pool_size": 10, "max_overflow": 10, "hide_parameters": True}

metadata = sa.MetaData()

# Deliveries that are kept one by one, because they have a history or may yet get one; see `batches` for the others.
singles = sa.Table(
    "single_deliveries",
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
    "singles_queue",
    *[singles.c[name] for name in ("queued", "destination", "priority", "occurred_at", "action_id")],
    sqlite_where=singles.c.queued.is_not(None),
    postgresql_where=singles.c.queued.is_not(None),
)
# What was delivered is compared with every plan, and reading it must not mean reading payloads:
sa.Index(
    "singles_delivered",
    singles.c.acknowledged_at,
    singles.c.action_id,
    singles.c.payload_hash,
    sqlite_where=singles.c.state == "acknowledged",
    postgresql_where=singles.c.state == "acknowledged",
)
# What nobody can vouch for is looked for in every plan:
IS_UNKNOWN = any_of(singles.c.state, [State.UNKNOWN])
sa.Index("singles_unknown", singles.c.seq, sqlite_where=IS_UNKNOWN, postgresql_where=IS_UNKNOWN)
sa.Index(
    "singles_in_order",
    singles.c.destination,
    singles.c.order_key,
    sqlite_where=singles.c.order_key.is_not(None),
    postgresql_where=singles.c.order_key.is_not(None),
)

single_attempts = sa.Table(
    "single_attempts",
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

# Requests of what nobody heard of before: each with all its actions in one row, written once with the intent to send
# it, and beside it the outcome that they share. One that meets with anything but being taken as a whole is taken apart
# (`APART` in batches.py), and its deliveries go on one by one. A row for each would cost several times as much.
batches = sa.Table(
    "batches",
    metadata,
    # increasing in the order of the commits; rows stay, so that no number is ever given twice
    sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("status_code", sa.Integer),
    sa.Column("started_at", sa.DateTime, nullable=False),  # when the intent was committed
    sa.Column("finished_at", sa.DateTime),
    sa.Column("tried_at", sa.Float, nullable=False),  # the same as started_at, on the wall clock
    sa.Column("plan_id", sa.Text, nullable=False),
    sa.Column("worker", sa.Text, nullable=False),  # who sent it
)
IS_OUT = any_of(batches.c.state, [State.SENDING])
sa.Index("batches_out", batches.c.batch_id, sqlite_where=IS_OUT, postgresql_where=IS_OUT)

# What is in a request, and what became of it, beside it: so that neither is rewritten with the other's change.
contents = sa.Table(
    "batch_contents",
    metadata,
    sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("lines", sa.Text, nullable=False),  # per action a line: hash of the payload, tab, action id
    sa.Column("facts", sa.Text, nullable=False),  # JSON, per action the list of FACTS
    sa.Column("payloads", sa.Text),  # JSON, per action its payload as text; null once they are erased
)
references = sa.Table(
    "batch_references",
    metadata,
    sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("vendor_references", sa.Text, nullable=False),  # JSON, per action the vendor's name for it, or null
)
BATCHED = (batches, contents, references)

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
        names = set(known.get_table_names())
        # a ledger of an earlier version is copied into the tables of this one
        for table, earlier in ((singles, "deliveries"), (single_attempts, "attempts")):
            for name in names & {earlier, table.name}:
                columns = {column["name"] for column in known.get_columns(name)}
                if name == earlier or not {column.name for column in table.columns} <= columns:
                    _copy(connection, name, table, columns)
        metadata.create_all(connection)
        shown = set(sa.inspect(connection).get_view_names())
        for name, statement in views(engine.dialect.name).items():
            if name not in shown:
                connection.exec_driver_sql(statement)


def _copy(connection: sa.Connection, name: str, table: sa.Table, columns: Collection[str]) -> None:
    connection.exec_driver_sql(f"alter table {name} rename to before_this")
    if connection.dialect.name == "postgresql":  # keeps the names of constraints
        for key in ("pkey", "action_id_key"):
            connection.exec_driver_sql(f"alter table before_this drop constraint if exists {name}_{key}")
    for index in sa.inspect(connection).get_indexes("before_this"):
        connection.exec_driver_sql(f"drop index if exists {index['name']}")
    for view in sa.inspect(connection).get_view_names():
        connection.exec_driver_sql(f"drop view {view}")
    table.create(connection)
    shared = ", ".join(column.name for column in table.columns if column.name in columns)
    connection.exec_driver_sql(f"insert into {table.name} ({shared}) select {shared} from before_this")
    connection.exec_driver_sql("drop table before_this")


def _configure(raw: Any, _record: Any) -> None:
    # the driver must not open transactions by itself: `begin immediate` below takes the write lock up front, so that
    # two threads wait for each other instead of failing half-way
    raw.isolation_level = None
    cursor = raw.cursor()
    cursor.execute(f"pragma busy_timeout = {int(BUSY_SECONDS * 1000)}")
    cursor.execute("pragma page_size = 8192")  # of a new ledger; a step writes whole pages, each with some ten rows
    cursor.execute("pragma journal_mode = wal")
    cursor.execute("pragma synchronous = full")
    cursor.execute("pragma secure_delete = on")  # what is erased is overwritten; most of the world's SQLite does not
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
