"""A run that published nothing shows the last good version again, with what happened written into it.

Readers open one file and ask it whether to believe it. After a blocked run that file is still the old one, and would
say that all is well. So the same numbers are published once more as a version of their own: every table as it was, but
for the logs of publications and checks, which are the warehouse's, and `source_refresh`, which says that newer data
was read and held back.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from lifecycle.publication import publish

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    import duckdb

    from lifecycle.progress import Progress
    from lifecycle.settings import Places

MARK = "+"  # between the name of the version whose numbers these are and the run that held others back
LOGS = ("publish_log", "gate_results")


def origin(version: str | None) -> str | None:
    """The version whose numbers this one shows: itself, unless it was shown again."""
    return None if version is None else version.split(MARK)[0]


def name_again(version: str, run_id: str) -> str:
    """What the version is called that shows `version` again after `run_id`."""
    return f"{origin(version)}{MARK}{run_id[-8:]}"


def show_again(
    connection: duckdb.DuckDBPyConnection,
    database: str,
    places: Places,
    version: str,
    held_back: tuple[datetime, str],
    progress: Progress,
    form: publish.Form,
) -> Path:
    """Publish what serves once more, as `version`, with the logs of the warehouse; the directory it is in.

    `held_back` is the instant of the run that was blocked, and why; `form` what a version consists of.

    Raises:
        publish.PublishError: if the copy fails its audit. What served before goes on serving.
    """
    work = places.published / "versions" / f"{publish.BUILDING}again"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    copy = work / "again.duckdb"
    shutil.copyfile(places.complete_file.resolve(), copy)
    connection.execute(f"attach '{str(copy).replace(chr(39), chr(39) * 2)}' as again")
    try:
        _write_in(connection, database, *held_back)
        connection.execute("checkpoint again")
        return publish.publish(connection, "again", places, version, progress, form)
    finally:
        connection.execute("detach again")
        shutil.rmtree(work, ignore_errors=True)


def _write_in(connection: duckdb.DuckDBPyConnection, database: str, as_of: datetime, reason: str) -> None:
    connection.execute("begin transaction")
    try:
        for name in LOGS:
            served, built = (_columns(connection, each, name) for each in ("again", database))
            if built and served == built:
                connection.execute(f"delete from again.marts.{name}")
                connection.execute(f'insert into again.marts.{name} select * from "{database}".marts.{name}')
            elif built:  # a newer project has other columns
                connection.execute(
                    f'create or replace table again.marts.{name} as select * from "{database}".marts.{name}'
                )
        if {"is_held_back", "held_back_as_of", "held_back_reason"} <= set(
            _columns(connection, "again", "source_refresh")
        ):
            connection.execute(
                "update again.marts.source_refresh set is_held_back = true, held_back_as_of = ?, held_back_reason = ?",
                [as_of, reason],
            )
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise


def _columns(connection: duckdb.DuckDBPyConnection, database: str, table: str) -> list[str]:
    rows = connection.execute(
        "select column_name from information_schema.columns"
        " where table_catalog = ? and table_schema = 'marts' and table_name = ? order by ordinal_position",
        [database, table],
    ).fetchall()
    return [name for (name,) in rows]
