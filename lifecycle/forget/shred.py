"""Files that are overwritten before they go: an unlinked file leaves its bytes on the disk.

Where a file system copies on write, or a disk spreads wear or is photographed by its cloud, overwriting reaches only
the copy that is there now; what remains has to be left to the disk's encryption.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CHUNK = 1 << 22
PATIENCE = 10.0  # seconds that readers of a file are waited for
PROCESSES = "/proc"


def shred(path: Path, *, patience: float = PATIENCE) -> int:
    """Overwrite a file with zeros, on the disk too, and remove it; how many readers were cut off by that.

    Readers that have it open are waited for. Whoever reads on after that finds nothing.
    """
    if path.is_symlink() or not path.exists():
        path.unlink(missing_ok=True)
        return 0
    until = time.monotonic() + patience
    while (reading := readers(path)) and time.monotonic() < until:
        time.sleep(0.1)
    size = path.stat().st_size
    path.chmod(0o600)
    with path.open("r+b", buffering=0) as file:
        zeros = bytes(CHUNK)
        for start in range(0, size, CHUNK):
            file.write(zeros[: min(CHUNK, size - start)])
        os.fsync(file.fileno())
    path.unlink()
    return reading


def shred_tree(directory: Path, *, patience: float = PATIENCE) -> tuple[int, int]:
    """Every file below a directory, and the directory; how many files, and how many readers were cut off."""
    files = [path for path in directory.rglob("*") if path.is_symlink() or path.is_file()]
    cut_off = sum(shred(path, patience=patience) for path in files)
    for folder in sorted((path for path in directory.rglob("*") if path.is_dir()), reverse=True):
        folder.rmdir()
    directory.rmdir()
    return len(files), cut_off


def readers(path: Path) -> int:
    """How many other processes of this machine have the file open, as far as this one may know."""
    if not os.path.isdir(PROCESSES):  # noqa: PTH112 - a constant, and other systems have none
        return 0
    wanted = path.stat()
    own = str(os.getpid())
    return sum(
        _has_open(f"{PROCESSES}/{process}/fd", wanted)
        for process in os.listdir(PROCESSES)  # noqa: PTH208 - names are all that is needed
        if process.isdigit() and process != own
    )


def _has_open(descriptors: str, wanted: os.stat_result) -> bool:
    try:
        for name in os.listdir(descriptors):  # noqa: PTH208
            found = os.stat(f"{descriptors}/{name}")  # noqa: PTH116 - follows what the descriptor points at
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    except OSError:  # the process ended, or is somebody else's
        return False
    return False


def mentions(path: Path, tokens: Iterable[str]) -> bool:
    """Whether a file's bytes, in either case of letters, hold any of the tokens (lower case)."""
    wanted = [token.encode() for token in tokens]
    longest = max(map(len, wanted), default=0)
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            text = tail + chunk.lower()
            if any(token in text for token in wanted):
                return True
            tail = text[-longest:] if longest else b""
    return False
