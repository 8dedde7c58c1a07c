"""The process that does the extracting: a child per source, so that one core parses while the other waits or loads.

Started by `ingest.extract`, fed one JSON request on standard input, it answers with JSON lines on standard output. It
exists apart from the caller because forking is only safe before there are threads, and importing dlt once per source
would take longer than a quiet run. When the caller dies, so do the children: their input ends.
"""

from __future__ import annotations

import datetime as dt
import gc
import importlib
import json
import multiprocessing
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import dlt

from ingest import extract, pipeline


def main() -> int:
    """Serve one request."""
    request = json.loads(sys.stdin.readline())
    pipeline.apply_dlt_settings()
    # children inherit the imports; none of them starts a thread before this point
    _preload(request["sources"])
    gc.freeze()  # their collectors need not walk them
    context = multiprocessing.get_context("fork")
    lock = context.Lock()
    # multiprocessing closes standard input in its children
    caller = os.dup(sys.stdin.fileno())
    children = [
        context.Process(target=_work, args=(source, request, lock, caller), name=source)
        for source in request["sources"]
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
        if child.exitcode:
            _tell(lock, {"kind": "died", "source": child.name, "exit_code": child.exitcode})
    gc.unfreeze()  # extension modules call what is left at the end a leak
    return 0


def _preload(sources: list[str]) -> None:
    for module in (*extract.LIBRARIES, *(f"ingest.{source}" for source in sources)):
        importlib.import_module(module)
    # dlt looks for its plugins and reads its own settings at the first question
    dlt.config.get("runtime.log_level")


def _work(source: str, request: dict[str, Any], lock: Any, caller: int) -> None:
    threading.Thread(target=_die_with_caller, args=(caller,), daemon=True).start()

    def say(sentence: str) -> None:
        _tell(lock, {"kind": "progress", "source": source, "sentence": sentence})

    result = pipeline.run_source(
        source,
        run_id=request["run_id"],
        as_of=dt.datetime.fromisoformat(request["as_of"]),
        data_dir=Path(request["data_dir"]),
        say=say,
    )
    message = asdict(result)
    message["data_through_at"] = result.data_through_at.isoformat() if result.data_through_at else None
    _tell(lock, {"kind": "result", "source": source, "result": message})


def _tell(lock: Any, message: dict[str, Any], stream: TextIO | None = None) -> None:
    stream = stream or sys.__stdout__
    if stream is None:
        return
    with lock:
        stream.write(json.dumps(message) + "\n")
        stream.flush()


def _die_with_caller(caller: int) -> None:
    """Block until the caller's end of standard input closes, then stop at once, whatever is going on."""
    while os.read(caller, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
