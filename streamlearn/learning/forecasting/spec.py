"""`Forecast`: how to learn a series, and the functions of one's own that it is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from streamlearn.errors import ConfigurationError
from streamlearn.lags.lag_sets import LagSet
from streamlearn.lags.windows import Window
from streamlearn.learning.drivers import Driver
from streamlearn.learning.forecasting.forecaster import Features, ForecastLearner
from streamlearn.learning.forecasting.joint import JointForecastLearner
from streamlearn.learning.learner import EstimatorFactory, Floats, Learning, OutputField, SeriesSpec
from streamlearn.learning.ranges import Ranges

SeriesMerging = Literal["auto", "key", "best"]
"""Which learner of several partitions answers."""


class StepFunction(Protocol):
    """A record → the number of its step, such as hours since 1970; time runs forward."""

    def __call__(self, record: Any, /) -> int:
        """Return the number of the record's step."""
        ...


class ReadingFunction(Protocol):
    """A record → its numbers; the first is the value that is forecast, in its own unit."""

    def __call__(self, record: Any, /) -> Floats:
        """Return the reading, shape (n_fields,); what is missing is NaN."""
        ...


class WindowFeatureFunction(Protocol):
    """A window of readings → features, the same for training and serving.

    It is called with the window, shape (length, n_fields), the newest reading last; the step of that reading;
    and, where the pipeline has `lags`, the set that is in use.
    """

    def __call__(self, window: Window, step: int, /, *lags: Any) -> Features | None:
        """Return the features and the last known value; None where no value is known."""
        ...


class FeatureNames(Protocol):
    """A set of lags → what each feature is called."""

    def __call__(self, lags: LagSet, /) -> Sequence[str]:
        """Return one name a feature, in the features' order."""
        ...


@dataclass(frozen=True)
class Forecast(Learning):
    """How to learn a series: its readings, what features they make, and an estimator for each horizon.

    Parameters
    ----------
    horizons
        Steps ahead, ascending.
    length
        Steps in the window that features see; more than the longest horizon.
    fields
        Numbers in one reading; the first is the one that is forecast.
    step, reading, features
        See their protocols.
    estimator
        Makes a new regressor from the pipeline's parameters; it learns the change from the last known value.
    lowest
        No forecast is below this.
    joint
        Whether one estimator forecasts all horizons, its outputs: it takes each step once, and learns a label
        when that comes (`JointEstimator`). Otherwise each horizon has an estimator of its own.
    ranges
        Which ranges forecasts have; None: none.
    lags
        The lags that a lineage begins with; None: the features choose for themselves.
    names
        The features' names by the lags in use; what has the same name is carried over to another set.
    drivers
        The exogenous variables, correlated with the value as it comes, by up to `longest_lag` steps both
        ways.
    key
        The field of a record, as the struct calls it, that tells which of several series the record belongs
        to: text, a whole number or None. Each key has a window, labels to come, ranges and correlations of
        its own; the models, the lags and the score are those of all. None: the stream is one series.
    most_keys
        How many keys are kept, in each snapshot too. Of more, the one whose newest record is the oldest in
        the stream is let go, and begins anew if it comes again.
    merging
        Which of the learners of several partitions a server asks: `key`, the one of the partition that the
        key of the records is placed in; `best`, the one that has been scored most. `auto`: `key` where there
        is one. It changes no answer of the job.

    Raises
    ------
    ConfigurationError
        No key could be kept, or the learners are to be asked by a key that there is none of.
    """

    horizons: tuple[int, ...]
    length: int
    fields: int
    step: StepFunction
    reading: ReadingFunction
    features: WindowFeatureFunction
    estimator: EstimatorFactory
    lowest: float = -np.inf
    lags: LagSet | None = None
    names: FeatureNames | None = None
    drivers: tuple[Driver, ...] = ()
    longest_lag: int = 48
    joint: bool = False
    ranges: Ranges | None = None
    key: str | None = None
    most_keys: int = 1000
    merging: SeriesMerging = "auto"

    kind = "forecast"
    answer_fields = ("forecast", "ranges")
    max_chunk_rows = 1

    def __post_init__(self) -> None:
        if self.most_keys < 1:
            raise ConfigurationError(
                f"most_keys: {self.most_keys} keys cannot be kept; let it be at least one"
            )
        if self.merging == "key" and self.key is None:
            raise ConfigurationError('merging="key" asks the learner of a key: name its field as `key`')

    @property
    def key_field(self) -> str | None:
        """The field whose values are series of their own."""
        return self.key

    @property
    def merges_by_key(self) -> bool:
        """Whether a server asks the learner of the partition that the records' key is placed in."""
        return self.key is not None and self.merging != "best"

    @property
    def fields_read(self) -> tuple[str, ...]:
        """The key, where there is one: the rest of a record is read by functions."""
        return () if self.key is None else (self.key,)

    @property
    def series(self) -> SeriesSpec:
        """What is forecast, and how far."""
        ranges = self.ranges or Ranges()
        return SeriesSpec(self.horizons, self.step, self._value_of, self.length, self.lowest, ranges)

    def _value_of(self, record: Any) -> float:
        return float(self.reading(record)[0])

    @property
    def first_lags(self) -> LagSet | None:
        """The lags that a lineage begins with."""
        return self.lags

    def new_learner(self, parameters: Mapping[str, Any], version: int) -> ForecastLearner:
        """Make a learner that has learned nothing."""
        return (JointForecastLearner if self.joint else ForecastLearner)(self, parameters, version)

    def definition(self) -> dict[str, Any]:
        """Return all parameters but those that this pipeline does not use."""
        definition: dict[str, Any] = {
            "horizons": self.horizons,
            "length": self.length,
            "fields": self.fields,
            "step": self.step,
            "reading": self.reading,
            "features": self.features,
            "estimator": self.estimator,
            "lowest": self.lowest if np.isfinite(self.lowest) else None,
        }
        if self.lags is not None:
            definition |= {
                "lags": {"series": self.lags.series, "lags": self.lags.lags},
                "names": self.names,
            }
        if self.drivers:
            definition |= {
                "drivers": [driver.name for driver in self.drivers],
                "longest_lag": self.longest_lag,
            }
        if self.joint:
            definition["joint"] = True
        if self.ranges is not None:
            definition["ranges"] = self.ranges.definition()
        if self.key is not None:
            definition |= {"key": self.key, "most_keys": self.most_keys}
        return definition

    def output_fields(self, parameters: Mapping[str, Any]) -> list[OutputField]:
        """Return one number a horizon, such as `h24`."""
        return [OutputField(f"h{horizon}", "FP64", (1,)) for horizon in self.horizons]
