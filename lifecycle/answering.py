"""How every command ends: done, or one sentence that says why not. Never a traceback on a person's terminal."""

from __future__ import annotations

import json
import sys
import traceback
from contextlib import contextmanager
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

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@contextmanager
def answering(*, as_json: bool) -> Iterator[Lines]:
    """Run a command's body: what can be expected to go wrong ends in one sentence and exit code 2."""
    try:
        yield Lines(quiet=as_json)
    except EXPECTED as error:
        _fail(str(error), as_json=as_json)
    except KeyboardInterrupt:
        _fail("Interrupted; running it again goes on where this ended.", as_json=as_json)
    except _failures() as error:
        # a full disk, a file that is no database: the kind says it, the text of a database error may hold data
        where = _keep_traceback()
        detail = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        looks = "" if isinstance(error, OSError) else " `lifecycle doctor` looks for what is damaged."
        _fail(f"It could not go on: {detail}.{looks} Details are in {where}.", as_json=as_json)


def say(value: Any, text: str, *, as_json: bool) -> None:
    """Print a command's answer: the value as JSON for programs, the text for people."""
    print(json.dumps(value) if as_json else text)  # noqa: T201


def console() -> Console:
    """Standard output; where that is no terminal, wide enough for the tables."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=150)


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


def _keep_traceback() -> Path:
    try:
        path = settings.places().data_dir / "last_error.log"
        path.write_text(traceback.format_exc(), encoding="utf-8")
    except (OSError, ConfigurationError):
        return Path("the system's log")
    return path
