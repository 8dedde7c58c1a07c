"""What the run makes of its child: a stand-in speaks for dbt, which the end-to-end run starts for real."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle import dbt

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.settings import Places


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a script in the place of `python -m lifecycle.dbt`."""

    def become(body: str) -> None:
        script, speech = tmp_path / "child", tmp_path / "child.py"
        heads = "import json, os, sys\norder = json.loads(sys.argv[3])\n"
        speech.write_text(f"{heads}{body}\n")
        # by way of a shell: where this interpreter is may be no name for a script's first line
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(speech))} "$@"\n')
        script.chmod(0o700)
        monkeypatch.setattr(dbt.sys, "executable", str(script))

    return become


def build(places: Places, progress: Any, *arguments: str) -> dbt.Build:
    with dbt.start(places) as models:
        return models.build(progress, arguments=arguments)


SPEAKS = """
os.fdopen(order["in"]).readline()
out = os.fdopen(order["out"], "w")
node = dict(unique_id="test.x", name="x", resource_type="test", status="pass", message="", failures=0, seconds=1.0,
            severity="error")
for line in (
    {"kind": "progress", "text": "1 of 2"},
    {"kind": "node", **node},
    {"kind": "node", **node, "status": "fail"},
    {"kind": "freshness", "source": "stripe", "table": "invoices", "status": "pass", "age_hours": 1.5,
     "allowed_hours": 26},
    {"kind": "done"},
):
    print(json.dumps(line), file=out, flush=True)
"""


def test_what_the_child_says_is_what_was_built(child: Any, places: Places, progress: Any) -> None:
    child(SPEAKS)
    built = build(places, progress)
    assert [node.status for node in built.nodes] == ["pass", "fail"]
    assert [node.status for node in built.failed] == ["fail"]
    assert built.freshness == [dbt.Freshness("stripe", "invoices", "pass", 1.5, 26)]
    assert built.problem == ""


def test_selection_and_warehouse_are_handed_over_and_no_variable(child: Any, places: Places, progress: Any) -> None:
    child(
        "out = os.fdopen(order['out'], 'w')\n"
        "text = ' '.join([*order['arguments'], *json.loads(os.fdopen(order['in']).readline()), order['warehouse']])\n"
        "print(json.dumps({'kind': 'problem', 'text': text}), file=out, flush=True)"
    )
    said = build(places, progress, "--select", "one").problem
    assert "--vars" not in said, "a variable that changes with every run makes dbt parse everything again"
    assert "--select one" in said
    assert str(places.warehouse) in said


def test_a_child_that_dies_without_a_word_is_an_error_with_its_last_line(
    child: Any, places: Places, progress: Any
) -> None:
    child("print('Segmentation fault', file=sys.stderr)\nsys.exit(7)")
    with dbt.start(places) as models:
        models.process.wait()
        with pytest.raises(dbt.DbtError, match="code 7: Segmentation fault"):
            models.build(progress)


def test_a_child_that_dies_half_way_is_no_good_build(child: Any, places: Places, progress: Any) -> None:
    child(SPEAKS.replace('    {"kind": "done"},\n', "") + "\nos.abort()")
    with pytest.raises(dbt.DbtError, match="ended with code"):
        build(places, progress)


def test_a_run_that_never_comes_to_building_leaves_no_child(child: Any, places: Places) -> None:
    child("sys.stdin.read()")
    with dbt.start(places) as models:
        assert models.process.poll() is None
    assert models.process.poll() is not None
