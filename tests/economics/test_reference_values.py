"""What others published or computed, from the project's own SQL: the smaller part of `python -m benchmarks.ltv`."""

from __future__ import annotations

import pytest

from benchmarks.compiled import Renderer
from benchmarks.ltv import kaplan_meier, shifted_beta_geometric
from tests.warehouse import manifest


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(manifest())


def test_the_shifted_beta_geometric_model_is_fader_and_hardies(renderer: Renderer) -> None:
    """High End to three decimals, and the discounted lifetimes that the papers print."""
    figures = shifted_beta_geometric(renderer)
    assert [figure.name for figure in figures if not figure.holds] == []
    assert [round(figure.value, 3) for figure in figures[:2]] == [0.668, 3.806]


def test_survival_is_that_of_lifelines(renderer: Renderer) -> None:
    """Eight data sets, to 1e-12."""
    figures = kaplan_meier(renderer, None)
    assert len(figures) == 8
    assert [figure.name for figure in figures if not figure.holds] == []
