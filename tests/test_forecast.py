"""Forecasting a series: what is learned when, gaps, late hours, wild dates, and cuts that do not matter."""

from dataclasses import replace
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import plain_forecast
import plain_mixture
import pytest
from hours import FIRST, PM25, decode, hour, learned, series

from streamlearn.errors import BadRecord, ChangeRefused, NoModel
from streamlearn.estimators.least_squares import RecursiveLeastSquares
from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines.pm25 import LAGS, step
from streamlearn.storage import snapshot

LOOPS = pytest.mark.parametrize(
    ("pipeline", "replay"),
    [(PM25, plain_mixture.replay), (FIRST, plain_forecast.replay)],
    ids=["as it is", "first"],
)


@LOOPS
def test_it_forecasts_as_a_plain_numpy_loop(pipeline: Any, replay: Any) -> None:
    records = series(600)
    del records[100:104], records[300:320]
    _, forecasts = learned(records, pipeline)
    expected = replay(records)
    for forecast, plain in zip(forecasts, expected, strict=True):
        assert [value is None for value in forecast.values()] == [value is None for value in plain.values()]
        known = [h for h, value in forecast.items() if value is not None]
        np.testing.assert_allclose([forecast[h] for h in known], [plain[h] for h in known], rtol=1e-9)


class Plain:
    """The same estimator, by scikit-learn's two methods alone."""

    def __init__(self, **parameters: Any) -> None:
        self.model = RecursiveLeastSquares(**parameters)

    def partial_fit(self, x: Any, y: Any) -> None:
        self.model.partial_fit(x, y)

    def predict(self, x: Any) -> Any:
        return self.model.predict(x)


def test_an_estimator_without_quick_ways_forecasts_the_same() -> None:
    plain = replace(FIRST.learning, estimator=Plain).new_learner(FIRST.parameters, 0)  # type: ignore[type-var]
    quick = FIRST.new_learner()
    for number, record in enumerate(decode(series(120))):
        [expected] = predict_then_learn(quick, [record], number + 1)
        [answer] = predict_then_learn(plain, [record], number + 1)
    assert all(value is not None for value in answer["forecast"].values())
    assert answer == expected
    assert plain.score == quick.score


def test_a_series_without_lags_to_choose_refuses_other_settings_and_lags() -> None:
    learner = replace(PM25.learning, lags=None, names=None).new_learner(PM25.parameters, 0)  # type: ignore[type-var]
    with pytest.raises(ChangeRefused, match="does not choose its lags"):
        learner.change_setting("lags", {"pollution": [0]})
    with pytest.raises(ChangeRefused, match="does not choose its pace"):
        PM25.new_learner().change_setting("pace", 1)


@pytest.mark.parametrize("cut", [1, 7, 256])
def test_results_do_not_depend_on_how_the_stream_was_cut(cut: int) -> None:
    records = decode(series(400))
    whole, parts = PM25.new_learner(), PM25.new_learner()
    answers = [predict_then_learn(whole, [record], n + 1)[0] for n, record in enumerate(records)]
    cut_answers: list[Any] = []
    for start in range(0, 400, cut):
        part = records[start : start + cut]
        cut_answers += predict_then_learn(parts, part, start + len(part))
    assert answers == cut_answers
    assert snapshot.dumps(whole, PM25, "a") == snapshot.dumps(parts, PM25, "a")


def test_a_snapshot_anywhere_goes_on_the_same() -> None:
    records = decode(series(200))
    whole, resumed = PM25.new_learner(), PM25.new_learner()
    for number, record in enumerate(records):
        expected = predict_then_learn(whole, [record], number + 1)
        if number % 37 == 5:
            resumed = snapshot.loads(snapshot.dumps(resumed, PM25, "a"), PM25, "a")
        assert predict_then_learn(resumed, [record], number + 1) == expected
    assert snapshot.dumps(whole, PM25, "a") == snapshot.dumps(resumed, PM25, "a")


def test_a_label_is_learned_only_when_its_hour_has_come() -> None:
    _, forecasts = learned(series(30))
    first = {h: next(n for n, f in enumerate(forecasts) if f[h] is not None) for h in forecasts[0]}
    known = [n for n, record in enumerate(series(30)) if record["pollution"] is not None]
    assert first["1"] >= known[0] + 2
    assert first["24"] >= 25


def test_the_reading_that_a_forecast_is_scored_on_was_not_learned() -> None:
    """Change one reading: no forecast made before it moves, and its score is of the forecast made before."""
    records = series(200)
    changed = [dict(record) for record in records]
    changed[150]["pollution"] = 900.0
    _, before = learned(records)
    _, after = learned(changed)
    assert before[:150] == after[:150]
    assert before[150] != after[150]


def test_missing_readings_are_neither_learned_nor_scored() -> None:
    records = [hour(n, 100.0 if n < 60 else None) for n in range(120)]
    learner, forecasts = learned(records, FIRST)
    # Hour 1 is the first label to be learned, so hour 2 is the first to be forecast, and hour 3 scored.
    assert learner.score.horizons["1"].samples == 57
    models = learned(records[:60], FIRST)[0].state()["models"]
    np.testing.assert_array_equal(models[0].coef_, learner.state()["models"][0].coef_)
    assert forecasts[61]["1"] is not None
    assert set(forecasts[119].values()) == {None}, "nothing was known for a whole window"


@pytest.mark.parametrize("horizon", ["1", "24"])
def test_where_persistence_had_nothing_to_say_neither_is_scored(horizon: str) -> None:
    """A missing reading is no label, and nothing that was forecast from its hour counts."""
    readings = [100.0 + n % 7 for n in range(120)]
    complete, _ = learned([hour(n, reading) for n, reading in enumerate(readings)])
    gap, _ = learned([hour(n, None if n == 80 else reading) for n, reading in enumerate(readings)])
    assert gap.score.horizons[horizon].samples == complete.score.horizons[horizon].samples - 2


def test_a_series_is_finite_where_its_models_and_its_newest_forecast_are() -> None:
    learner, _ = learned(series(10), FIRST)
    assert learner.latest["forecast"]["24"] is None
    assert learner.is_finite()
    forecast = learner.latest["forecast"]
    learner.latest = {**learner.latest, "forecast": {**forecast, "1": np.inf}}
    assert not learner.is_finite()
    learner.latest = {**learner.latest, "forecast": forecast}
    learner._models[1].coef_[0] = np.nan
    assert not learner.is_finite()


def test_repeated_and_late_hours_are_refused_and_change_nothing() -> None:
    learner, _ = learned(series(100))
    before = snapshot.dumps(learner, PM25, "a")
    for number in (99, 98, 76):
        [record] = decode([hour(number)])
        assert "time runs forward" in str(learner.rejection_reason(record))
    assert snapshot.dumps(learner, PM25, "a") == before
    for number in (100, 99 - LAGS):
        [record] = decode([hour(number)])
        assert learner.rejection_reason(record) is None


def test_a_wild_date_costs_a_window_and_not_the_model() -> None:
    learner, _ = learned(series(300), FIRST)
    coefficients = [model.coef_.copy() for model in learner._models]
    wild, *back = decode([hour(0, ts="9999-12-31 23:00:00"), *(hour(300 + n) for n in range(30))])
    assert learner.rejection_reason(wild) is None
    predict_then_learn(learner, [wild], learner.version + 1)
    for before, model in zip(coefficients, learner._models, strict=True):
        np.testing.assert_array_equal(before, model.coef_)
    for record in back:
        assert learner.rejection_reason(record) is None
        [answer] = predict_then_learn(learner, [record], learner.version + 1)
    assert all(0 <= value < 500 for value in answer["forecast"].values())


def test_a_data_set_that_is_replayed_again_is_learned_again() -> None:
    records = series(300)
    learner, _ = learned([*records, *records])
    assert learner.score.samples > 1.8 * learned(records)[0].score.samples


def test_a_window_of_ones_own_gives_what_the_stream_said() -> None:
    records = series(300)
    learner, forecasts = learned(records)
    own = learner.answer(decode(records[-25:]))[0]["forecast"]
    assert learner.answer([])[0]["forecast"] == forecasts[-1]
    assert all(value is not None for value in own.values())
    del records[290:293]
    assert learner.answer(decode(list(reversed(records[-25:]))))[0]["forecast"] != own


def test_without_anything_learned_there_is_no_forecast() -> None:
    with pytest.raises(NoModel):
        PM25.new_learner().answer([])


@pytest.mark.parametrize(
    "change",
    [
        {"ts": "yesterday"},
        {"ts": "2010-02-30 00:00:00"},
        {"ts": "2010-01-02 00:30:00"},
        {"ts": None},
        {"ts": "2010-01-02T00:00:00+08:00"},
        {"pollution": -1},
        {"pollution": 5000},
        {"pollution": "12"},
        {"wnd_dir": "S"},
        {"wnd_dir": None},
        {"press": None},
        {"temp": 99},
        {"wnd_spd": -1},
    ],
)
def test_bad_hours_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadRecord):
        PM25.codec.decode(msgspec.json.encode(hour(0, **{"pollution": 5.0, **change})))


@pytest.mark.parametrize("name", list(hour(0)))
def test_a_missing_field_is_named(name: str) -> None:
    record = hour(0)
    del record[name]
    with pytest.raises(BadRecord, match=name):
        PM25.codec.decode(msgspec.json.encode(record))


def test_not_a_number_is_refused() -> None:
    value = msgspec.json.encode(hour(0)).replace(b"100.0", b"NaN")
    with pytest.raises(BadRecord):
        PM25.codec.decode(value)


def test_the_data_is_hourly_and_goes_on_by_whole_passes(pm25_csv: str) -> None:
    assert PM25.dataset is not None
    records = list(islice(PM25.dataset.records(passes=2), 2 * PM25.dataset.size))
    steps = [step(PM25.codec.decode(msgspec.json.encode(record))) for record in records]
    assert steps == list(range(steps[0], steps[0] + 2 * 43_800))
    assert records[0]["ts"] == "2010-01-02 00:00:00"
    assert records[0]["pollution"] == 129
    assert sum(record["pollution"] is None for record in records[:43_800]) == 2067 - 24
    assert records[43_800]["pollution"] == 129
