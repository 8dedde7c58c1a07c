"""Laws of the dbt project as a whole, which decide how long every run takes."""

from __future__ import annotations

from collections import Counter

from dbt.contracts.graph.manifest import Manifest

from tests.warehouse import manifest, remembered


def test_what_dbt_remembers_of_the_project_can_be_read_again() -> None:
    again = Manifest.from_msgpack(remembered())  # type: ignore[attr-defined]
    assert len(again.nodes) == len(manifest().nodes), "a run would read the whole project anew: see .dbtignore"


def test_a_model_says_everything_about_its_rows_in_one_test() -> None:
    errors = Counter(
        (str(node.attached_node).rpartition(".")[2], node.test_metadata.name)
        for node in manifest().nodes.values()
        if getattr(node, "test_metadata", None) is not None and node.config.severity.lower() == "error"
    )
    several = {pair: number for pair, number in errors.items() if number > 1}
    assert several == {}, "each test costs every run more than its query does: say it in one"


def test_every_base_model_is_in_the_conservation_law_of_its_source() -> None:
    conserved = {
        f"base_{node.test_metadata.kwargs['source_name']}__{table}"
        for node in manifest().nodes.values()
        if getattr(node, "test_metadata", None) is not None and node.test_metadata.name == "conserves_rows"
        for table in node.test_metadata.kwargs["tables"]
    }
    assert conserved == {node.name for node in manifest().nodes.values() if node.name.startswith("base_")}
