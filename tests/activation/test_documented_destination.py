"""docs/add_a_destination.md, taken at its word: its code is built, and delivers through a vendor that loses answers."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from activation.actions import State
from activation.deliver import Budget, deliver
from activation.plan import Policy, plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from activation.ledger import Ledger

PAGE = Path(__file__).resolve().parents[2] / "docs" / "add_a_destination.md"


class PagerServer(BaseHTTPRequestHandler):
    incidents: dict[str, int]
    lose_next_answer: bool
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "refuse" in body["summary"]:
            self._answer(422, {"message": "no such team"})
            return
        number = self.incidents.setdefault(body["dedup_key"], len(self.incidents) + 1)
        if type(self).lose_next_answer:
            type(self).lose_next_answer = False
            self.close_connection = True
            return
        self._answer(201, {"id": number})

    def do_GET(self) -> None:
        key = parse_qs(urlsplit(self.path).query)["dedup_key"][0]
        found = [{"id": self.incidents[key]}] if key in self.incidents else []
        self._answer(200, {"incidents": found})

    def _answer(self, status: int, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    PagerServer.incidents, PagerServer.lose_next_answer = {}, True
    running = ThreadingHTTPServer(("127.0.0.1", 0), PagerServer)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def code() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


def test_the_page_adds_a_destination_in_less_than_sixty_lines() -> None:
    assert len(code().splitlines()) < 60


def test_the_documented_destination_delivers_once_and_reads_refusals(
    server: str, ledger: Ledger, time: Any, rng: Any, action: Any
) -> None:
    built: dict[str, Any] = {}
    exec(compile(code(), str(PAGE), "exec"), built)  # noqa: S102 - our own page
    pager = built["Pager"](server, "key")
    pager.concurrency = 1
    wanted = [
        action(number, destination="pager", payload=json.dumps(payload))
        for number, payload in enumerate(({"summary": "down"}, {"summary": "refuse me"}, {}, {"summary": "up"}), 1)
    ]
    planned = plan(wanted, {}, {"pager": Policy(live=True, resends_changes=False)}, time.now())
    (tally,) = deliver(planned, {"pager": pager}, ledger, time, Budget(60), rng=rng)
    pager.close()
    assert (tally.acknowledged, tally.rejected, tally.waiting) == (2, 2, 0)
    assert len(PagerServer.incidents) == 2
    states = [entry.state for _, entry in sorted(ledger.snapshot().items())]
    assert states == [State.ACKNOWLEDGED, State.REJECTED, State.REJECTED, State.ACKNOWLEDGED]
