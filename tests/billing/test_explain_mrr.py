"""`lifecycle explain mrr` names customers and rules that add up to the difference, and says so when they do not."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from lifecycle.cli import app
from lifecycle.explain.mrr import explanation
from tests.billing import stories

if TYPE_CHECKING:
    from pathlib import Path

    from tests.warehouse import Warehouse

SEPTEMBER = dt.date(2026, 9, 1)
TOOLS = ("stripe", "chartmogul", "profitwell", "baremetrics")


@pytest.fixture
def data_dir(told_warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "lifecycle.duckdb").symlink_to(told_warehouse.path)
    monkeypatch.setenv("LIFECYCLE__DATA_DIR", str(tmp_path))
    return tmp_path


def test_every_month_under_every_tool_adds_up_without_a_rest(told_warehouse: Warehouse) -> None:
    with told_warehouse.connect(read_only=True) as connection:
        months = [month for (month,) in connection.execute("select month from marts.revenue_metrics").fetchall()]
        found = [explanation(connection, month, tool) for month in months for tool in TOOLS]
    assert {each.rest for each in found} == {Decimal(0)}
    for each in found:
        assert sum(rule.difference for rule in each.rules) == each.theirs - each.ours
        assert sum(rule.customers for rule in each.rules) == len(each.shares)
    # the stories hold a case for every rule that changes a closing balance
    assert {rule.name for each in found for rule in each.rules} >= {
        "discount_repeating", "discount_once", "free_time", "past_due_days", "unpaid", "paused", "churn_timing",
        "usage", "fx_rate", "proration", "refunds",
    }  # fmt: skip


def test_who_differs_by_how_much_and_why(told_warehouse: Warehouse) -> None:
    with told_warehouse.connect(read_only=True) as connection:
        told = explanation(connection, SEPTEMBER, "chartmogul")
        owner = connection.execute(
            "select customer_id from intermediate.int_identities__resolved where source_record_id = 'cus_x6_0_0'"
        ).fetchall()[0][0]
    (share,) = [share for share in told.shares if share.customer_id == owner]
    assert (share.rule, share.difference) == ("usage", Decimal("30.00"))
    (usage,) = [rule for rule in told.rules if rule.name == "usage"]
    assert (usage.ours, usage.theirs) == ("excluded", "counted")


@pytest.mark.usefixtures("data_dir")
def test_the_command_prints_what_adds_up() -> None:
    asked = ["explain", "mrr", "--month", "2026-09", "--as", "chartmogul"]
    text = CliRunner().invoke(app, [*asked, "--limit", "1"])
    assert text.exit_code == 0, text.output
    told = json.loads(CliRunner().invoke(app, [*asked, "--json"]).output)
    assert told["rest"] == "0.00"
    assert sum(Decimal(each["difference"]) for each in told["customers"]) == Decimal(told["difference"])
    assert f"{Decimal(told['theirs']):,.2f}" in text.output
    assert f"{len(told['customers']) - 1} more" in text.output


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize(
    ("month", "tool", "says"),
    [
        ("2026-13", "stripe", "YYYY-MM"),
        ("2031-01", "stripe", "2025-12"),
        ("2026-09", "ours", "baremetrics, chartmogul"),
    ],
)
def test_a_question_that_has_no_answer(month: str, tool: str, says: str) -> None:
    answer = CliRunner().invoke(app, ["explain", "mrr", "--month", month, "--as", tool])
    assert answer.exit_code == 2
    assert says in answer.output.replace("\n", " ")


def test_a_rest_is_an_error(told_warehouse: Warehouse, data_dir: Path) -> None:
    changed = stories.copy_of(told_warehouse, data_dir / "changed")
    changed.execute("update marts.mrr_profiles set closing_mrr = closing_mrr + 0.01 where profile = 'stripe'")
    link = data_dir / "published" / "lifecycle.duckdb"
    link.unlink()
    link.symlink_to(changed.path)
    answer = CliRunner().invoke(app, ["explain", "mrr", "--month", "2026-09", "--as", "stripe", "--json"])
    assert answer.exit_code == 1
    assert json.loads(answer.output)["rest"] == "0.01"
