"""Stripe's objects as its API hands them out now, fetched page by page, and nothing in between.

Independent of `ingest/` on purpose: what is computed from here shares no code with the pipeline it checks.
"""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

Object = dict[str, Any]


def fetch(base_url: str, api_key: str, path: str, **parameters: str) -> list[Object]:
    """Every object of a list, oldest first; embedded lists that were cut (invoice lines) are completed.

    Raises:
        requests.HTTPError: if the API refuses.
    """
    with requests.Session() as session:
        session.auth = (api_key, "")
        session.mount(base_url, HTTPAdapter(max_retries=Retry(total=8, backoff_factor=0.1, status_forcelist=(429,))))
        found = _pages(session, f"{base_url}{path}", {"limit": "100", **parameters})
        for item in found:
            lines = item.get("lines")
            if isinstance(lines, dict) and lines.get("has_more"):
                lines["data"] = _pages(session, f"{base_url}/v1/invoices/{item['id']}/lines", {"limit": "100"})[::-1]
    return found[::-1]


def _pages(session: requests.Session, url: str, parameters: dict[str, str]) -> list[Object]:
    found: list[Object] = []
    cursor: dict[str, str] = {}
    while True:
        answer = session.get(url, params={**parameters, **cursor}, timeout=30)
        answer.raise_for_status()
        page: Object = answer.json()
        found += page["data"]
        if not page["has_more"] or not page["data"]:
            return found
        cursor = {"starting_after": page["data"][-1]["id"]}
