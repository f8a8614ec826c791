"""Missing readings: what is carried forward, and what counts as 0."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamlearn.lags.lag_sets import LagSet
from streamlearn.lags.windows import carry_forward

readings = st.floats(-1e6, 1e6) | st.just(math.nan)


@given(st.lists(readings, min_size=1, max_size=12))
def test_a_missing_value_is_the_last_known_one_before_it_or_the_first_known(values: list[float]) -> None:
    known = [value for value in values if not math.isnan(value)]
    filled = carry_forward(np.array(values))
    if not known:
        assert filled is None
        return
    expected, last = [], known[0]
    for value in values:
        last = last if math.isnan(value) else value
        expected.append(last)
    assert filled is not None
    assert filled.tolist() == expected


@given(st.lists(st.tuples(readings, readings), min_size=3, max_size=3))
def test_drivers_and_their_changes_are_0_where_they_are_missing(window: list[tuple[float, float]]) -> None:
    lags = LagSet.of(("y", "x"), {"y": (0,), "x": (0, 2)}, 3)
    taken = lags.take(np.array([(1.0, x) for _, x in window]))
    assert taken is not None
    before, now = window[0][1], window[2][1]
    assert taken.now.tolist() == [0.0 if math.isnan(now) else now]
    assert taken.changes.tolist() == [0.0 if math.isnan(now - before) else now - before]
