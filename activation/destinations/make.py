"""Make.com: one signed webhook per action, for the routing that people build there.

`200 Accepted` means "queued", also when the scenario is switched off; a scenario that ends in a Webhook Response module
can answer `{"ack": "<action_id>"}`, which means "done". With `require_ack` only that counts as delivered. Make keeps no
message ids: `webhook-id` and `data.action_id` are the same on every retry, for a Data Store check in the scenario.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from activation.actions import Action, Outcome, written
from activation.destinations import Basics
from activation.errors import LimitedError, StoppedError
from activation.identifiers import signing_key, webhook_headers
from activation.pacing import Rate, Time
from activation.transport import Reply, Transport, words

if TYPE_CHECKING:
    from collections.abc import Sequence

QUEUE_FULL_SECONDS = 10.0


class Make(Basics):
    """One custom webhook. `webhook_url` and `signing_secret` are secrets; `api_key` is the optional x-make-apikey.

    Raises:
        ValueError: if `signing_secret` is not a Standard Webhooks secret.
    """

    name = "make"
    rate = Rate(per_second=28.8, burst=8)  # Make counts 300 in any 10 seconds
    concurrency = 16

    def __init__(
        self,
        webhook_url: str,
        signing_secret: str,
        time: Time,
        *,
        api_key: str | None = None,
        require_ack: bool = False,
        allow_private: bool = False,
    ) -> None:
        signing_key(signing_secret)
        self._secret = signing_secret
        self._time = time
        self._require_ack = require_ack
        secrets = (webhook_url, urlsplit(webhook_url).path.strip("/"), signing_secret, api_key or "")
        headers = {"x-make-apikey": api_key} if api_key else None
        self._transport = Transport(webhook_url, secrets=secrets, headers=headers, allow_private=allow_private)

    def send(self, actions: Sequence[Action]) -> list[Outcome]:
        """See Destination."""
        (action,) = actions
        payload = action.body
        data = payload.get("data")
        payload["data"] = {**(data if isinstance(data, dict) else {}), "action_id": action.action_id}
        body = written(payload)
        headers = webhook_headers(self._secret, action.action_id, self._time.wall(), body)
        return [self._outcome(action, self._transport.post("", body, headers))]

    def close(self) -> None:
        """Drop the connections."""
        self._transport.close()

    def _outcome(self, action: Action, reply: Reply) -> Outcome:
        status = reply.status_code
        if status >= 400:
            said = words(reply, self._transport.redact)
            if status == 400 and "queue is full" in reply.text.lower():
                raise LimitedError(said, status, QUEUE_FULL_SECONDS)
            if status in {404, 410}:
                raise StoppedError(f"The webhook is gone: {said}", status)
            return Outcome.rejected(said, status)
        if isinstance(reply.data, dict) and reply.data.get("ack") == action.action_id:
            return Outcome.acknowledged("done", status, "The scenario confirmed it.")
        if self._require_ack:
            return Outcome.unknown("Queued; the scenario has not confirmed it.", status)
        if reply.data is None and reply.text.strip() != "Accepted":
            # neither Make's own word nor a scenario's answer: some page in between, so nobody knows
            return Outcome.unknown("The answer was not Make's.", status)
        return Outcome.acknowledged("queued", status, "Queued at Make.")
