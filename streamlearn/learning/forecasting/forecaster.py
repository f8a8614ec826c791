"""What learns to forecast a series, with an estimator for each horizon."""

import copy
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import BadLags, BadRecord, NoModel
from streamlearn.lags.lag_sets import LagSet
from streamlearn.lags.running import RunningCorrelations
from streamlearn.lags.windows import Window, empty_window, push, push_one
from streamlearn.learning.forecasting.packing import pack_series, unpack_series
from streamlearn.learning.forecasting.series import OneSeries, SeenStep, SeriesByKey
from streamlearn.learning.learner import (
    Answer,
    Floats,
    KeyCounts,
    LatestForecast,
    Learner,
    has_finite_numbers,
)
from streamlearn.learning.metrics import HorizonErrors, RangedErrors, RangedHorizonErrors
from streamlearn.learning.ranges import (
    Issued,
    find_inside,
    name_ranges,
    pack_issued,
    shown_ends,
    unpack_issued,
    weighted_interval_score,
)

if TYPE_CHECKING:
    from streamlearn.learning.forecasting.spec import Forecast

Features = tuple[Floats, float]
"""What an estimator sees of a window, shape (n_features,), and the last known value, in its own unit."""

LAGS_SETTING = "lags"
"""The setting that a control record can change while learning goes on."""


class Look(NamedTuple):
    """A record in its window."""

    series: OneSeries
    """The series that it belongs to, as it was before."""
    window: Window
    seen: list[SeenStep | None]
    """What was seen at each step of the window before the record's own."""
    features: Features | None
    sight: Any = None
    """What one estimator for all horizons makes of the features."""


class ForecastLearner(Learner):
    """Learns as its `Forecast` says; answers `{"forecast": {"1": …, …}}`, null where it cannot say yet."""

    max_chunk_rows = 1

    def __init__(self, spec: "Forecast", parameters: Mapping[str, Any], version: int) -> None:
        super().__init__(parameters, version)
        self._spec = spec
        errors = HorizonErrors if spec.ranges is None else RangedHorizonErrors
        self.score: Any = errors.of(spec.horizons)
        self.lags = spec.lags
        self._models: list[Any] = [None] * len(spec.horizons)
        self._series = SeriesByKey(spec)
        self._looked_at: tuple[Any, Look] | None = None
        # For learning, what predicting has issued for a record.
        self._issued: tuple[Any, Issued | None] = None, None
        self._numbered: tuple[Any, int] = None, 0
        self._names = tuple(map(str, spec.horizons))

    @property
    def latest(self) -> LatestForecast | None:
        """The forecast from the newest record."""
        return self._series.newest.latest

    @latest.setter
    def latest(self, latest: LatestForecast | None) -> None:
        self._series.newest.latest = latest

    def latest_of(self, key: str) -> LatestForecast | None:
        """Return the forecast from the newest record of a key; None where nothing is kept of it."""
        return next((series.latest for known, series in self._series.items() if str(known) == key), None)

    @property
    def correlations(self) -> RunningCorrelations | None:  # type: ignore[override]
        """How each driver goes along with the value; of several series, in the one with the most steps."""
        every = [series.correlations for series in self._series if series.correlations is not None]
        return max(every, key=lambda correlations: correlations.steps, default=None)

    @property
    def series(self) -> SeriesByKey:
        """The series that are kept, by their keys."""
        return self._series

    def count_keys(self) -> KeyCounts | None:
        """Return how many series are kept; None where the stream has no keys."""
        return None if self._spec.key is None else KeyCounts(len(self._series), self._series.let_go)

    @property
    def trained(self) -> bool:
        """Whether a label of any horizon has been learned."""
        return any(model is not None for model in self._models)

    def rejection_reason(self, record: Any) -> str | None:
        """Return why a record cannot be taken after those before."""
        late = self._steps_late(record, self._series.find(record))
        if late is not None and 0 <= late < self._spec.length:
            return f"its time was answered already or is {late} steps late: time runs forward"
        return None

    def predict(self, records: Sequence[Any]) -> list[Answer]:
        """Forecast from the stream's next record, one at a time."""
        (record,) = records
        look = self._look_at(record)
        forecast = self._forecast_at(look)
        issued = self._issue(look.series, forecast, look.features)
        self._issued = record, issued
        return [self._make_answer(forecast, issued)]

    def learn(self, records: Sequence[Any], answers: Sequence[Answer]) -> None:
        """Score and learn the record's value, and move the window on to it."""
        (record,), (answer,) = records, answers
        look, step = self._look_at(record), self._step_of(record)
        series = look.series
        forecast = list(answer["forecast"].values())
        predicted, issued = self._issued
        if predicted is not record:
            issued = self._issue(series, forecast, look.features)
        self._learn_value(look)
        if series.correlations is not None:
            drivers = [driver.value_of(record) for driver in self._spec.drivers]
            series.correlations.add(step, drivers, look.window.item(-1, 0))
        seen = self._remember(look, forecast, issued)
        series.window, series.step = look.window, step
        series.seen = [*look.seen, seen][-self._spec.length :]
        series.latest = LatestForecast(ts=_name_time(record, step), forecast=answer["forecast"])
        if "ranges" in answer:
            series.latest["ranges"] = answer["ranges"]
        self._series.keep(record, series)
        self._looked_at, self._issued = None, (None, None)

    def answer(self, records: Sequence[Any]) -> list[Answer]:
        """Forecast from a window of records of one's own; one answer, from the newest of them.

        With no records, from the stream's own state.

        Raises
        ------
        NoModel
            Nothing has been learned yet.
        BadRecord
            Two records are of the same step, or of different keys.
        """
        if not self.trained:
            raise NoModel("no forecast can be made yet: nothing has been learned")
        if not records:
            latest = self.latest
            if latest is None:
                raise NoModel("no forecast can be made yet: no record has come")
            return [{name: part for name, part in latest.items() if name != "ts"}]
        spec = self._spec
        ordered = sorted(records, key=spec.step)
        self._check_keys(records)
        self._check_times(ordered)
        window, before = empty_window(spec.length, spec.fields), None
        for record in ordered:
            step = spec.step(record)
            window = push(window, self._readings(record, 1 if before is None else step - before))
            before = step
        assert before is not None
        features = self._features(window, before)
        forecast = self._forecast(features)
        issued = self._issue(self._series.find(ordered[-1]), forecast, features)
        return [self._make_answer(forecast, issued)]

    def outputs(self, records: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """One array of shape (1,) a horizon, such as `h24`; NaN where nothing can be said yet."""
        forecast: dict[str, float | None] = self.answer(records)[0]["forecast"]
        return {f"h{horizon}": np.array([value], dtype=np.float64) for horizon, value in forecast.items()}

    def change_setting(self, name: str, value: Any) -> None:
        """Change the lags, given as series → lags: see `use_lags`."""
        if name != LAGS_SETTING:
            return super().change_setting(name, value)
        return self.use_lags(value)

    def use_lags(self, lags_by_series: Mapping[str, Sequence[int]]) -> None:
        """Make features from other lags from now on; what was learned of those that stay is kept.

        The steps whose labels are still to come are looked at anew, so that they can be learned.

        Raises
        ------
        BadLags
            It has no lags to choose, or not these; nothing has changed.
        """
        spec = self._spec
        if self.lags is None or spec.names is None:
            raise BadLags("this pipeline does not choose its lags")
        lags = LagSet.of(self.lags.series, lags_by_series, spec.length)
        if lags == self.lags:
            return
        models = copy.deepcopy(self._models)
        column_of = {name: column for column, name in enumerate(spec.names(self.lags))}
        kept_columns = [column_of.get(name) for name in spec.names(lags)]
        for model in models:
            if model is not None and not hasattr(model, "reselect"):
                raise BadLags(f"{type(model).__name__} cannot change its features while it learns")
            if model is not None:
                model.reselect(kept_columns)
        self._models, self.lags = models, lags
        for series in self._series:
            series.seen = [self._look_again(series, back) for back in reversed(range(spec.length))]

    def is_finite(self) -> bool:
        """Return whether the estimators hold, and say, finite numbers only."""
        latest = self.latest
        forecast = latest["forecast"].values() if latest else ()
        return all(map(self._is_finite_model, self._models)) and all(
            value is None or math.isfinite(value) for value in forecast
        )

    def state(self) -> dict[str, Any]:
        """Models, lags and, of each series, its window, what was seen and forecast there, and statistics."""
        lags = None if self.lags is None else self.lags.chosen
        if self._spec.key is not None:
            return {"models": self._models, "lags": lags, "series": pack_series(self._spec, self._series)}
        series = self._series.newest
        return {
            "models": self._models,
            "lags": lags,
            "step": series.step,
            "window": series.window,
            "seen": [None if seen is None else self._pack(seen) for seen in series.seen],
            "latest": series.latest,
            "correlations": None if series.correlations is None else series.correlations.state(),
            **({} if series.ranges is None else {"ranges": series.ranges.state()}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` has returned; before format 3 it had neither lags nor correlations."""
        self._models = state["models"]
        if self.lags is not None and "lags" in state:
            self.lags = LagSet.of(self.lags.series, state["lags"], self._spec.length)
        if self._spec.key is not None:
            self._series.replace(unpack_series(self._spec, state["series"]), state["series"]["let_go"])
            return
        series = self._series.newest
        series.step = state["step"]
        series.window = empty_window(*series.window.shape)
        series.window[-len(state["window"]) :] = state["window"]
        series.seen = [None if seen is None else self._unpack(seen) for seen in state["seen"]]
        series.latest = state["latest"]
        if series.correlations is not None and "correlations" in state:
            series.correlations.restore(state["correlations"])
        if series.ranges is not None:
            series.ranges.restore(state["ranges"])

    def _look_at(self, record: Any) -> Look:
        """Put the record into the window; learning takes what predicting has looked at."""
        if self._looked_at is not None and self._looked_at[0] is record:
            return self._looked_at[1]
        spec, series = self._spec, self._series.find(record)
        step, late = self._step_of(record), self._steps_late(record, series)
        begins_anew = late is None or abs(late) >= spec.length
        seen: list[SeenStep | None] = [None] * spec.length if begins_anew else series.seen
        gap = 1 if begins_anew or late is None else -late
        window = empty_window(*series.window.shape) if begins_anew else series.window
        if gap == 1:
            window = push_one(window, spec.reading(record))
        else:
            window = push(window, self._readings(record, gap))
        seen = [*seen, *([None] * (gap - 1))][-spec.length :]
        features = self._features(window, step)
        look = Look(series, window, seen, features, self._see(features))
        self._looked_at = record, look
        return look

    def _look_again(self, series: OneSeries, steps_back: int) -> SeenStep | None:
        """Look at an older step by the lags of now; what was forecast there stays."""
        seen = series.seen[-1 - steps_back]
        if seen is None or series.step is None:
            return None
        window = series.window[: len(series.window) - steps_back]
        features = self._features(window, series.step - steps_back)
        if features is None:
            return None
        return self._recall(features, seen.forecast, seen.issued)

    def _features(self, window: Window, step: int) -> Features | None:
        newest = window[-self._spec.length :]
        features = self._spec.features(newest, step, *(() if self.lags is None else (self.lags,)))
        # JSON has no numbers of numpy's, and the base becomes the forecast.
        return None if features is None else (features[0], float(features[1]))

    def _learn_value(self, look: Look) -> None:
        """Score and learn the newest value for every horizon h, with what was seen h steps before it.

        Where the value was missing then, persistence had nothing to say, and neither is scored.
        """
        values = look.window[:, 0].tolist()
        value = values[-1]
        if math.isnan(value):
            return
        labels = []
        ranges, scores = look.series.ranges, self.score.horizons
        for number, (horizon, name) in enumerate(zip(self._spec.horizons, self._names, strict=True)):
            seen = look.seen[-horizon]
            if seen is None:
                continue
            _, base, forecasts, _, all_issued = seen
            forecast = forecasts[number]
            if forecast is not None and not math.isnan(values[-1 - horizon]):
                errors = scores[name]
                errors.add(truth=value, predicted=forecast, baseline=base)
                issued = None if all_issued is None else all_issued[number]
                if ranges is not None and issued is not None:
                    self._score_ranges(errors, issued, forecast, value)
                    ranges.learn(number, issued, value - forecast, base)
            labels.append((number, seen, value - base))
        self._learn_labels(labels)

    def _score_ranges(self, errors: RangedErrors, issued: list[float], forecast: float, value: float) -> None:
        """Score the ranges that a forecast was issued with."""
        ends, spec = shown_ends(issued), self._spec.ranges
        if ends is not None and spec is not None:
            score = weighted_interval_score(spec, ends, forecast, value)
            errors.add_ranges(find_inside(ends, value), score)

    def _issue(
        self, series: OneSeries, forecast: list[float | None], features: Features | None
    ) -> Issued | None:
        """Return what the ranges of a forecast are, by what has been learned so far."""
        if series.ranges is None or features is None:
            return None
        return series.ranges.issue(forecast, features[1], self._spec.lowest)

    def _make_answer(self, forecast: list[float | None], issued: Issued | None) -> Answer:
        """Return a forecast by horizon, with its ranges where the pipeline has any."""
        answer: Answer = {"forecast": self._by_horizon(forecast)}
        spec = self._spec.ranges
        if spec is not None:
            ends = [None] * len(forecast) if issued is None else [shown_ends(row) for row in issued]
            ranges = [None if shown is None else name_ranges(spec, shown) for shown in ends]
            answer["ranges"] = self._by_horizon(ranges)
        return answer

    def _learn_labels(self, labels: Sequence[tuple[int, SeenStep, float]]) -> None:
        """Learn what became of the value after steps: the horizon's number, what was seen, and the change."""
        for number, seen, change in labels:
            if self._models[number] is None:
                self._models[number] = self._spec.estimator(**self.parameters)
                self._models[number].partial_fit(seen.x[None, :], np.array([change]))
            else:
                _learn_one(self._models[number], seen.x, change)

    def _see(self, features: Features | None) -> Any:
        """Return what one estimator for all horizons makes of features."""
        return None

    def _forecast_at(self, look: Look) -> list[float | None]:
        return self._forecast(look.features)

    def _remember(self, look: Look, forecast: list[float | None], issued: Issued | None) -> SeenStep | None:
        """Return what the labels of the newest step will be learned with."""
        return None if look.features is None else SeenStep(*look.features, forecast, None, issued)

    def _recall(self, features: Features, forecast: list[float | None], issued: Issued | None) -> SeenStep:
        """Return the same of an older step, after its features have changed."""
        return SeenStep(*features, forecast, None, issued)

    def _pack(self, seen: SeenStep) -> list[Any]:
        """Return what is seen of a step as it stands in a snapshot."""
        return list(seen[:3]) if self._spec.ranges is None else [*seen[:4], self._pack_issued(seen.issued)]

    def _pack_issued(self, issued: Issued | None) -> Floats | None:
        assert self._spec.ranges is not None
        return None if issued is None else pack_issued(issued, len(self._spec.ranges.quantiles))

    def _unpack(self, seen: Sequence[Any]) -> SeenStep:
        step = SeenStep(*seen)
        packed: Any = step.issued
        return step if packed is None else step._replace(issued=unpack_issued(packed))

    def _is_finite_model(self, model: Any) -> bool:
        return has_finite_numbers(model)

    def _forecast(self, features: Features | None) -> list[float | None]:
        """Forecast one value a horizon; None where it cannot be said."""
        if features is None:
            return [None] * len(self._models)
        x, base = features
        return [
            None if model is None else max(self._spec.lowest, base + _predict_one(model, x))
            for model in self._models
        ]

    def _by_horizon(self, values: list[Any]) -> dict[str, Any]:
        return dict(zip(self._names, values, strict=True))

    def _readings(self, record: Any, gap: int) -> Floats:
        """The record's reading, after `gap − 1` missing ones."""
        readings = empty_window(min(gap, self._spec.length), self._spec.fields)
        readings[-1] = self._spec.reading(record)
        return readings

    def _check_keys(self, records: Sequence[Any]) -> None:
        """Raise `BadRecord` if these records are of different keys: one window is of one series."""
        keys = list(dict.fromkeys(map(self._series.key_of, records)))
        if len(keys) > 1:
            raise BadRecord(
                f"the records are of {keys[0]!r} and of {keys[1]!r}: send those of one {self._spec.key}"
                " at a time"
            )

    def _check_times(self, ordered: Sequence[Any]) -> None:
        """Raise `BadRecord` if two of these records, ordered by their steps, are of the same step."""
        for earlier, later in pairwise(ordered):
            step = self._spec.step(later)
            if self._spec.step(earlier) == step:
                first, second = _name_time(earlier, step), _name_time(later, step)
                times = (
                    f"the time {first!r} is"
                    if first == second
                    else f"the step of {first!r} and {second!r} is"
                )
                raise BadRecord(f"{times} there twice: send one record for each")

    def _steps_late(self, record: Any, series: OneSeries) -> int | None:
        """By how many steps the record is behind its series' newest; negative if it is ahead."""
        return None if series.step is None else series.step - self._step_of(record)

    def _step_of(self, record: Any) -> int:
        """Return the number of a record's step; it is asked for several times, and read from a text."""
        if self._numbered[0] is not record:
            self._numbered = record, self._spec.step(record)
        return self._numbered[1]


def _name_time(record: Any, step: int) -> str:
    """Return a record's own time as it stands in the record; the number of its step where it has none."""
    return str(getattr(record, "ts", step))


def _predict_one(model: Any, x: Floats) -> float:
    """Predict one row, by the estimator's own quick way where it has one."""
    if hasattr(model, "predict_one"):
        return float(model.predict_one(x))
    return float(model.predict(x[None, :])[0])


def _learn_one(model: Any, x: Floats, target: float) -> None:
    """Learn one row, by the estimator's own quick way where it has one."""
    if hasattr(model, "learn_one"):
        model.learn_one(x, target)
    else:
        model.partial_fit(x[None, :], np.array([target]))
