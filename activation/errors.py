"""What a request can come to as a whole, when there is no answer to read, and what cannot be sent at all.

None of these holds a payload or a secret.
"""

from __future__ import annotations


class NotSentError(Exception):
    """The request surely did not arrive: no connection, no TLS, no name."""


class OutcomeUnknownError(Exception):
    """The request may have arrived: the answer was lost, late, unreadable, or a server error.

    `retry_after` is for how long the vendor asked to be left alone, in seconds, if it did.
    """

    def __init__(self, message: str, status_code: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.retry_after = retry_after


class LimitedError(Exception):
    """The vendor turned the request away for now. `retry_after` is what it asked for, in seconds, if it did."""

    def __init__(self, message: str, status_code: int, retry_after: float | None) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.retry_after = retry_after


class StoppedError(Exception):
    """Nothing more may go to this destination in this run: wrong credentials, or the endpoint is gone."""

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code


class BatchRejectedError(Exception):
    """The vendor refused the request as a whole and did none of it; one item may be to blame for the others."""

    def __init__(self, message: str, status_code: int) -> None:
        super().__init__(message)
        self.status_code = status_code


class DesiredError(ValueError):
    """The published file does not hold what can be sent; the message says what is wrong with it."""
