"""Names that never change, as a function of (seed, kind, number)."""

from __future__ import annotations

from hashlib import blake2b


def token(seed: int, kind: str, number: int | str, size: int = 12) -> str:
    """A name for the `number`-th thing of a kind: 2 * `size` hexadecimal digits that never change."""
    return blake2b(f"{seed}:{kind}:{number}".encode(), digest_size=size).hexdigest()
