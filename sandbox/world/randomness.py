"""Randomness as a function of (seed, day, purpose), so that any day can be simulated again alone."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
from numpy.random.bit_generator import ISeedSequence


class _Key(ISeedSequence):
    """A Philox key as it is. Given any other way, the system is asked for randomness first, which then is not used."""

    def __init__(self, *words: int) -> None:
        self._words = np.array(words, dtype=np.uint64)

    def generate_state(self, n_words: int, dtype: Any = np.uint64) -> np.ndarray:  # noqa: ARG002 - Philox asks for two
        return self._words


def generator(seed: int, day: int, purpose: str) -> np.random.Generator:
    """The random numbers of one purpose on one day."""
    key = _Key((seed & 0xFFFFFFFF) << 32 | crc32(purpose.encode()), day)
    # numpy takes any ISeedSequence; its type hints know the one that it brings
    return np.random.Generator(np.random.Philox(key))  # type: ignore[arg-type]


def message_ids(seed: int, day: int, positions: np.ndarray) -> np.ndarray:
    """The ids of the messages at some positions of a day, 16 hexadecimal digits each, no two the same: SplitMix64."""
    with np.errstate(over="ignore"):
        x = positions.astype(np.uint64) + np.uint64((day << 36) & 0xFFFFFFFFFFFFFFFF)
        x = x + np.uint64(crc32(str(seed).encode())) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    digits = np.frombuffer(b"0123456789abcdef", dtype="S1")
    octets = x.view(np.uint8).reshape(-1, 8)
    return np.stack([digits[octets >> 4], digits[octets & 15]], axis=2).reshape(-1, 16).copy().view("S16").ravel()
