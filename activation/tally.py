"""What became of one destination's deliveries in one run."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Numbers of deliveries, but for `requests` and `limited`, which count requests (the latter the refused ones)."""

    destination: str
    acknowledged: int = 0
    rejected: int = 0
    unknown: int = 0
    waiting: int = 0
    dead: int = 0
    withdrawn: int = 0
    left: int = 0  # not begun, because the run was to send no more than so many
    requests: int = 0
    limited: int = 0
    stopped: str = ""
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether everything arrived."""
        return not (self.rejected or self.unknown or self.waiting or self.dead or self.stopped)

    @property
    def commonest_reason(self) -> str:
        """What the vendor said most often when it did not take something; empty if it took everything."""
        return max(sorted(self.reasons), key=lambda reason: self.reasons[reason], default="")

    def blame(self, reason: str) -> None:
        """Count a reason for not taking something."""
        if reason:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
