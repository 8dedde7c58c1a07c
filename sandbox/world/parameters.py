"""What a world can be asked for: its size, its seed and how often each identity edge case happens."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from datetime import date
from typing import Any

FOUNDED_AT = 1746057600
"""2025-05-01T00:00:00Z, the company's first second, in unix seconds."""

DAY = 86400
HOUR = 3600
CLOCK_HOUR = 6
"""The world's clock always shows 06:00 UTC: the night's data is in, the working day is not."""

DAYS_PER_MONTH = 365.25 / 12

NEVER = 4e9
"""An instant that has not come: later than every simulated one (unix seconds)."""


@dataclass(frozen=True, slots=True)
class EdgeCases:
    """How often each identity edge case happens: a share of what the comment names, between 0 and 1."""

    several_emails: float = 0.10  # of persons: a second address that other silos know them by
    case_variant: float = 0.06  # of records outside the product: the address in another letter case
    plus_address: float = 0.03  # of records outside the product: name+tag@domain
    shared_inbox: float = 0.35  # of billing customers: billing@ of the company instead of a person
    outsourced_billing: float = 0.006  # of billing customers: the inbox of a bookkeeper who serves several companies
    free_mail: float = 0.08  # of companies: no domain of their own
    domain_change: float = 0.015  # of companies: another domain after some months
    company_merger: float = 0.008  # of companies: bought by another customer after some months
    duplicate_billing_customer: float = 0.04  # of companies: a second billing customer without our account id
    lead_and_contact: float = 0.20  # of converted leads: lead and contact of one person without a link
    unknown_requester: float = 0.07  # of tickets: written from an address that the product does not know
    anonymous_before_sign_up: float = 0.70  # of sign-ups: seen on the site before, tied together later
    anonymous_never_tied: float = 0.04  # of sign-ups: seen before on a device that never signed in
    reused_email: float = 0.005  # of companies: first user writes from an address that was somebody else's before

    def __post_init__(self) -> None:
        for item in fields(self):
            if not 0 <= getattr(self, item.name) <= 1:
                raise ValueError(
                    f"The frequency {item.name} is {getattr(self, item.name)}; give a share between 0 and 1."
                )


@dataclass(frozen=True, slots=True)
class WorldParameters:
    """A world: how many companies sign up in how many months, how many events a day, and the seed.

    `customers` is the expected number of accounts that sign up within `months`; `events_per_day` the expected mean
    over those months. The same parameters always give the same world.

    Raises:
        ValueError: if a size is not positive or a frequency is not a share.
    """

    customers: int = 2000
    months: int = 18
    events_per_day: int = 1650
    seed: int = 20250501
    edge_cases: EdgeCases = field(default_factory=EdgeCases)
    net_of_fees: tuple[int, int] = (0, 0)
    """From which of the world's days to before which finance reports payments after the card fees: a changed habit."""

    def __post_init__(self) -> None:
        for name in ("customers", "months", "events_per_day"):
            if getattr(self, name) < 1:
                raise ValueError(f"A world needs {name} of at least 1, got {getattr(self, name)}.")

    @property
    def days(self) -> int:
        """Whole simulated days before the clock's day: `months` calendar months from the founding day."""
        years, month = divmod(4 + self.months, 12)  # the company was founded in May, month index 4
        first = _days_from_civil(2025 + years, month + 1)
        return first - FOUNDED_AT // DAY

    def as_dict(self) -> dict[str, Any]:
        """The parameters as JSON can hold them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> WorldParameters:
        """The inverse of `as_dict`."""
        known = {"edge_cases": EdgeCases(**values["edge_cases"]), "net_of_fees": tuple(values["net_of_fees"])}
        return cls(**{**values, **known})


def _days_from_civil(year: int, month: int) -> int:
    """Days from 1970-01-01 to the first of a month."""
    return (date(year, month, 1) - date(1970, 1, 1)).days
