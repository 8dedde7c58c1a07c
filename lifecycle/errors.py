"""What a command can be expected to end with. Every message is a sentence for a person and carries no secret."""

from __future__ import annotations


class LifecycleError(Exception):
    """Base of everything this package raises on purpose and no command gets over."""


class CannotRunError(LifecycleError):
    """What was asked for cannot be done now; the message says why and what to do."""


class ConfigurationError(LifecycleError):
    """A setting is missing or wrong. The message is the sentence for the person who has to give it."""
