from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from activation.actions import Action, all_parsed, parsed, written

long_numbers = st.integers(-(10**30), 10**30)
documents = st.recursive(
    st.none() | st.booleans() | long_numbers | st.text(alphabet="a1 ü9", max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet="k7", max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(documents, st.sampled_from([None, (",", ":")]))
def test_whole_numbers_stay_what_they_are_wherever_they_stand(document: Any, separators: Any) -> None:
    text = json.dumps(document, separators=separators, ensure_ascii=False)
    assert parsed(text) == document


@given(st.lists(documents, max_size=4))
def test_many_texts_at_once_mean_what_each_of_them_means(found: Any) -> None:
    assert all_parsed([json.dumps(each) for each in found]) == found


def test_what_is_no_number_is_read_and_goes_out_as_nothing() -> None:
    """DuckDB writes it so, and one such payload must not spoil what else is in its request."""
    assert written(parsed('{"share":NaN,"most":Infinity,"n":1}')) == b'{"share":null,"most":null,"n":1}'
    assert [each["n"] for each in all_parsed(['{"n":1}', '{"n":2,"x":NaN}'])] == [1, 2]


@given(documents)
def test_what_was_read_is_written_as_it_was(document: Any) -> None:
    assert json.loads(written(document)) == document


@given(st.dictionaries(st.text(max_size=3), long_numbers, max_size=5), st.randoms(use_true_random=False))
def test_a_payload_means_the_same_in_any_order_and_spacing_and_another_one_does_not(body: Any, order: Any) -> None:
    names = list(body)
    order.shuffle(names)
    one = Action("a", "d", "o", "n", "c", "x", None, None, 1, json.dumps(body))  # type: ignore[arg-type]
    assert one.means(json.dumps({name: body[name] for name in names}, indent=1))
    for name in names:
        assert not one.means(json.dumps({**body, name: body[name] + 1}))


def test_the_hash_tells_texts_apart_and_is_not_computed_twice() -> None:
    plain = Action("a", "d", "o", "n", "c", "x", None, None, 1, "{}")  # type: ignore[arg-type]
    assert plain.payload_hash == "99914b932bd37a50b983c5e7c90ae93b"  # md5 of {}
    assert plain._replace(digest="known").payload_hash == "known"
