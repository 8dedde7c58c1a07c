"""The intervals of this engine are those of another: what Apache Spark answered to the same SQL is written down."""

from __future__ import annotations

from benchmarks import engines
from benchmarks.compiled import Renderer
from tests.warehouse import manifest


def test_the_intervals_are_those_that_spark_gave() -> None:
    """Random weights to the bit; means, lifetime values and LTV:CAC with their limits to the last digits of roots."""
    ours = engines.ask_duckdb(engines.made_up(), engines.asked_of(Renderer(manifest())), threads=2)
    version, theirs = engines.read_written()
    figures = [engines.compared(case, ours, theirs, version) for case in engines.QUESTIONS]
    assert [figure.name for figure in figures if not figure.holds] == []
    assert len(ours) > 500


def test_another_answer_does_not_hold() -> None:
    _, theirs = engines.read_written()
    key = next(each for each in theirs if each[0] == "ltv")
    assert not engines.compared("ltv", {**theirs, key: theirs[key] * (1 + 1e-7)}, theirs, "").holds
    assert not engines.compared("ltv", {each: theirs[each] for each in theirs if each != key}, theirs, "").holds
