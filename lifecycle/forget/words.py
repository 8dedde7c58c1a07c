"""What a person was called, as a word in a text: ann@firm.example is not in joann@firm.example, nor usr_1 in usr_12."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ESCAPED = "%40"  # as a link spells the sign of an address
# shorter texts, and numbers, are found by accident in what means something else
SHORTEST = 6


def is_telling(text: str) -> bool:
    """Whether a text says whose it is wherever it stands."""
    return len(text) >= SHORTEST and not text.isdigit()


def pattern(texts: Iterable[str]) -> re.Pattern[str] | None:
    """What finds any of them as a word of its own, in either case; None for no texts.

    An address is also found with a +suffix, and as links spell it. What is not telling is found in the key of a record
    (product:user:42) and nowhere else.
    """
    longest_first = sorted({text.lower() for text in texts}, key=lambda text: (-len(text), text))
    return re.compile("|".join(map(_alone, longest_first)), re.IGNORECASE) if longest_first else None


def plain(found: str) -> str:
    """An address or id that `pattern` found, as it is without being a part of a link."""
    return found.replace(ESCAPED, "@")


def _alone(text: str) -> str:
    local, at, domain = text.partition("@")
    if at:
        name = f"{re.escape(local.partition('+')[0])}(?:[+][^@\\s]*)?(?:@|{ESCAPED}){re.escape(domain)}"
        return rf"(?<![\w.+-]){name}(?![\w-]|\.\w)"
    before = r"(?<![\w-])" if is_telling(text) else "(?<=[a-z]:)"
    return before + re.escape(text) + (r"(?![\w-]|\.\w)" if "." in text else r"(?![\w-])")
