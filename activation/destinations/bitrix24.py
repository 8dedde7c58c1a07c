"""Bitrix24: deal stages and fields by `crm.item.update`, tasks by `tasks.task.add`, in `batch` calls of at most 50.

`batch` always answers 200; each command's fate is in `result.result` or `result.result_error`. Setting fields may be
repeated, so an unknown outcome is resolved by reading the deals back; a task is found again by the id of its action,
which it carries in XML_ID. Fields that the portal does not know are dropped there without a word; here that is a
refusal. The secret is in the URL.

What bounds the throughput is the portal's own run time: 480 seconds of a method in ten minutes. Every answer says how
much is used (`operating`) and when the oldest minute of it comes back, so batches shrink to what is left and then wait,
instead of running into refusals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import orjson

from activation.actions import Action, Outcome, State
from activation.destinations import Basics
from activation.errors import BatchRejectedError, LimitedError, OutcomeUnknownError, StoppedError
from activation.pacing import Quota, Rate
from activation.transport import Reply, Transport, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEAL = 2
LARGEST_BATCH = 50
REQUEST_SECONDS = 45.0  # a request is cut off after 60, whatever it has done by then
RATE_LIMIT, RUN_TIME_LIMIT = "QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT"
NOT_FOUND = "NOT_FOUND"
FAULTS = frozenset({"INTERNAL_SERVER_ERROR", "ERROR_UNEXPECTED_ANSWER"})  # of the portal; the command may be done
STOP_ERRORS = frozenset({"OVERLOAD_LIMIT", "PORTAL_DELETED"})  # a person has to act; 401 and 403 stop in any case
NOT_OURS = frozenset({"ACCESS_DENIED", "ERROR_METHOD_NOT_FOUND"})  # of a whole request: no payload is to blame
RATE_SECONDS = 2.0  # the vendor sends no Retry-After; its bucket drains two requests a second
RUN_TIME_SECONDS = 60.0  # a minute of run time comes back at a time


class Bitrix24(Basics):
    """The portal behind an inbound webhook, `https://{portal}/rest/{user}/{secret}`.

    `operating_seconds` is the run time the portal grants a method in ten minutes; a refusal teaches a smaller one.
    """

    name = "bitrix24"
    rate = Rate(per_second=2, burst=10)  # the bucket of 50 is shared with the extraction, so most of it is left alone
    batch_bytes = 200_000
    concurrency = 1
    resends_changes = True
    can_be_asked = True

    def __init__(self, webhook_url: str, *, operating_seconds: float = 480.0, allow_private: bool = False) -> None:
        parts = [part for part in urlsplit(webhook_url).path.split("/") if part]
        self._transport = Transport(webhook_url, secrets=(webhook_url, *parts[-1:]), allow_private=allow_private)
        self.batch_size = LARGEST_BATCH
        self.quota: Quota | None = Quota(operating_seconds, 600.0, 0.2)
        self._granted = operating_seconds
        self._used = 0.0

    def send(self, actions: Sequence[Action]) -> list[Outcome]:
        """See Destination."""
        commands = {f"a{index}": _command(action) for index, action in enumerate(actions)}
        sendable = {key: command for key, command in commands.items() if command}
        answer = self._batch(sendable) if sendable else {}
        results, errors = _by_key(answer.get("result")), _by_key(answer.get("result_error"))
        rest = self._learned(_by_key(answer.get("result_time")), errors)
        return [
            self._outcome(action, results.get(f"a{index}"), errors.get(f"a{index}"), rest)
            if f"a{index}" in sendable
            else Outcome.rejected("The payload needs a deal_id and fields, or a task with a title and a person.")
            for index, action in enumerate(actions)
        ]

    def resolve(self, actions: Sequence[Action]) -> list[Outcome | None]:
        """Read them back: a deal that has what we wanted to set was updated, a task with the action's id was added."""
        gets = {f"a{index}": _question(action) for index, action in enumerate(actions)}
        try:
            answer = self._batch(gets)
        except BatchRejectedError as error:
            raise OutcomeUnknownError(f"Reading back was refused: {error}", error.status_code) from None
        results, errors = _by_key(answer.get("result")), _by_key(answer.get("result_error"))
        found: list[Outcome | None] = []
        for index, action in enumerate(actions):
            result, refusal = results.get(f"a{index}"), errors.get(f"a{index}")
            if refusal and _code(refusal) != NOT_FOUND:  # says nothing about what is there
                found.append(Outcome.unknown(f"Reading back was refused: {self._said(refusal)}", 200))
                continue
            if "task" in action.body:
                found.append(_found_task(result))
                continue
            item = (result.get("item") if isinstance(result, dict) else None) or {}
            wanted: dict[str, Any] = action.body.get("fields") or {}
            if wanted and all(_text(item.get(name)) == _text(value) for name, value in wanted.items()):
                found.append(Outcome.acknowledged(str(item.get("id")), 200, "Read back: the deal has these fields."))
            else:  # another value, or no such deal: the update will say
                found.append(Outcome(State.WAITING, "Read back: the deal does not have these fields.", 200))
        return found

    def order_key(self, action: Action) -> str | None:
        """Two changes of one deal must arrive in the order in which they were decided; tasks have no order."""
        return None if "task" in action.body else str(action.body.get("deal_id"))

    def close(self) -> None:
        """Drop the connections."""
        self._transport.close()

    def _batch(self, commands: Mapping[str, str]) -> Mapping[str, Any]:
        try:
            reply = self._transport.post("/batch", orjson.dumps({"halt": 0, "cmd": commands}))
        except OutcomeUnknownError as error:
            if error.status_code == 503 and RATE_LIMIT in str(error):
                raise LimitedError(str(error), 503, error.retry_after or RATE_SECONDS) from None
            if any(code in str(error) for code in STOP_ERRORS):
                raise StoppedError(str(error), error.status_code) from None
            raise
        except LimitedError as error:
            wait = error.retry_after
            if wait is None and RUN_TIME_LIMIT in str(error):
                wait = RUN_TIME_SECONDS
            raise LimitedError(str(error), error.status_code, wait) from None
        return self._result(reply)

    def _result(self, reply: Reply) -> Mapping[str, Any]:
        if reply.status_code >= 400:
            said = words(reply, self._transport.redact)
            if any(code in said for code in NOT_OURS):
                raise StoppedError(said, reply.status_code)
            raise BatchRejectedError(said, reply.status_code)
        result = reply.data.get("result") if isinstance(reply.data, dict) else None
        if not isinstance(result, dict):
            raise OutcomeUnknownError("The answer holds no result.", reply.status_code)
        return result

    def _learned(self, times: Mapping[str, Any], errors: Mapping[str, Any]) -> float:
        """Take over what the answer says about run time; the seconds to rest until there is some again."""
        known = [each for each in times.values() if isinstance(each, dict)]
        told = [each for each in known if _number(each.get("operating")) is not None]
        is_refused = any(RUN_TIME_LIMIT in str(error) for error in errors.values())
        if told:
            self._used = max(float(each["operating"]) for each in told)
        if is_refused:
            self._granted = min(self._granted, max(self._used, 1.0))
        if not told:
            return RUN_TIME_SECONDS if is_refused else 0.0
        cost = max(0.001, *(_number(each.get("processing")) or 0.0 for each in told))
        left = int((self._granted - self._used) / cost)
        self.quota = Quota(self._granted, 600.0, cost)
        self.batch_size = max(min(LARGEST_BATCH, int(REQUEST_SECONDS / cost), left), 1)
        if left >= 1 and not is_refused:
            return 0.0
        self.batch_size = max(min(LARGEST_BATCH, int(REQUEST_SECONDS / cost)), 1)
        return max(min(_until_reset(each) for each in told), 1.0)

    def _refusal(self, error: Any, rest: float) -> Outcome:
        code, reason = _code(error), self._said(error)
        if code in FAULTS:
            return Outcome.unknown(reason, 200)
        if code in {RATE_LIMIT, RUN_TIME_LIMIT}:
            wait = rest if code == RUN_TIME_LIMIT else RATE_SECONDS
            return Outcome.waiting(reason, 200, wait, wait)
        return Outcome.rejected(reason, 200)

    def _said(self, error: Any) -> str:
        text = f"{_code(error)} {error.get('error_description', '')}" if isinstance(error, dict) else _code(error)
        return self._transport.redact(text) or "refused without a reason"

    def _outcome(self, action: Action, result: Any, error: Any, rest: float) -> Outcome:
        if error:
            return self._refusal(error, rest)
        item = result.get("task" if "task" in action.body else "item") if isinstance(result, dict) else None
        if not isinstance(item, dict):
            return Outcome.unknown("The answer says nothing about this command.", 200)
        if "task" in action.body:
            return Outcome.acknowledged(str(item.get("id")), 200, "", rest)
        ignored = sorted(name for name in action.body["fields"] if name not in item)
        if ignored:
            return Outcome.rejected(f"The portal does not know the field(s) {', '.join(ignored)}.", 200)
        return Outcome.acknowledged(str(item.get("id")), 200, "", rest)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _code(error: Any) -> str:
    return str(error.get("error", "")) if isinstance(error, dict) else str(error)


def _until_reset(times: Mapping[str, Any]) -> float:
    """Seconds until the oldest used minute drops out of the window, on the portal's own clock."""
    try:
        return float(times["operating_reset_at"]) - float(times["finish"])
    except (KeyError, TypeError, ValueError):
        return RUN_TIME_SECONDS


def _command(action: Action) -> str | None:
    """`crm.item.update` or `tasks.task.add` as a command line inside `batch`, or None if the payload is incomplete."""
    body = action.body
    task = body.get("task")
    if isinstance(task, dict):
        if not task.get("TITLE") or not task.get("RESPONSIBLE_ID"):
            return None
        return f"tasks.task.add?{_query([*_fields(task), ('fields[XML_ID]', action.action_id)])}"
    fields = body.get("fields")
    if not body.get("deal_id") or not isinstance(fields, dict) or not fields:
        return None
    return f"crm.item.update?{_query([('entityTypeId', DEAL), ('id', body['deal_id']), *_fields(fields)])}"


def _question(action: Action) -> str:
    """The command that reads back what the action wanted."""
    if "task" in action.body:
        return f"tasks.task.list?{_query([('filter[XML_ID]', action.action_id)])}"
    return f"crm.item.get?{_query([('entityTypeId', DEAL), ('id', action.body.get('deal_id'))])}"


def _found_task(result: Any) -> Outcome:
    found = result.get("tasks") if isinstance(result, dict) else None
    if not isinstance(found, list):
        raise OutcomeUnknownError("Looking for the task again gave no list.")
    if found:
        return Outcome.acknowledged(str(found[0].get("id")), 200, "Read back: there is a task for this action.")
    return Outcome(State.WAITING, "Read back: there is no task for this action.", 200)


def _fields(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [pair for name, value in sorted(values.items()) for pair in _pairs(f"fields[{name}]", value)]


def _pairs(name: str, value: Any) -> list[tuple[str, str]]:
    """A value as PHP reads it out of a query: what is in a list or a map by its place there."""
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _pairs(f"{name}[{key}]", inner)]
    if isinstance(value, list):
        return [pair for index, inner in enumerate(value) for pair in _pairs(f"{name}[{index}]", inner)]
    return [(name, _text(value))]


def _text(value: Any) -> str:
    """A value as the portal writes it: nothing as an empty text, yes and no as Y and N."""
    if isinstance(value, bool):
        return "Y" if value else "N"
    return "" if value is None or value != value else str(value)  # noqa: PLR0124 - only what is no number differs from itself


def _query(pairs: Sequence[tuple[str, Any]]) -> str:
    return "&".join(f"{quote(name, safe='[]')}={quote(str(value), safe='')}" for name, value in pairs)


def _by_key(value: Any) -> Mapping[str, Any]:
    """PHP writes an empty map as an empty list."""
    return value if isinstance(value, dict) else {}
