from __future__ import annotations

from dashboard import wording


def test_one_of_a_thing_is_not_said_in_the_plural() -> None:
    assert [wording.several(number, "customer") for number in (0, 1, 1200)] == [
        "0 customers",
        "1 customer",
        "1,200 customers",
    ]
    assert wording.several(1, "company", "companies") == "1 company"
    assert wording.several(2, "company", "companies") == "2 companies"


def test_an_interval_that_nobody_knows_is_said_in_words() -> None:
    assert wording.interval({"x_low": 0.1, "x_high": 0.25}, "x", "share") == "95% interval 10.0% to 25.0%"
    assert wording.interval({"x_low": 0.1, "x_high": None}, "x", "share") == "too little for an interval"
