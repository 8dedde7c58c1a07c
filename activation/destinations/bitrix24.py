"""Bitrix24: deal stages and fields, by `crm.item.update` in `batch` calls of at most 50.

`batch` always answers 200; each command's fate is in `result.result` or `result.result_error`. Setting fields may be
repeated, so an unknown outcome is resolved by reading the deal back. Fields that the portal does not know are dropped
there without a word; here that is a refusal. The secret is in the URL.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from activation.actions import Action, Outcome
from activation.pacing import Rate
from activation.transport import (
    BatchRejectedError,
    LimitedError,
    OutcomeUnknownError,
    Reply,
    StoppedError,
    Transport,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEAL = 2
LIMIT_ERRORS = frozenset({"QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT"})
STOP_ERRORS = frozenset({"OVERLOAD_LIMIT", "PORTAL_DELETED"})  # a person has to act; 401 and 403 stop in any case
LIMIT_SECONDS = 2.0  # the vendor sends no Retry-After; its bucket drains two requests a second


class Bitrix24:
    """The portal behind an inbound webhook, `https://{portal}/rest/{user}/{secret}`."""

    name = "bitrix24"
    rate = Rate(per_second=2, burst=10)  # the bucket of 50 is shared with the extraction, so most of it is left alone
    batch_size = 50
    batch_bytes = 200_000
    resends_changes = True

    def __init__(self, webhook_url: str) -> None:
        parts = [part for part in urlsplit(webhook_url).path.split("/") if part]
        self._transport = Transport(webhook_url, secrets=(webhook_url, *parts[-1:]))

    def send(self, actions: Sequence[Action]) -> list[Outcome]:
        """See Destination."""
        commands = {f"a{index}": _command(action) for index, action in enumerate(actions)}
        sendable = {key: command for key, command in commands.items() if command}
        answer: Mapping[str, Any] = self._call("batch", {"halt": 0, "cmd": sendable}) if sendable else {}
        results = _by_key(answer.get("result"))
        errors = _by_key(answer.get("result_error"))
        return [
            self._outcome(action, results.get(f"a{index}"), errors.get(f"a{index}"))
            if f"a{index}" in sendable
            else Outcome.rejected("The payload needs a deal_id and fields.")
            for index, action in enumerate(actions)
        ]

    def resolve(self, action: Action) -> Outcome | None:
        """Read the deal back: if it already has what we wanted to set, the update arrived."""
        body = action.body
        try:
            answer = self._call("crm.item.get", {"entityTypeId": DEAL, "id": body.get("deal_id")})
        except BatchRejectedError:
            return None  # no such deal, or no right to read it: the update will say which
        item = answer.get("item") or {}
        wanted: dict[str, Any] = body.get("fields") or {}
        if wanted and all(str(item.get(name)) == str(value) for name, value in wanted.items()):
            return Outcome.acknowledged(str(item.get("id")), 200, "Read back: the deal has these fields.")
        return None

    def order_key(self, action: Action) -> str | None:
        """Two changes of one deal must arrive in the order in which they were decided."""
        return str(action.body.get("deal_id"))

    def close(self) -> None:
        """Drop the connections."""
        self._transport.close()

    def _call(self, method: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            reply = self._transport.post(f"/{method}", json.dumps(arguments, ensure_ascii=False).encode())
        except OutcomeUnknownError as error:
            if error.status_code == 503 and any(code in str(error) for code in LIMIT_ERRORS):
                raise LimitedError(str(error), 503, LIMIT_SECONDS) from None
            if any(code in str(error) for code in STOP_ERRORS):
                raise StoppedError(str(error), error.status_code) from None
            raise
        return self._result(reply)

    def _result(self, reply: Reply) -> Mapping[str, Any]:
        data = reply.data
        if not isinstance(data, dict):
            raise OutcomeUnknownError("The answer was not JSON.", reply.status_code)
        if reply.status_code != 200 or "error" in data:
            raise BatchRejectedError(words(reply, self._transport.redact), reply.status_code)
        result = data.get("result")
        if not isinstance(result, dict):
            raise OutcomeUnknownError("The answer holds no result.", reply.status_code)
        return result

    def _outcome(self, action: Action, result: Any, error: Any) -> Outcome:
        if error:
            code = str(error.get("error", "")) if isinstance(error, dict) else str(error)
            text = f"{code} {error.get('error_description', '')}" if isinstance(error, dict) else code
            reason = self._transport.redact(text) or "refused without a reason"
            if code in LIMIT_ERRORS:
                return Outcome.waiting(reason, 200, LIMIT_SECONDS)
            return Outcome.rejected(reason, 200)
        item = result.get("item") if isinstance(result, dict) else None
        if not isinstance(item, dict):
            return Outcome.unknown("The answer says nothing about this command.", 200)
        ignored = sorted(name for name in action.body["fields"] if name not in item)
        if ignored:
            return Outcome.rejected(f"The portal does not know the field(s) {', '.join(ignored)}.", 200)
        return Outcome.acknowledged(str(item.get("id")), 200)


def _command(action: Action) -> str | None:
    """`crm.item.update` as a command line inside `batch`, or None if the payload is incomplete."""
    body = action.body
    fields = body.get("fields")
    if not body.get("deal_id") or not isinstance(fields, dict) or not fields:
        return None
    pairs = [("entityTypeId", DEAL), ("id", body["deal_id"])]
    pairs += [(f"fields[{name}]", value) for name, value in sorted(fields.items())]
    query = "&".join(f"{quote(name, safe='[]')}={quote(str(value), safe='')}" for name, value in pairs)
    return f"crm.item.update?{query}"


def _by_key(value: Any) -> Mapping[str, Any]:
    """PHP writes an empty map as an empty list."""
    return value if isinstance(value, dict) else {}
