"""Lag sets: as text, and changed by a control record while a learner learns."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from helpers import KEY, LINEAGE, ListStream, Make, commit, inputs, read_snapshots, rollback
from helpers import learner as learn_digits
from hours import FIRST, PM25, decode, hour, learned, series

from streamlearn.datasets.base import DataSet
from streamlearn.engine.answering import Answering, cut_into_chunks
from streamlearn.engine.verify import verify
from streamlearn.errors import BadLags
from streamlearn.estimators.least_squares import RecursiveLeastSquares
from streamlearn.lags.choice import choose_lags, leading_lag
from streamlearn.lags.correlations import Correlations, cross_correlation
from streamlearn.lags.lag_sets import LagSet, format_lags, parse_lags
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.operations.lag_choice import describe, evaluate_with_lags, parse_choice
from streamlearn.pipelines.digits import pipeline as digits
from streamlearn.pipelines.pm25 import FIRST_LAGS, LAGS, SERIES
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.stream import control
from streamlearn.stream.ports import Input
from streamlearn.stream.records import encode

OTHER = parse_lags("pollution=0-2,5 dew=0,3 wnd_spd=0-4", SERIES)
FEWER = parse_lags("pollution=0-2,5 dew=0,3 wnd_spd=0", SERIES)
LINE = msgspec.structs.replace(LINEAGE, pipeline="pm25", reference="pm25", parameters=dict(PM25.parameters))


def change_lags(offset: int, chosen: dict[str, list[int]], lineage: str = "aaaa") -> Input:
    return Input(0, offset, control.sign(control.Lags(lineage, chosen), KEY))


def encode_hours(count: int) -> list[Input]:
    return [Input(0, n, encode(record)) for n, record in enumerate(series(count))]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("dew=0", "pollution is what is forecast"),
        ("pollution=0 smoke=0", "no series 'smoke'"),
        ("pollution=25", "has no lag 25"),
        ("pollution=0 dew=3", "dew needs lag 0 too"),
        ("pollution", "is not a series and its lags"),
        ("pollution=0 pollution=1", "each once"),
        ("pollution=-1", "neither a lag nor a run"),
        ("pollution=0-", "neither a lag nor a run"),
        ("pollution=0-999999999999", "larger than any window"),
        ("pollution=" + 5000 * "9", "larger than any window"),
        ("pollution=0-3 dew=3-0", "from the smaller lag to the larger"),
        ("", "pollution is what is forecast"),
    ],
)
def test_a_set_that_cannot_be_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(BadLags, match=reason):
        LagSet.of(SERIES, parse_lags(text, SERIES), LAGS)


def test_a_set_is_read_as_it_is_written() -> None:
    assert parse_lags(format_lags(FIRST_LAGS.chosen), SERIES) == FIRST_LAGS.chosen
    assert parse_lags("*=0 dew=0-3", SERIES) == {name: [0] for name in SERIES} | {"dew": [0, 1, 2, 3]}


def test_features_are_named_in_their_order() -> None:
    window = np.arange(LAGS * len(SERIES), dtype=float).reshape(LAGS, -1)
    lag_set = LagSet.of(SERIES, {"pollution": [0, 2], "dew": [0, 3], "snow": [0, 1, 3]}, LAGS)
    taken = lag_set.take(window)
    assert taken is not None
    values = dict(zip(lag_set.names, np.concatenate([taken.own, taken.now, taken.changes]), strict=True))
    at = {name: window[:, column][::-1] for column, name in enumerate(SERIES)}
    assert values == {
        "pollution[0]": at["pollution"][0],
        "pollution[-2]": at["pollution"][2],
        "dew[0]": at["dew"][0],
        "snow[0]": at["snow"][0],
        "snow[0]-snow[-1]": at["snow"][0] - at["snow"][1],
        "dew[0]-dew[-3]": at["dew"][0] - at["dew"][3],
        "snow[0]-snow[-3]": at["snow"][0] - at["snow"][3],
    }


def test_taking_features_out_leaves_what_would_have_been_learned_without_them() -> None:
    random = np.random.default_rng(3)
    x, y = random.normal(size=(200, 6)) @ random.normal(size=(6, 6)), random.normal(size=200)
    model = RecursiveLeastSquares(ridge=2.0).partial_fit(x, y)
    model.reselect([4, 0, 3])
    without = RecursiveLeastSquares(ridge=2.0).partial_fit(x[:, [4, 0, 3]], y)
    np.testing.assert_allclose(model.coef_, without.coef_, rtol=1e-9)
    np.testing.assert_allclose(model.covariance_, without.covariance_, rtol=1e-8)
    before = model.predict(x[:, [4, 0, 3]])
    model.reselect([0, None, 1, 2])
    after = model.predict(np.column_stack([x[:, 4], x[:, 1], x[:, [0, 3]]]))
    np.testing.assert_allclose(after, before, rtol=1e-12)
    # As if the new one had been 0 in every row.
    zero = np.column_stack([x[:, 4], np.zeros(200), x[:, [0, 3]]])
    as_zero = RecursiveLeastSquares(ridge=2.0).partial_fit(zero, y)
    np.testing.assert_allclose(model.covariance_, as_zero.covariance_, rtol=1e-8)


def test_fewer_lags_are_as_if_they_had_been_used_from_the_start() -> None:
    records = decode(series(500))
    changed, always = FIRST.new_learner(), FIRST.new_learner()
    always.use_lags(FEWER)
    for number, record in enumerate(records[:400]):
        predict_then_learn(changed, [record], number + 1)
        predict_then_learn(always, [record], number + 1)
    changed.use_lags(FEWER)
    for number, record in enumerate(records[400:], start=400):
        forecast = predict_then_learn(changed, [record], number + 1)[0]["forecast"]
        expected = predict_then_learn(always, [record], number + 1)[0]["forecast"]
        np.testing.assert_allclose(list(forecast.values()), list(expected.values()), rtol=1e-6)
    assert changed.score.samples == always.score.samples, "what was forecast before is scored as well"


def test_the_same_lags_again_change_nothing() -> None:
    learner, _ = learned(series(200))
    before = snapshot.dumps(learner, PM25, "aaaa")
    learner.use_lags(FIRST_LAGS.chosen)
    assert snapshot.dumps(learner, PM25, "aaaa") == before


def test_a_learner_that_cannot_change_says_so_and_stays_as_it_was() -> None:
    learner, _ = learned(series(200), FIRST)
    before = snapshot.dumps(learner, PM25, "aaaa")
    learner._models[2].__class__ = type("Stiff", (), {})
    with pytest.raises(BadLags, match="Stiff cannot change its features"):
        learner.use_lags(OTHER)
    learner._models[2].__class__ = RecursiveLeastSquares
    assert snapshot.dumps(learner, PM25, "aaaa") == before


def test_a_lag_set_enters_by_a_control_record_and_verify_reproduces_it(
    make: Make, store: Store, stream: ListStream
) -> None:
    rows = encode_hours(600)
    rows[300], rows[450] = change_lags(300, OTHER), rollback(450, 280)
    worker = make(pipeline=PM25, lineage=LINE)
    answers = commit(stream, worker, rows, 120, 280, 350)
    assert stream.answers[300].topic == "pm25.control"
    assert answers[300]["control"] == {"kind": "lags", "lineage": "aaaa", "lags": OTHER}
    assert worker.learner is not None
    assert worker.learner.state()["lags"] == FIRST_LAGS.chosen, "going back takes the lags along"
    stream.commit = 600
    report = verify(PM25, LINE, stream, read_snapshots(store, "pm25"), key=KEY, wait_s=0)
    assert (report.differences, report.controls, report.predictions) == ([], 2, 598)
    assert report.snapshots >= 4


def test_it_is_learned_again_after_redis_has_lost_everything(
    make: Make, store: Store, stream: ListStream
) -> None:
    rows = encode_hours(400)
    rows[200] = change_lags(200, OTHER)
    commit(stream, make(pipeline=PM25, lineage=LINE), rows, 100, 201)
    expected = read_snapshots(store, "pm25")[400]
    store.clear("pm25")
    again = make(pipeline=PM25, lineage=LINE)._resume(400)
    assert snapshot.dumps(again, PM25, "aaaa", KEY) == expected


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_lags_that_were_changed_stay_when_a_record_fails_after_them() -> None:
    """It is set aside as if it had been no record at all."""

    def read(record: Any) -> Any:
        if record.wnd_spd == 77.7:
            raise ValueError("a bug of the author")
        return PM25.learning.reading(record)  # type: ignore[attr-defined]

    def answer(unusable: bytes) -> bytes:
        rows = encode_hours(150)
        rows[100], rows[120] = change_lags(100, OTHER), rows[120]._replace(value=unusable)
        answering, learner = Answering(pipeline, "aaaa", KEY, lambda version: learner), pipeline.new_learner()
        for chunk in cut_into_chunks(rows, 50):
            learner, outputs = answering.answer(learner, chunk)
            if chunk[0].offset == 101:
                assert outputs[19].topic == "pm25.dead_letter"
        assert learner.lags is not None
        assert learner.lags.chosen == OTHER
        return snapshot.dumps(learner, pipeline, "aaaa")

    pipeline = replace(PM25, learning=replace(PM25.learning, reading=read))  # type: ignore[type-var]
    assert answer(encode(hour(120, wnd_spd=77.7))) == answer(b"broken")


def test_a_snapshot_carries_its_lags() -> None:
    learner, _ = learned(series(100))
    learner.use_lags(OTHER)
    again = snapshot.loads(snapshot.dumps(learner, PM25, "aaaa"), PM25, "aaaa")
    for number, record in enumerate(decode(series(150)[100:]), start=101):
        assert predict_then_learn(again, [record], number) == predict_then_learn(learner, [record], number)
    assert snapshot.dumps(again, PM25, "aaaa") == snapshot.dumps(learner, PM25, "aaaa")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (change_lags(100, {"smoke": [0]}), "no series 'smoke'"),
        (change_lags(100, {"pollution": [0, 40]}), "no lag 40"),
        (change_lags(100, {"pollution": []}), "pollution is what is forecast"),
        (change_lags(100, OTHER, lineage="bbbb"), "for lineage bbbb"),
    ],
)
def test_a_set_that_is_refused_is_a_dead_letter_and_changes_nothing(
    make: Make, stream: ListStream, record: Input, reason: str
) -> None:
    rows = encode_hours(150)
    answers = commit(stream, make(pipeline=PM25, lineage=LINE), [*rows[:100], record, *rows[101:]])
    assert reason in str(answers[100]["reason"])
    assert "forecast" in answers[101]


def test_a_pipeline_without_lags_refuses_them(make: Make, stream: ListStream) -> None:
    rows = inputs(5)
    rows[2] = change_lags(2, OTHER)
    answers = commit(stream, make(), rows)
    assert answers[2]["reason"] == "this pipeline does not choose its lags"


def windy(count: int) -> list[dict[str, Any]]:
    """Return hours in which the wind leads the dust by four, and nothing else leads."""
    random = np.random.default_rng(8)
    wind = random.integers(0, 60, size=count + 4).astype(float).tolist()
    records: list[dict[str, Any]] = series(count)
    for number, record in enumerate(records):
        record["wnd_spd"] = wind[number + 4]
        record["pollution"] = round(300 - 2 * wind[number] + random.normal(), 3)
    return records


def test_what_leads_is_chosen_from_what_has_come() -> None:
    learner, _ = learned(windy(3000))
    chosen = parse_choice(PM25, "chosen", lambda: learner)
    assert chosen == {"pollution": list(range(LAGS)), "wnd_spd": [0, 1, 3]}
    with pytest.raises(BadLags, match="too little has come"):
        parse_choice(PM25, "chosen", PM25.new_learner)
    in_use, value, *drivers, suggestion = describe(PM25, learner)
    assert in_use == f"in use at version 3000: {format_lags(FIRST_LAGS.chosen)}"
    assert value == "what leads PM2.5, over 3000 steps so far, pre-whitened:"
    assert suggestion == f"chosen by that: {format_lags(chosen)}"
    assert sum("no lag stands out" in driver for driver in drivers) == len(drivers) - 1
    [wind] = [driver for driver in drivers if "no lag" not in driver]
    assert wind.lower().lstrip().startswith("wind speed")
    assert " 4 h, r = -0.9" in wind


def test_without_enough_to_choose_by_that_is_what_is_shown() -> None:
    assert [*describe(PM25, PM25.new_learner())][-1] == (
        "chosen by that: too little has come yet to choose lags by"
    )


def test_what_has_no_drivers_or_no_lags_has_none_to_choose_by_or_to_show() -> None:
    alone = replace(PM25, learning=replace(PM25.learning, drivers=()))  # type: ignore[type-var]
    with pytest.raises(BadLags, match="pm25 has no drivers"):
        parse_choice(alone, "chosen", alone.new_learner)
    assert len([*describe(alone, alone.new_learner())]) == 1
    with pytest.raises(BadLags, match="digits does not choose its lags"):
        [*describe(digits, learn_digits())]


def test_chosen_lags_always_fit_the_window() -> None:
    """A driver that leads by much is looked up within it, and now, as older lags need lag 0."""
    leads_by_10 = Correlations(np.eye(41)[30] * 0.5, 1000)
    names = ["dust", "wind", "no driver"]
    chosen = choose_lags({"wind": leads_by_10}, names, horizons=[1, 3, 6], length=7)
    assert chosen == {"dust": [0, 1, 2, 3, 4, 5, 6], "wind": [0, 4]}
    assert LagSet.of(names, chosen, 7).chosen == chosen


def test_series_that_were_never_known_at_the_same_step_lead_nothing() -> None:
    x, even = np.random.default_rng(4).normal(size=400), np.arange(400) % 2 == 0
    pair = cross_correlation(np.where(even, x, np.nan), np.where(even, np.nan, np.roll(x, 1)), 5)
    assert not np.isnan(pair.at(1))
    assert pair.n == 0
    assert leading_lag(pair) is None


def test_lags_that_are_named_need_no_learner() -> None:
    def fail() -> Learner:
        raise AssertionError("the learner is not needed")

    assert parse_choice(PM25, "default", fail) == FIRST_LAGS.chosen
    assert parse_choice(PM25, "*=0", fail) == {name: [0] for name in SERIES}


def test_what_is_missing_in_a_driver_is_left_at_zero() -> None:
    window = np.ones((LAGS, len(SERIES)))
    window[-1, 1:] = np.nan
    taken = FIRST_LAGS.take(window)
    assert taken is not None
    assert not taken.now.any()
    assert not taken.changes.any()


def test_a_row_that_is_no_number_is_not_learned() -> None:
    model = RecursiveLeastSquares().partial_fit(np.eye(3), np.ones(3))
    before = model.coef_.copy(), model.covariance_.copy()
    model.learn_one(np.array([1.0, np.nan, 0.0]), 1.0)
    np.testing.assert_array_equal(model.coef_, before[0])
    np.testing.assert_array_equal(model.covariance_, before[1])


def test_features_are_taken_out_of_a_covariance_that_rounding_has_emptied() -> None:
    model = RecursiveLeastSquares(ridge=2.0).partial_fit(np.eye(3), np.ones(3))
    model.covariance_[:] = 0.0
    model.reselect([0, 2])
    np.testing.assert_array_equal(model.covariance_, np.eye(2) / 2.0)
    assert np.isfinite(model.coef_).all()


def test_lags_are_part_of_a_lineages_definition() -> None:
    definition = PM25.definition
    assert definition["lags"]["lags"][1] == [0, 3]
    assert definition["drivers"][:2] == ["dew", "temp"]
    other = replace(PM25, learning=replace(PM25.learning, lags=LagSet.of(SERIES, OTHER, LAGS)))  # type: ignore[type-var]
    assert other.definition != definition
    msgspec.json.encode(definition)


def test_a_forecast_that_uses_none_of_this_does_not_name_it() -> None:
    plain = replace(PM25, learning=replace(PM25.learning, lags=None, names=None, drivers=()))  # type: ignore[type-var]
    assert not {"lags", "names", "drivers", "longest_lag"} & set(plain.definition)


def test_an_evaluation_takes_other_lags(pm25_csv: str) -> None:
    with pytest.raises(BadLags, match="skip some"):
        evaluate_with_lags(PM25, lags="chosen")
    with pytest.raises(BadLags, match="does not choose"):
        evaluate_with_lags(replace(PM25, learning=replace(PM25.learning, lags=None)), lags="*=0")  # type: ignore[type-var]


def test_an_evaluation_chooses_by_the_records_that_are_skipped_and_scores_the_others() -> None:
    records = windy(500)

    def repeat(*, seed: int = 0, passes: int | None = None) -> Any:
        for number in range(passes or 1):
            for record in records:
                time = datetime.fromisoformat(record["ts"]) + number * timedelta(hours=500)
                yield {**record, "ts": str(time)}

    pipeline = replace(PM25, dataset=DataSet(repeat, size=500))
    learner = PM25.new_learner()
    for number, record in enumerate(decode([*repeat(passes=2)])):
        if number == 300:
            learner.change_setting("lags", parse_choice(PM25, "chosen", lambda: learner))
            assert learner.lags.chosen["wnd_spd"] == [0, 1, 3]
            learner.score = PM25.new_learner().score
        predict_then_learn(learner, [record], number + 1)
    assert evaluate_with_lags(pipeline, passes=2, skip=300, lags="chosen") == learner.score
    own = evaluate_with_lags(pipeline, passes=2, skip=300)
    assert own == evaluate_with_lags(pipeline, passes=2, skip=300, lags="default")
    assert own.samples == learner.score.samples
    assert own != learner.score
