"""Learning to forecast a series several steps ahead; each label is learned when its step arrives.

For a record of step t (an hour, say), with horizons h:

1. forecast value(t+h) for each h, from the window of readings up to t, by the models as they are;
2. the value of t, if there is one, is the label of what was seen at t−h: score the forecast made then, beside
   persistence, and learn it;
3. remember what was seen at t.

The models learn the change from the last known value: one that knows nothing is persistence.

What drives the value is watched beside it (`running.py`). Which lags the features are made from is part of
the state, since they can be chosen anew while it learns (`use_lags`).

Time runs forward. Steps that are left out count as missing. A step that is repeated, or is late by less than
a window, is refused. A jump by a window or more, ahead or back, begins the window anew; the models stay: so
one wild date costs a window of forecasts, and a data set that is replayed again is learned again.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlearn.drivers import Driver
from streamlearn.errors import BadLags, NoModel
from streamlearn.features import Window, empty, pushed
from streamlearn.lag_sets import LagSet
from streamlearn.learner import Answer, Learner
from streamlearn.running import RunningCorrelations
from streamlearn.scores import HorizonErrors

Features = tuple[NDArray[np.float64], float]
"""What an estimator sees of a window, and the last known value."""


@dataclass(frozen=True)
class Forecast:
    """How to learn a series: its readings, what features they make, and an estimator for each horizon."""

    horizons: tuple[int, ...]
    """Steps ahead, ascending."""
    length: int
    """Steps in the window that features see; more than the longest horizon."""
    fields: int
    """Numbers in one reading; the first is the one that is forecast."""
    step: Callable[[Any], int]
    """One record → the number of its step."""
    reading: Callable[[Any], NDArray[np.float64]]
    """One record → its reading, shape (fields,); what is missing is NaN."""
    features: Callable[..., Features | None]
    """Window, its newest step and, where there are `lags`, the set → features; None if no value is known."""
    estimator: Callable[..., Any]
    """Parameters → a new regressor with `predict` and `partial_fit`."""
    lowest: float = -np.inf
    """No forecast is below this."""
    lags: LagSet | None = None
    """The lags that a lineage begins with; None: the features choose for themselves."""
    names: Callable[[LagSet], Sequence[str]] | None = None
    """A set of lags → what each feature is; only what has the same name is carried over to another set."""
    drivers: tuple[Driver, ...] = ()
    """What may drive the value: correlated with it as it comes, by up to `longest_lag` steps both ways."""
    longest_lag: int = 48

    answers = ("forecast",)
    chunk_rows = 1

    def new(self, parameters: Mapping[str, Any], version: int) -> "ForecastLearner":
        """Make a learner that has learned nothing."""
        return ForecastLearner(self, parameters, version)


Look = tuple[Window, list[Any], Features | None]


class ForecastLearner(Learner):
    """Learns as its `Forecast` says; answers `{"forecast": {"1": …, …}}`, null where it cannot say yet."""

    one_by_one = True

    def __init__(self, how: Forecast, parameters: Mapping[str, Any], version: int) -> None:
        super().__init__(parameters, version)
        self._how = how
        self.score: Any = HorizonErrors.of(how.horizons)
        self._models: list[Any] = [None] * len(how.horizons)
        self._latest: dict[str, Any] | None = None
        self._looked: tuple[Any, Look] | None = None
        self._step_seen: int | None = None
        # Long enough to make features of every step whose label is still to come.
        self._window = empty(2 * how.length - 1, how.fields)
        self._lags = how.lags
        self._correlations = RunningCorrelations(len(how.drivers), how.longest_lag) if how.drivers else None
        self._seen: list[tuple[NDArray[np.float64], float, list[float | None]] | None] = [None] * how.length

    @property
    def trained(self) -> bool:
        """Whether a label of any horizon has been learned."""
        return any(model is not None for model in self._models)

    @property
    def latest(self) -> dict[str, Any] | None:
        """The forecast from the newest record: `{"ts": …, "forecast": {…}}`."""
        return self._latest

    @property
    def lags(self) -> LagSet | None:
        """The lags that forecasts are made from."""
        return self._lags

    @property
    def correlations(self) -> RunningCorrelations | None:
        """How the value goes along with each driver, over all that has been learned."""
        return self._correlations

    def use_lags(self, chosen: Mapping[str, Sequence[int]]) -> None:
        """Make features from other lags from now on; what was learned of those that stay is kept.

        What was seen at the steps whose labels are still to come is seen anew, so that they can be learned.
        """
        how = self._how
        if self._lags is None or how.names is None:
            raise BadLags("this pipeline does not choose its lags")
        lags = LagSet.of(self._lags.series, chosen, how.length)
        models = copy.deepcopy(self._models)
        place = {name: number for number, name in enumerate(how.names(self._lags))}
        kept = [place.get(name) for name in how.names(lags)]
        for model in models:
            if model is not None and not hasattr(model, "reselect"):
                raise BadLags(f"{type(model).__name__} cannot change its features while it learns")
            if model is not None:
                model.reselect(kept)
        self._models, self._lags = models, lags
        self._seen = [self._seen_anew(late) for late in reversed(range(how.length))]

    def _seen_anew(self, late: int) -> tuple[NDArray[np.float64], float, list[float | None]] | None:
        """What is seen at an older step by the lags of now, beside what was forecast there."""
        seen = self._seen[-1 - late]
        if seen is None or self._step_seen is None:
            return None
        found = self._features(self._window[: len(self._window) - late], self._step_seen - late)
        return None if found is None else (*found, seen[2])

    def objection(self, record: Any) -> str | None:
        """Say why a record cannot be taken after those before."""
        late = self._late(record)
        if late is not None and 0 <= late < self._how.length:
            return f"its time was answered already or is {late} steps late: time runs forward"
        return None

    def predict(self, records: Sequence[Any]) -> list[Answer]:
        """Forecast from the stream's next record, one at a time."""
        (record,) = records
        _, _, found = self._look(record)
        return [{"forecast": self._named(self._forecast(found))}]

    def learn(self, records: Sequence[Any], answers: Sequence[Answer]) -> None:
        """Score and learn the record's value, and move the window on to it."""
        (record,), (answer,) = records, answers
        window, seen, found = self._look(record)
        self._learn(seen, window)
        if self._correlations is not None:
            drivers = [driver.of(record) for driver in self._how.drivers]
            self._correlations.add(
                self._how.step(record), np.array(drivers, dtype=np.float64), float(window[-1, 0])
            )
        forecast = list(answer["forecast"].values())
        self._window, self._step_seen = window, self._how.step(record)
        self._seen = [*seen, None if found is None else (*found, forecast)][-self._how.length :]
        self._latest = {"ts": getattr(record, "ts", str(self._step_seen)), "forecast": answer["forecast"]}
        self._looked = None

    def answer(self, records: Sequence[Any]) -> list[Answer]:
        """Forecast from a window of records of one's own; one answer, from the newest of them.

        With no records, from the stream's own state.
        """
        if not self.trained or (not records and self._latest is None):
            raise NoModel("no forecast can be made yet: nothing has been learned")
        if not records:
            assert self._latest is not None
            return [{"forecast": self._latest["forecast"]}]
        window = empty(self._how.length, self._how.fields)
        ordered = sorted(records, key=self._how.step)
        for before, record in zip([None, *ordered], ordered, strict=False):
            gap = 1 if before is None else self._how.step(record) - self._how.step(before)
            window = pushed(window, self._rows(record, max(gap, 1)))
        found = self._features(window, self._how.step(ordered[-1]))
        return [{"forecast": self._named(self._forecast(found))}]

    def outputs(self, records: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """One array of shape (1,) a horizon, such as `h24`; NaN where nothing can be said yet."""
        forecast: dict[str, float | None] = self.answer(records)[0]["forecast"]
        return {f"h{horizon}": np.array([value], dtype=np.float64) for horizon, value in forecast.items()}

    def state(self) -> dict[str, Any]:
        """Models, lags, window, what was seen and forecast at each of its steps, and running correlations."""
        return {
            "models": self._models,
            "lags": None if self._lags is None else self._lags.chosen,
            "step": self._step_seen,
            "window": self._window,
            "seen": [None if one is None else list(one) for one in self._seen],
            "latest": self._latest,
            "correlations": None if self._correlations is None else self._correlations.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` has returned; before format 3 it had neither lags nor correlations."""
        self._models = state["models"]
        self._step_seen = state["step"]
        self._window = empty(*self._window.shape)
        self._window[-len(state["window"]) :] = state["window"]
        self._seen = [None if one is None else tuple(one) for one in state["seen"]]
        self._latest = state["latest"]
        if self._lags is not None and "lags" in state:
            self._lags = LagSet.of(self._lags.series, state["lags"], self._how.length)
        if self._correlations is not None and "correlations" in state:
            self._correlations.restore(state["correlations"])

    def _look(self, record: Any) -> Look:
        """The window with the record in it, what was seen at each of its older steps, and its features.

        Learning takes what predicting has looked up.
        """
        if self._looked is not None and self._looked[0] is record:
            return self._looked[1]
        how, step, late = self._how, self._how.step(record), self._late(record)
        begin = self._step_seen is None or (late is not None and abs(late) >= how.length)
        before: list[Any] = [None] * how.length if begin else self._seen
        gap = 1 if begin or self._step_seen is None else step - self._step_seen
        window = empty(*self._window.shape) if begin else self._window
        window = pushed(window, self._rows(record, gap))
        look = window, [*before, *([None] * (gap - 1))][-how.length :], self._features(window, step)
        self._looked = record, look
        return look

    def _features(self, window: Window, step: int) -> Features | None:
        newest = window[-self._how.length :]
        return self._how.features(newest, step, *(() if self._lags is None else (self._lags,)))

    def _learn(self, seen: list[Any], window: Window) -> None:
        """Score and learn the newest value for every horizon h, with what was seen h steps before it.

        Where the value was missing then, persistence had nothing to say, and neither is scored.
        """
        value = float(window[-1, 0])
        if np.isnan(value):
            return
        for number, horizon in enumerate(self._how.horizons):
            before = seen[-horizon]
            if before is None:
                continue
            x, base, forecast = before
            if forecast[number] is not None and not np.isnan(window[-1 - horizon, 0]):
                errors = self.score.horizons[str(horizon)]
                errors.add(truth=value, predicted=forecast[number], baseline=base)
            if self._models[number] is None:
                self._models[number] = self._how.estimator(**self.parameters)
                self._models[number].partial_fit(x[None, :], np.array([value - base]))
            else:
                _learn_one(self._models[number], x, value - base)

    def _forecast(self, found: tuple[NDArray[np.float64], float] | None) -> list[float | None]:
        """One value a horizon, from features and the last known value; None where it cannot be said."""
        if found is None:
            return [None] * len(self._models)
        x, base = found
        return [
            None if model is None else max(self._how.lowest, base + _predict_one(model, x))
            for model in self._models
        ]

    def _named(self, forecast: list[float | None]) -> dict[str, float | None]:
        return {str(horizon): value for horizon, value in zip(self._how.horizons, forecast, strict=True)}

    def _rows(self, record: Any, gap: int) -> NDArray[np.float64]:
        """The record's reading, after `gap − 1` missing ones."""
        rows = np.full((min(gap, self._how.length), self._how.fields), np.nan)
        rows[-1] = self._how.reading(record)
        return rows

    def _late(self, record: Any) -> int | None:
        """By how many steps the record is behind the newest one; negative if it is ahead."""
        return None if self._step_seen is None else self._step_seen - self._how.step(record)


def _predict_one(model: Any, x: NDArray[np.float64]) -> float:
    """Predict one row, by the estimator's own quick way where it has one."""
    if hasattr(model, "predict_one"):
        return float(model.predict_one(x))
    return float(model.predict(x[None, :])[0])


def _learn_one(model: Any, x: NDArray[np.float64], y: float) -> None:
    """Learn one row, by the estimator's own quick way where it has one."""
    if hasattr(model, "learn_one"):
        model.learn_one(x, y)
    else:
        model.partial_fit(x[None, :], np.array([y]))
