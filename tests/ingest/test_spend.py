from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import silos
from harness import Ingest, conserved

DAY = silos.NOW.date() - dt.timedelta(days=1)
BEFORE = DAY - dt.timedelta(days=1)


@pytest.fixture
def bucket(data_dir: Path) -> Path:
    return data_dir / "bucket" / "spend"


def test_lines_arrive_with_their_place_and_the_amount_as_written(ingest: Ingest, bucket: Path) -> None:
    silos.write_spend(bucket, DAY, [silos.spend_line(DAY, amount="120.50"), silos.spend_line(DAY, "paid_social")])
    assert ingest("spend").ok
    assert ingest.rows(
        "select channel, amount, impressions, file_name, line_number from raw_spend.ad_spend order by 5"
    ) == [
        ("paid_search", "120.50", 1000, f"spend_date={DAY}/spend.csv", 2),
        ("paid_social", "120.50", 1000, f"spend_date={DAY}/spend.csv", 3),
    ]


def test_only_days_whose_files_changed_are_read_again(ingest: Ingest, bucket: Path) -> None:
    silos.write_spend(bucket, BEFORE, [silos.spend_line(BEFORE)] * 2)
    silos.write_spend(bucket, DAY, [silos.spend_line(DAY)])
    assert ingest("spend").rows_loaded == 3
    silos.write_spend(bucket, DAY, [silos.spend_line(DAY, amount="1"), silos.spend_line(DAY, amount="2")])
    again = ingest("spend")
    assert again.rows_extracted == 2
    assert ingest.rows("select amount from raw_spend.ad_spend order by spend_date, line_number")[2:] == ["1", "2"]
    assert ingest("spend").rows_extracted == 0


def test_every_bad_line_is_set_aside_with_its_reason_and_the_others_are_loaded(ingest: Ingest, bucket: Path) -> None:
    good = silos.spend_line(DAY)
    silos.write_spend(
        bucket,
        DAY,
        [
            good,
            f"{DAY},paid_search,caf".encode() + b"\xe9,google,media,USD,1,1,1",
            f"{DAY},paid_search,brand",
            good.replace(",1000,", ",many,"),
            good.replace(str(DAY), str(BEFORE)),
            "",
        ],
    )
    result = ingest("spend")
    assert result.ok
    assert conserved(result)
    assert (result.rows_extracted, result.rows_loaded, result.rows_quarantined) == (5, 1, 4)
    assert sorted(reason for _, _, reason in ingest.quarantined("spend")) == [
        "The line has 3 fields where the header has 9.",
        "The line is not valid UTF-8.",
        "impressions is 'many', not a whole number of 64 bits.",
        f"spend_date is '{BEFORE}', in the folder of {DAY}.",
    ]


def test_a_repeated_file_is_counted_once(ingest: Ingest, bucket: Path) -> None:
    silos.write_spend(bucket, DAY, [silos.spend_line(DAY)] * 3)
    silos.write_spend(bucket, DAY, [silos.spend_line(DAY)] * 3, "spend (1).csv")
    result = ingest("spend")
    assert conserved(result)
    assert (result.rows_extracted, result.rows_loaded, result.rows_deduplicated) == (6, 3, 3)
    assert ingest.count("raw_spend.ad_spend") == 3


def test_a_repeat_that_comes_after_its_original_was_loaded_changes_nothing(ingest: Ingest, bucket: Path) -> None:
    original = silos.write_spend(bucket, DAY, [silos.spend_line(DAY)] * 3)
    ingest("spend")
    silos.write_spend(bucket, DAY, [silos.spend_line(DAY)] * 3, "a copy.csv")
    assert ingest("spend").ok
    assert ingest.count("raw_spend.ad_spend") == 3
    original.unlink()
    assert ingest("spend").ok
    assert ingest.count("raw_spend.ad_spend") == 3, "the copy that is left is the file now"


def test_a_file_without_the_columns_needed_is_set_aside_whole(ingest: Ingest, bucket: Path) -> None:
    path = silos.write_spend(bucket, DAY, [silos.spend_line(DAY)])
    path.write_text("day,channel\n2026-10-31,paid_search\n", encoding="utf-8")
    silos.write_spend(bucket, BEFORE, [silos.spend_line(BEFORE)])
    result = ingest("spend")
    assert (result.rows_extracted, result.rows_loaded, result.rows_quarantined) == (2, 1, 1)
    assert ingest.quarantined("spend")[0][2] == "The header has no column spend_date."


def test_a_byte_order_mark_and_added_columns_do_no_harm(ingest: Ingest, bucket: Path) -> None:
    path = silos.write_spend(bucket, DAY, [])
    path.write_bytes(b"\xef\xbb\xbf" + f"{silos.SPEND_HEADER},region\n{silos.spend_line(DAY)},EU\n".encode())
    assert ingest("spend").rows_loaded == 1
    assert ingest.rows("select region from raw_spend.ad_spend") == ["EU"]


def test_spend_reaches_to_the_end_of_its_newest_day(ingest: Ingest, bucket: Path) -> None:
    silos.write_spend(bucket, DAY, [silos.spend_line(DAY)])
    assert ingest("spend").data_through_at == dt.datetime.combine(silos.NOW.date(), dt.time.min)


def test_a_line_that_is_no_csv_and_one_with_more_than_its_header_names_are_set_aside(
    ingest: Ingest, bucket: Path
) -> None:
    good = silos.spend_line(DAY)
    path = silos.write_spend(bucket, DAY, [f"{good},", f"{good},7", f"{good.replace('brand', 'x' * 200_000)},"])
    path.write_bytes(path.read_bytes().replace(b",clicks", b",clicks,").replace(b"\n", b"\r\n"))
    result = ingest("spend")
    assert result.ok
    assert conserved(result)
    assert result.rows_loaded == 1
    assert [reason for _, _, reason in ingest.quarantined("spend")] == [
        "The line has a value in a column without a name.",
        "The line is no CSV: field larger than field limit (131072).",
    ]


def test_a_header_that_names_a_column_twice_says_nothing_of_either(ingest: Ingest, bucket: Path) -> None:
    path = silos.write_spend(bucket, DAY, [f"{silos.spend_line(DAY)},9.00"])
    path.write_bytes(path.read_bytes().replace(b",clicks", b",clicks,Amount"))
    result = ingest("spend")
    assert (result.ok, result.rows_loaded) == (True, 0)
    assert [reason for _, _, reason in ingest.quarantined("spend")] == ["The header names the column amount twice."]
