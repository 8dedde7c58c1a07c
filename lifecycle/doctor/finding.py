"""What the doctor says about one thing."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`state` is ok, warn (a run works, something will hurt) or fail (a run cannot work). `remedy` is what to do."""

    area: str
    subject: str
    state: str
    text: str
    remedy: str = ""
