from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from lifecycle import progress
from lifecycle.progress import Lines

if TYPE_CHECKING:
    import pytest


def test_where_there_is_no_terminal_steps_and_notes_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    with lines.step("build"):
        lines.note("179 models [all of them]")
        lines.detail("1 of 3")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "179 models [all of them]" in printed.err
    assert "✓ build" in printed.err
    assert "1 of 3" not in printed.err


def test_long_work_speaks_up_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    lines = Lines()
    with lines.step("build"):
        for number in range(1, 26):
            now[0] += 1
            lines.detail(f"{number} of 25")
    said = [line.strip() for line in capsys.readouterr().err.splitlines()[:-1]]
    assert said == ["10 of 25", "20 of 25"]


def test_with_json_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(quiet=True)
    with lines.step("build"):
        lines.note("179 models")
        lines.detail("1 of 3")
    assert capsys.readouterr().err == ""
