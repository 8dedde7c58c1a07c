"""What a command can be expected to end with. Every message is a sentence for a person and carries no secret."""

from __future__ import annotations

from ingest.errors import ConfigurationError

# of a setting that is missing or wrong, whichever room reads it
__all__ = ["CannotRunError", "ConfigurationError", "LifecycleError"]


class LifecycleError(Exception):
    """Base of everything this package raises on purpose and no command gets over."""


class CannotRunError(LifecycleError):
    """What was asked for cannot be done now; the message says why and what to do."""
