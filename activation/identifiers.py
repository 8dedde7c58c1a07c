"""Identifiers and signatures that come out the same on every retry and every machine."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LETTERS = np.frombuffer(CROCKFORD.encode(), dtype=np.uint8)
PLACES = np.array([16, 8, 4, 2, 1], dtype=np.uint8)  # of the five bits of a letter
PAIRS = [high + low for high in CROCKFORD for low in CROCKFORD]  # ten bits at a time
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive UTC, as our times are
MILLISECOND = timedelta(milliseconds=1)
SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix that Standard Webhooks gives every secret


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970 of a naive UTC or an aware time."""
    naive = moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    return (naive - EPOCH) // MILLISECOND


@lru_cache(maxsize=10_000)
def seconds(moment: datetime) -> int:
    """Whole seconds since 1970, for times that many actions share."""
    return milliseconds(moment) // 1000


def ulid(occurred_at: datetime, action_id: str) -> str:
    """A valid ULID that is a function of the action: 48 bits of time, 80 bits of sha256(action_id).

    Customer.io ignores an event whose ULID it has seen, so a retry with this id cannot trigger a campaign twice.

    Raises:
        ValueError: if the time lies before 1970 or does not fit 48 bits.
    """
    chance_part = int.from_bytes(hashlib.sha256(action_id.encode()).digest()[:10], "big")
    return _time_part(occurred_at) + "".join([PAIRS[chance_part >> shift & 1023] for shift in range(70, -1, -10)])


def ulids(moments: Sequence[datetime], action_ids: Sequence[str]) -> list[str]:
    """The ULID of each, all at once.

    Raises:
        ValueError: as `ulid` does.
    """
    digests = b"".join([hashlib.sha256(each.encode()).digest() for each in action_ids])
    chances = np.frombuffer(digests, dtype=np.uint8).reshape(-1, 32)[:, :10]
    letters = LETTERS[np.unpackbits(chances, axis=1).reshape(-1, 16, 5) @ PLACES]
    text = letters.tobytes().decode()
    return [
        _time_part(moment) + text[at : at + 16] for moment, at in zip(moments, range(0, len(text), 16), strict=True)
    ]


@lru_cache(maxsize=10_000)
def _time_part(occurred_at: datetime) -> str:
    """The first ten letters."""
    value = milliseconds(occurred_at)
    if not 0 <= value < 2**48:
        raise ValueError(f"A ULID holds times from 1970 to 10889, got {occurred_at.isoformat()}.")
    return "".join([PAIRS[value >> shift & 1023] for shift in range(40, -1, -10)])


def webhook_headers(secret: str, webhook_id: str, sent_at: datetime, body: bytes) -> dict[str, str]:
    """Headers of Standard Webhooks 1.0: id (stable over retries), time of this attempt, signature of both and the body.

    Raises:
        ValueError: if the secret is not `whsec_` followed by base64 of 24 to 64 bytes. The message does not repeat it.
    """
    timestamp = str(milliseconds(sent_at) // 1000)
    signed = b".".join((webhook_id.encode(), timestamp.encode(), body))
    digest = hmac.new(signing_key(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def signing_key(secret: str) -> bytes:
    """The bytes behind a `whsec_` secret.

    Raises:
        ValueError: if it is not one.
    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError("A webhook signing secret is whsec_ followed by the base64 of 24 to 64 bytes.")
    return key
