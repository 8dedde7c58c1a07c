"""One harmless call per key: a read that changes nothing, so that a wrong key is found before a run waits for it."""

from __future__ import annotations

import email.utils
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from dlt.sources.filesystem import filesystem

from activation.addresses import checked_addresses, is_loopback
from activation.errors import NotSentError, StoppedError
from ingest import buckets, configuration
from lifecycle import activate, alerts, settings
from lifecycle.doctor.finding import FAIL, OK, WARN, Finding

SECONDS = 10.0
SCOPES = "docs/real_accounts.md says which scopes it needs."


@dataclass(frozen=True, slots=True)
class Call:
    """One request that reads. `auth` is name and password; `key` names the setting to look at when it is refused."""

    area: str
    subject: str
    url: str
    key: str
    auth: tuple[str, str] | None = None
    headers: tuple[tuple[str, str], ...] = ()


def calls() -> tuple[list[Finding], dict[str, float]]:
    """What every vendor answered, and by how many seconds its clock is ahead of this machine's."""
    wanted = [*_sources(), *_destinations()]
    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = list(pool.map(_answer, wanted))
    skews = {call.subject: skew for call, (_, skew) in zip(wanted, answers, strict=True) if skew is not None}
    found = [finding for finding, _ in answers]
    return [*found, *_buckets(), _make(), *_alert_places()], skews


def _sources() -> list[Call]:
    stripe, zendesk, customerio, bitrix24 = (
        configuration.resolve(source) for source in ("stripe", "zendesk", "customerio", "bitrix24")
    )
    return [
        Call(
            "source",
            "stripe",
            f"{_base(stripe['base_url'])}/v1/customers?limit=1",
            "sources.stripe.api_key",
            (stripe["api_key"], ""),
        ),
        Call(
            "source",
            "zendesk",
            f"{_base(zendesk['base_url'])}/api/v2/organizations/count.json",
            "sources.zendesk.api_token",
            (f"{zendesk['email']}/token", zendesk["api_token"]),
        ),
        Call(
            "source",
            "customerio",
            f"{_base(customerio['base_url'])}/v1/segments",
            "sources.customerio.app_key",
            headers=(("Authorization", f"Bearer {customerio['app_key']}"),),
        ),
        Call("source", "bitrix24", f"{_base(bitrix24['webhook_url'])}/crm.status.list", "sources.bitrix24.webhook_url"),
    ]


def _destinations() -> list[Call]:
    def read(destination: str, name: str) -> str:
        settled = {setting.name: setting for setting in settings.DESTINATIONS[destination]}
        return settled[f"activation.{destination}.{name}"].read()

    return [
        Call(
            "destination",
            "customerio",
            f"{_base(read('customerio', 'base_url'))}/api/v1/accounts/region",
            "activation.customerio.api_key",
            (read("customerio", "site_id"), read("customerio", "api_key")),
        ),
        Call(
            "destination",
            "bitrix24",
            f"{_base(read('bitrix24', 'webhook_url'))}/crm.status.list",
            "activation.bitrix24.webhook_url",
        ),
        Call(
            "destination",
            "zendesk",
            f"{_base(read('zendesk', 'base_url'))}/api/v2/organizations/count.json",
            "activation.zendesk.api_token",
            (f"{read('zendesk', 'email')}/token", read("zendesk", "api_token")),
        ),
    ]


def _answer(call: Call) -> tuple[Finding, float | None]:
    if call.area == "destination" and (said := _leads_inside(call)):
        return Finding(call.area, call.subject, FAIL, said, f"Look at its address beside {call.key}."), None
    try:
        with requests.Session() as session:
            session.trust_env = False  # runs ask no proxy and no .netrc of the machine either
            answer = session.get(
                call.url, auth=call.auth, headers=dict(call.headers), timeout=SECONDS, allow_redirects=False
            )
    except requests.RequestException as error:
        said = f"It does not answer ({type(error).__name__})."
        return Finding(call.area, call.subject, FAIL, said, f"Look at its address beside {call.key}."), None
    return _judged(call, answer), _skew(answer)


def _leads_inside(call: Call) -> str:
    """What a sync would refuse, and where no key should be shown; empty if there is nothing, or no such name."""
    parts = urlsplit(call.url)
    is_allowed = activate.private_allowed()[call.subject] or is_loopback(call.url)
    try:
        checked_addresses(parts.hostname or "", parts.port or 443, allow_private=is_allowed)
    except StoppedError as refused:
        return str(refused)
    except NotSentError:  # the call itself says so
        return ""
    return ""


def _judged(call: Call, answer: requests.Response) -> Finding:
    status = answer.status_code
    if status in {401, 403}:
        return Finding(call.area, call.subject, FAIL, f"The key was refused ({status}).", f"See {call.key}; {SCOPES}")
    if status == 429:
        return Finding(call.area, call.subject, WARN, "It is asked too often just now (429).", "Try again in a minute.")
    if status >= 500:
        return Finding(
            call.area, call.subject, WARN, f"It has a failure of its own ({status}).", "See its status page."
        )
    if status >= 300 or _is_error(answer):
        text = alerts.hide(" ".join(answer.text.split())[:160])
        return Finding(call.area, call.subject, FAIL, f"It answers {status}: {text}.", f"See {call.key}; {SCOPES}")
    return Finding(call.area, call.subject, OK, "It answers, and takes the key.")


def _is_error(answer: requests.Response) -> bool:
    """Bitrix24 may say an error with status 200."""
    try:
        body: Any = answer.json()
    except ValueError:
        return True
    return isinstance(body, dict) and "error" in body


def _skew(answer: requests.Response) -> float | None:
    try:
        theirs = email.utils.parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, ValueError):
        return None
    return (theirs - datetime.now(UTC)).total_seconds()


def _buckets() -> list[Finding]:
    found = []
    for source in ("product", "spend", "reports"):
        url = str(configuration.resolve(source)["bucket_url"])
        setting = f"sources.{source}.bucket_url"
        try:
            first = next(iter(filesystem(bucket_url=url, file_glob="**/*=*/*")), None)
        except Exception as error:  # noqa: BLE001 - every object store has its own errors
            said = f"The folder cannot be listed ({buckets.reason(error)})."
            found.append(Finding("source", source, FAIL, said, f"See {setting} and the right to list it."))
            continue
        if first is None:
            said = "The folder has no partition (a folder name=date with files)."
            found.append(Finding("source", source, FAIL, said, f"See {setting}."))
        else:
            found.append(Finding("source", source, OK, "The folder can be listed and has partitions."))
    return found


def _make() -> Finding:
    return Finding("destination", "make", OK, "It is not called: every call of a webhook starts its scenario.")


def _alert_places() -> list[Finding]:
    if settings.ALERTS.find() is None:
        return [Finding("alerts", "places", WARN, "Nobody is told when a run fails.", f"{settings.ALERTS.how}.")]
    unknown = alerts.unknown_addresses()
    if unknown:
        said = f"Apprise does not know address number {', '.join(map(str, unknown))}."
        return [Finding("alerts", "places", FAIL, said, "Its wiki says how each place is spelt.")]
    return [Finding("alerts", "places", OK, "Apprise knows every address.")]


def _base(url: Any) -> str:
    return str(url).rstrip("/")
