"""How every command ends: done, or one sentence that says why not. Never a traceback on a person's terminal."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from activation.errors import DesiredError
from ingest.errors import IngestError
from lifecycle import settings
from lifecycle.errors import ConfigurationError, LifecycleError
from lifecycle.progress import Lines
from sandbox.detached import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPECTED = (LifecycleError, DesiredError, IngestError, ServerError)
# what a database says when it cannot go on, by the library that says it
DATABASE_ERRORS = (("duckdb", "Error"), ("sqlalchemy.exc", "SQLAlchemyError"))

NO_ROOM = 10 * 1024**2  # bytes; less than that, and no step of a run gets anywhere

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@contextlib.contextmanager
def answering(*, as_json: bool) -> Iterator[Lines]:
    """Run a command's body: what can be expected to go wrong ends in one sentence and exit code 2."""
    try:
        yield Lines(quiet=as_json)
    except EXPECTED as error:
        _fail(str(error), as_json=as_json)
    except KeyboardInterrupt:
        _fail("Interrupted; running it again goes on where this ended.", as_json=as_json)
    except _failures() as error:
        # a file that is no database, a file that is gone: the kind says it, the text of a database error may hold data
        if full := _full_disk():
            _fail(full, as_json=as_json)
        where = _keep_traceback()
        detail = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        looks = "" if isinstance(error, OSError) else " `lifecycle doctor` looks for what is damaged."
        _fail(f"It could not go on: {detail}.{looks} Details are in {where}.", as_json=as_json)


def say(value: Any, text: str, *, as_json: bool) -> None:
    """Print a command's answer: the value as JSON for programs, the text for people."""
    print(json.dumps(value) if as_json else text)  # noqa: T201


def console() -> Console:
    """Standard output; where that is no terminal, wide enough for the tables. What is in brackets is no markup.

    Much of what is shown was said by vendors and customers: their brackets are theirs.
    """
    found = Console(highlight=False, markup=False)
    return found if found.is_terminal else Console(highlight=False, markup=False, width=150)


def _failures() -> tuple[type[Exception], ...]:
    """What ends a command without being its fault; of databases, those that it has loaded: no other can have failed."""
    loaded = [getattr(sys.modules[module], name) for module, name in DATABASE_ERRORS if module in sys.modules]
    return (OSError, *loaded)


def _fail(sentence: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": sentence}))  # noqa: T201
    else:
        Console(stderr=True, highlight=False, soft_wrap=True).print(sentence, style="red", markup=False)
    raise typer.Exit(2)


def _full_disk() -> str:
    """What to say if there is no room for anything; databases call it by other names."""
    with contextlib.suppress(OSError, ConfigurationError):
        data_dir = settings.places().data_dir
        if shutil.disk_usage(data_dir).free < NO_ROOM:
            return (
                f"The disk with {data_dir} is full: make room, and run it again. What was loaded and published stays;"
                " `lifecycle doctor` says how much is wanted."
            )
    return ""


def _keep_traceback() -> Path:
    try:
        path = settings.places().data_dir / "last_error.log"
        path.write_text(traceback.format_exc(), encoding="utf-8")
    except (OSError, ConfigurationError):
        return Path("no file: none could be written")
    return path
