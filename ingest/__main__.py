"""`python -m ingest [SOURCE ...]`: extract the named sources, or all of them, and print how each one ended."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from dataclasses import dataclass
from pathlib import Path

from ingest import given
from ingest.errors import ConfigurationError
from ingest.extract import SOURCES, run


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that `run` asks for."""

    data_dir: Path


def main() -> int:
    """Exit code 0: all sources are loaded; 1: at least one failed; 2: a setting is missing or wrong."""
    parser = argparse.ArgumentParser(prog="python -m ingest", description=__doc__)
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help=f"one of {', '.join(SOURCES)}; all when left out")
    parser.add_argument(
        "--as-of",
        type=_instant,
        default=dt.datetime.now(dt.UTC).replace(microsecond=0, tzinfo=None),
        help="the instant this run stands at, in UTC, as 2026-11-01T06:00:00; the machine's clock when left out",
    )
    arguments = parser.parse_args()
    settings = Settings(Path(given.find("lifecycle.data_dir", is_secret=False) or "data"))
    try:
        results = run(
            settings,
            run_id=f"ingest-{arguments.as_of:%Y%m%dT%H%M%S}",
            as_of=arguments.as_of,
            sources=arguments.sources or None,
            progress=lambda source, sentence: print(f"{source}: {sentence}", flush=True),  # noqa: T201
        )
    except ConfigurationError as wrong:
        sys.stderr.write(f"{wrong}\n")
        return 2
    if any(result.is_misconfigured for result in results):
        return 2
    return 0 if all(result.ok for result in results) else 1


def _instant(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment


if __name__ == "__main__":
    sys.exit(main())
