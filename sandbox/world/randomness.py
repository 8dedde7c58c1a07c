"""Randomness as a function of (seed, day, purpose), so that any day can be simulated again alone."""

from __future__ import annotations

from hashlib import blake2b
from zlib import crc32

import numpy as np


def generator(seed: int, day: int, purpose: str) -> np.random.Generator:
    """The random numbers of one purpose on one day."""
    key = ((seed & 0xFFFFFFFF) << 32 | crc32(purpose.encode()), day)
    return np.random.Generator(np.random.Philox(key=np.array(key, dtype=np.uint64)))


def token(seed: int, kind: str, number: int | str, size: int = 12) -> str:
    """A name for the `number`-th thing of a kind: 2 * `size` hexadecimal digits that never change."""
    return blake2b(f"{seed}:{kind}:{number}".encode(), digest_size=size).hexdigest()


def unit(seed: int, kind: str, number: int | str) -> float:
    """A number in [0, 1) that belongs to the `number`-th thing of a kind."""
    return int.from_bytes(blake2b(f"{seed}:{kind}:{number}".encode(), digest_size=8).digest(), "big") / 2**64


def message_ids(seed: int, day: int, count: int) -> np.ndarray:
    """`count` different message ids of a day, as 16 hexadecimal digits each: SplitMix64 over (day, position)."""
    with np.errstate(over="ignore"):
        x = np.arange(count, dtype=np.uint64) + np.uint64((day << 36) & 0xFFFFFFFFFFFFFFFF)
        x = x + np.uint64(crc32(str(seed).encode())) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    digits = np.frombuffer(b"0123456789abcdef", dtype="S1")
    octets = x.view(np.uint8).reshape(-1, 8)
    return np.stack([digits[octets >> 4], digits[octets & 15]], axis=2).reshape(-1, 16).copy().view("S16").ravel()
