"""At which instant does a run stand? Asked once, and passed on as `as_of` to everything that computes."""

from __future__ import annotations

from datetime import UTC, datetime

from lifecycle import settings
from lifecycle.errors import LifecycleError
from sandbox import detached


class ClockError(LifecycleError):
    """Nobody says what time it is; the message says what to do about it."""


def as_of() -> datetime:
    """The sandbox's or the system's present, naive UTC, whole seconds.

    Raises:
        ClockError: if the sandbox does not answer.
        ConfigurationError: if a setting is missing or wrong.
    """
    if settings.CLOCK.read() == "system":
        return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    url = settings.SANDBOX_URL.read().rstrip("/")
    try:
        now = datetime.fromisoformat(detached.steer(url, "clock", seconds=detached.ANSWER_SECONDS)["now"])
    except (detached.ServerError, KeyError, TypeError, ValueError):
        raise ClockError(
            f"The sandbox does not tell its time at {url}: start it with `lifecycle sandbox up`, or with real accounts"
            f" use the system's clock ({settings.CLOCK.how})."
        ) from None
    return now.astimezone(UTC).replace(tzinfo=None, microsecond=0)
