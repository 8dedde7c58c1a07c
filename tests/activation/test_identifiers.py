from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from activation.identifiers import CROCKFORD, signing_key, ulid, ulids, webhook_headers

SECRET = "whsec_" + base64.b64encode(b"sandbox-signing-secret-0123").decode()


def test_a_ulid_holds_the_time_of_the_occurrence_and_is_the_same_on_every_retry() -> None:
    made = ulid(datetime.fromisoformat("2026-11-01T06:00:00.123000"), "a" * 32)
    assert made == ulid(datetime.fromisoformat("2026-11-01T06:00:00.123000"), "a" * 32)
    number = 0
    for letter in made:
        number = number * 32 + CROCKFORD.index(letter)
    assert number >> 80 == int(datetime(2026, 11, 1, 6, 0, 0, 123000, tzinfo=UTC).timestamp() * 1000)


@settings(max_examples=40, deadline=None)
@given(
    st.datetimes(datetime.fromisoformat("1970-01-02T00:00:00"), datetime.fromisoformat("9999-01-01T00:00:00")),
    st.text(min_size=1),
)
def test_every_ulid_is_valid(moment: Any, action_id: Any) -> None:
    assert re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", ulid(moment, action_id))


@given(
    st.lists(
        st.tuples(
            st.datetimes(datetime.fromisoformat("1970-01-02T00:00:00"), datetime.fromisoformat("9999-01-01T00:00:00")),
            st.text(),
        ),
        max_size=20,
    )
)
def test_many_ulids_at_once_are_the_same_as_one_by_one(pairs: Any) -> None:
    moments, ids = [moment for moment, _ in pairs], [action_id for _, action_id in pairs]
    assert ulids(moments, ids) == [ulid(*pair) for pair in pairs]


def test_ulids_of_different_actions_differ_and_sort_by_time() -> None:
    moment = datetime.fromisoformat("2026-01-01T00:00:00")
    assert ulid(moment, "one") != ulid(moment, "two")
    assert ulid(moment, "one")[:10] == ulid(moment, "two")[:10]
    assert ulid(moment, "one") < ulid(moment + timedelta(milliseconds=1), "two")


def test_an_aware_time_means_the_same_instant() -> None:
    eastern = datetime(2026, 1, 1, 7, tzinfo=timezone(timedelta(hours=2)))
    assert ulid(eastern, "x") == ulid(datetime.fromisoformat("2026-01-01T05:00:00"), "x")


def test_a_time_before_1970_has_no_ulid() -> None:
    with pytest.raises(ValueError, match="from 1970"):
        ulid(datetime.fromisoformat("1969-12-31T00:00:00"), "x")


def test_the_official_library_accepts_our_signature_and_refuses_a_changed_body() -> None:
    body = b'{"type":"x"}'
    headers = webhook_headers(SECRET, "msg_1", datetime.now(UTC), body)
    assert Webhook(SECRET).verify(body, headers) == {"type": "x"}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b'{"type":"y"}', headers)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_not base64!", base64.b64encode(b"x" * 32).decode(), "whsec_c2hvcnQ="]
)
def test_what_is_no_signing_secret_is_refused_without_being_repeated(secret: Any) -> None:
    with pytest.raises(ValueError, match="whsec_ followed by") as refusal:
        signing_key(secret)
    if len(secret) > 8:
        assert secret not in str(refusal.value)
