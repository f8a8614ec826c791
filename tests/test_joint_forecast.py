"""One estimator for all horizons: what pm25 learns when, its lags, and wild or missing readings."""

from dataclasses import replace
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import pytest
from hours import PM25, decode, hour, learned, series

from streamlearn.engine.answering import Answering
from streamlearn.estimators import RandomFeatureMixture
from streamlearn.lags.lag_sets import parse_lags
from streamlearn.lags.windows import empty_window, push
from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines import pm25_features
from streamlearn.pipelines.pm25 import FIRST_LAGS, LAGS, SERIES, reading
from streamlearn.storage import snapshot
from streamlearn.stream.ports import Input

FEWER = parse_lags("pollution=0-2,5 dew=0,3 wnd_spd=0", SERIES)
OTHER = parse_lags("pollution=0-2,5,7 dew=0-3 wnd_spd=0-4", SERIES)


def complete(count: int) -> list[dict[str, Any]]:
    """Return hours without missing readings."""
    values = 100 + 80 * np.sin(np.arange(count) / 7) + np.random.default_rng(3).normal(0, 9, count)
    return [hour(n, round(max(0.0, v), 1), wnd_spd=float(n % 9)) for n, v in enumerate(values.tolist())]


def coefficients(learner: Any) -> list[Any]:
    return [expert.coef_.copy() for expert in learner.state()["models"][0].experts_]


def test_each_feature_has_a_name_of_its_own() -> None:
    window = empty_window(LAGS, len(SERIES))
    for record in decode(complete(LAGS)):
        window = push(window, reading(record)[None, :])
    for lags in (FIRST_LAGS, type(FIRST_LAGS).of(SERIES, OTHER, LAGS)):
        names = pm25_features.names(lags)
        made = pm25_features.features(window, 400_000, lags)
        assert made is not None
        assert made[0].shape == (len(names),) == (len(set(names)),)
        assert all(name.startswith(("gate", "input")) for name in names[-pm25_features.CONTEXT :])
        assert not any(name.startswith(("gate", "input")) for name in names[: -pm25_features.CONTEXT])


def test_a_future_that_is_scrambled_changes_no_forecast(pm25_csv: str) -> None:
    records = list(islice(PM25.dataset.records(passes=1), 600))  # type: ignore[union-attr]
    random = np.random.default_rng(5)
    scrambled = [dict(record) for record in records]
    for record, other in zip(scrambled[400:], random.permutation(400).tolist(), strict=False):
        record |= {name: value for name, value in records[other].items() if name != "ts"}
    before, after = answer_all(records), answer_all(scrambled)
    assert before[:400] == after[:400]
    assert all(answer["ranges"]["24"] for answer in before[300:400])
    assert before[400:] != after[400:]


def answer_all(records: list[dict[str, Any]]) -> list[Any]:
    """Return the answers, with their ranges, of a learner that learns the records one by one."""
    learner = PM25.new_learner()
    return [predict_then_learn(learner, [record], n + 1)[0] for n, record in enumerate(decode(records))]


def test_labels_that_are_missing_teach_nothing() -> None:
    records = [hour(n, 100.0 + n % 5 if n < 60 else None) for n in range(120)]
    at_60, _ = learned(records[:60])
    later, forecasts = learned(records)
    for before, after in zip(coefficients(at_60), coefficients(later), strict=True):
        np.testing.assert_array_equal(before, after)
    assert set(forecasts[119].values()) == {None}, "nothing was known for a whole window"
    assert forecasts[83]["24"] is not None


def test_a_wild_date_costs_a_window_and_not_the_model() -> None:
    learner, _ = learned(series(300))
    before = coefficients(learner)
    wild, *back = decode([hour(0, ts="9999-12-31 23:00:00"), *(hour(300 + n) for n in range(30))])
    predict_then_learn(learner, [wild], learner.version + 1)
    for kept, now in zip(before, coefficients(learner), strict=True):
        np.testing.assert_array_equal(kept, now)
    for record in back:
        [answer] = predict_then_learn(learner, [record], learner.version + 1)
    assert all(0 <= value < 500 for value in answer["forecast"].values())


def test_fewer_lags_are_nearly_as_if_they_had_been_used_from_the_start() -> None:
    records = decode(complete(700))
    changed, always = PM25.new_learner(), PM25.new_learner()
    always.use_lags(FEWER)
    for number, record in enumerate(records[:600]):
        predict_then_learn(changed, [record], number + 1)
        predict_then_learn(always, [record], number + 1)
    changed.use_lags(FEWER)
    for number, record in enumerate(records[600:], start=600):
        forecast = predict_then_learn(changed, [record], number + 1)[0]["forecast"]
        expected = predict_then_learn(always, [record], number + 1)[0]["forecast"]
        np.testing.assert_allclose(list(forecast.values()), list(expected.values()), atol=5.0)
    assert changed.score.samples == always.score.samples, "what was forecast before is scored as well"


def test_lags_may_be_changed_before_anything_has_come() -> None:
    learner = PM25.new_learner()
    learner.use_lags(OTHER)
    for number, record in enumerate(decode(series(40))):
        predict_then_learn(learner, [record], number + 1)
    assert learner.is_finite()
    assert learner.trained


def test_a_learner_holds_no_more_than_its_snapshot_does() -> None:
    learner, _ = learned(series(60))
    again = snapshot.loads(snapshot.dumps(learner, PM25, "a"), PM25, "a")
    assert snapshot.find_differences(again, learner) == []
    assert again.answer([]) == learner.answer([])
    window = decode(series(85)[60:])
    assert again.answer(window) == learner.answer(window)


class OneByOne:
    """A mixture that knows no `learn_labels`."""

    def __init__(self, **parameters: Any) -> None:
        self._mixture = RandomFeatureMixture(**parameters)

    def __getattr__(self, name: str) -> Any:
        if name == "learn_labels":
            raise AttributeError(name)
        return getattr(self._mixture, name)


def test_an_estimator_may_learn_the_labels_of_a_step_one_by_one() -> None:
    learning: Any = PM25.learning
    learner = replace(learning, estimator=OneByOne).new_learner(PM25.parameters, 0)
    at_once = PM25.new_learner()
    for number, record in enumerate(decode(series(60))):
        assert predict_then_learn(learner, [record], number + 1) == predict_then_learn(
            at_once, [record], number + 1
        )


def test_answering_changes_nothing() -> None:
    learner, _ = learned(series(60))
    before = snapshot.dumps(learner, PM25, "a")
    learner.answer(decode(series(85)[60:]))
    learner.predict(decode([hour(60)]))
    assert snapshot.dumps(learner, PM25, "a") == before


@pytest.mark.parametrize("reading", [0.0, 1999.0])
def test_a_wild_reading_moves_no_forecast_beyond_what_air_can_be(reading: float) -> None:
    records = complete(600)
    records[400] = {**records[400], "pollution": reading}
    learner, forecasts = learned(records)
    assert learner.is_finite()
    worst = max(value for forecast in forecasts[400:] for value in forecast.values())
    assert worst < 4000
    _, calm = learned(complete(600))
    np.testing.assert_allclose(list(forecasts[-1].values()), list(calm[-1].values()), atol=60.0)


def test_a_sensor_that_is_stuck_for_a_day_is_followed_and_forgotten() -> None:
    records = complete(700)
    for record in records[400:424]:
        record["pollution"] = records[400]["pollution"]
    learner, forecasts = learned(records)
    _, calm = learned(complete(700))
    assert learner.is_finite()
    errors = [abs(a["6"] - b["6"]) for a, b in zip(forecasts[460:], calm[460:], strict=True)]
    assert max(errors) < 60.0


def at(place: int, **change: Any) -> Any:
    """Return what changes the fields of one hour."""
    return lambda hours: [*hours[:place], {**hours[place], **change}, *hours[place + 1 :]]


ODD_HOURS: dict[str, tuple[Any, int, str]] = {
    "5,000": (at(200, pollution=5000), 1, "<= 2000"),
    "-1": (at(200, pollution=-1), 1, ">= 0"),
    "summer time ends: an hour twice": (lambda hours: [*hours[:201], *hours[200:]], 1, "answered already"),
    "summer time begins: an hour less": (lambda hours: hours[:200] + hours[201:], 0, ""),
    "ten hours again": (lambda hours: hours[:200] + hours[190:], 10, "time runs forward"),
    "no rows for five days": (lambda hours: hours[:200] + hours[320:], 0, ""),
    "no readings for five days": (
        lambda hours: [
            {**hour, "pollution": None} if 200 <= n < 320 else hour for n, hour in enumerate(hours)
        ],
        0,
        "",
    ),
    "every other row": (lambda hours: hours[:200] + hours[200:320:2] + hours[320:], 0, ""),
    "zeros for five days": (
        lambda hours: [{**hour, "pollution": 0} if 200 <= n < 320 else hour for n, hour in enumerate(hours)],
        0,
        "",
    ),
    "weather at its limits": (
        at(200, dew=60, temp=-60, press=850, wnd_spd=2000, snow=1000, rain=1000),
        0,
        "",
    ),
}
"""What is done to complete hours; how many are dead letters then, and why."""


@pytest.mark.parametrize("case", ODD_HOURS)
def test_odd_hours_are_refused_or_learned_and_those_after_them_are_forecast(case: str) -> None:
    change, refused, reason = ODD_HOURS[case]
    hours = change(complete(450))
    answering = Answering(PM25, "odd", "", raise_no_version)
    learner, outputs = PM25.new_learner(), []
    for offset, record in enumerate(hours):
        learner, answers = answering.answer(learner, [Input(0, offset, msgspec.json.encode(record))])
        outputs += answers
    assert len(outputs) == len(hours)
    dead = [msgspec.json.decode(o.value)["reason"] for o in outputs if o.topic == PM25.dead_letter_topic]
    assert len(dead) == refused
    assert all(reason in letter for letter in dead)
    assert learner.is_finite()
    last = msgspec.json.decode(outputs[-1].value)
    _, calm = learned(complete(450))
    np.testing.assert_allclose(list(last["forecast"].values()), list(calm[-1].values()), atol=60.0)
    for ranges in last["ranges"].values():
        assert 0 <= ranges["95"][0] <= ranges["80"][0] <= ranges["50"][0]
        assert ranges["50"][1] <= ranges["80"][1] <= ranges["95"][1] < 1000


def raise_no_version(version: int) -> Any:
    raise AssertionError(version)


def test_in_the_first_hours_a_horizon_is_forecast_once_one_of_its_labels_has_come() -> None:
    _, forecasts = learned(complete(40))
    first = {name: [row[name] is not None for row in forecasts].index(True) for name in forecasts[0]}
    # The label of the first hour comes a horizon later; the next hour is forecast with it.
    assert first == {name: int(name) + 1 for name in first}
