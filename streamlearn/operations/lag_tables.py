"""A pipeline's own series, side by side, for those who look for lags."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice

import numpy as np

from streamlearn.errors import BadSeries
from streamlearn.lags.series import Floats, Series, Table, arrange
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.records import encode

_EPOCH = datetime(1970, 1, 1)


def table_of(pipeline: Pipeline) -> Table:
    """Return a pipeline's value, and everything that may drive it, from its data set.

    Raises
    ------
    BadSeries
        The pipeline has no series, or does not tell what may drive it.
    DataUnavailable
        Its data set cannot be had.
    """
    display, spec, drivers = pipeline.display, pipeline.learning.series, pipeline.learning.drivers
    if pipeline.dataset is None or spec is None or not drivers:
        raise BadSeries(f"{pipeline.name} has no series whose lags could be looked for; name a CSV file")
    pipeline.dataset.prepare()
    wire = islice(pipeline.dataset.records(passes=1), pipeline.dataset.size)
    records = [pipeline.codec.decode(encode(record)) for record in wire]
    value = _as_array([getattr(record, display.value) for record in records])
    series = [Series(display.value, value, display.title, display.unit)]
    for driver in drivers:
        label, values = display.driver(driver.name), [driver.value_of(record) for record in records]
        series.append(Series(driver.name, _as_array(values), label.title, label.unit))
    times = [_EPOCH + timedelta(seconds=spec.step(record) * (display.step_s or 1)) for record in records]
    return arrange(series, times, [f"record {number}" for number in range(len(records))], ())


def _as_array(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
