"""One way to append to a log in `raw_ops` what a publication is the first to show.

What readers were shown last time is no function of what was loaded, the seeds and `as_of`, so it is noted: states,
identities, verdicts and profiles, each in a log of its own. A log is a function of what was published at which instant:
showing another version of the same instant replaces what was noted for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb


def replace_instant(
    connection: duckdb.DuckDBPyConnection, forget: str, append: str, *, run_id: str, as_of: datetime
) -> int:
    """Forget what was noted at this instant and append what is shown now, both or neither; how many rows that are.

    `forget` takes $as_of, `append` takes $as_of and $run_id. Calling it again for the same instant changes nothing.
    """
    connection.execute("begin transaction")
    try:
        connection.execute(forget, {"as_of": as_of})
        row = connection.execute(append, {"as_of": as_of, "run_id": run_id}).fetchone()
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return int(row[0]) if row else 0
