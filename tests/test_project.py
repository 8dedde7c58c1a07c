"""Laws of the dbt project as a whole, which decide how long every run takes."""

from __future__ import annotations

from dbt.contracts.graph.manifest import Manifest

from tests.warehouse import PROJECT_DIR, manifest


def test_what_dbt_remembers_of_the_project_can_be_read_again() -> None:
    manifest()
    remembered = (PROJECT_DIR / "target" / "partial_parse.msgpack").read_bytes()
    again = Manifest.from_msgpack(remembered)  # type: ignore[attr-defined]
    assert len(again.nodes) == len(manifest().nodes), "a run would read the whole project anew: see .dbtignore"
