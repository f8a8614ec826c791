"""What is kept of the series of a stream: of the only one, or of one for each key.

**The rule for keys.** At most `Forecast.most_keys` series are kept. Where the record of another key comes,
the series whose newest record is the oldest in the stream is let go with all that stands here: what its
labels would have been learned with, too. If its key comes again, it begins as one that has never been seen.
What the models have learned of it stays. So which series are kept follows from the records alone.
"""

from collections.abc import Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from streamlearn.lags.running import RunningCorrelations
from streamlearn.lags.windows import empty_window
from streamlearn.learning.learner import Floats, LatestForecast
from streamlearn.learning.ranges import Issued, RangeTracker

if TYPE_CHECKING:
    from streamlearn.learning.forecasting.spec import Forecast


class SeenStep(NamedTuple):
    """What was seen at a step whose labels are still to come, and what was forecast there."""

    x: Floats
    base: float
    """The last known value then: persistence's forecast."""
    forecast: list[float | None]
    """One value a horizon."""
    sight: Any = None
    """What one estimator for all horizons made of `x`."""
    issued: Issued | None = None
    """What the ranges of the forecast are; see `RangeTracker.issue`."""


class OneSeries:
    """What is kept of one series; the models are not its own.

    Attributes
    ----------
    step
        The number of the newest step; None before the first.
    window : (2 length − 1, n_fields)
        Readings, the newest last: long enough to make features of every step whose label is still to come.
    seen
        What was seen at each of the last `length` steps, the newest last.
    latest
        The forecast from the newest record; None before the first.
    ranges, correlations
        Statistics of its forecasts, and of its drivers; None where the pipeline has no ranges, or no drivers.
    """

    def __init__(self, spec: "Forecast") -> None:
        self.step: int | None = None
        self.window = empty_window(2 * spec.length - 1, spec.fields)
        self.seen: list[SeenStep | None] = [None] * spec.length
        self.latest: LatestForecast | None = None
        self.ranges = None if spec.ranges is None else RangeTracker(spec.ranges, len(spec.horizons))
        self.correlations = RunningCorrelations(len(spec.drivers), spec.longest_lag) if spec.drivers else None


class SeriesByKey:
    """The series of a stream by their keys, the one that was seen longest ago first.

    A stream without keys has one series, under None, from the beginning.

    Attributes
    ----------
    let_go
        How many series were let go since the lineage began.
    """

    def __init__(self, spec: "Forecast") -> None:
        self._spec = spec
        self._key_of = None if spec.key is None else attrgetter(spec.key)
        self._by_key: dict[Any, OneSeries] = {} if spec.key else {None: OneSeries(spec)}
        self.let_go = 0

    def __iter__(self) -> Iterator[OneSeries]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def items(self) -> Iterator[tuple[Any, OneSeries]]:
        """Yield each key and its series."""
        return iter(self._by_key.items())

    @property
    def newest(self) -> OneSeries:
        """The series of the newest record; an empty one before the first."""
        return next(reversed(self._by_key.values()), None) or OneSeries(self._spec)

    def key_of(self, record: Any) -> Any:
        """Return a record's key; None where the stream has none."""
        return None if self._key_of is None else self._key_of(record)

    def find(self, record: Any) -> OneSeries:
        """Return the series of a record; a new one, which is not kept yet, where its key is new."""
        return self._by_key.get(self.key_of(record)) or OneSeries(self._spec)

    def keep(self, record: Any, series: OneSeries) -> None:
        """Keep the series of the stream's newest record; let one go where there are too many."""
        if self._key_of is None:
            return
        key = self._key_of(record)
        self._by_key.pop(key, None)
        self._by_key[key] = series
        if len(self._by_key) > self._spec.most_keys:
            del self._by_key[next(iter(self._by_key))]
            self.let_go += 1

    def replace(self, series: dict[Any, OneSeries], let_go: int) -> None:
        """Take over series that stood in a snapshot, in their order."""
        self._by_key, self.let_go = series, let_go
