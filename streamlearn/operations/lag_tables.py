"""The series of a pipeline's data set, side by side, for `streamlearn lags`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice

import msgspec
import numpy as np

from streamlearn.errors import BadSeries
from streamlearn.lags.series import Floats, Series, Table, arrange
from streamlearn.learning.curves import choose_key
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.records import encode

_EPOCH = datetime(1970, 1, 1)


def load_table(pipeline: Pipeline) -> Table:
    """Return the value that a pipeline forecasts, and its drivers, from its data set; of several series one.

    Raises
    ------
    BadSeries
        The pipeline has no data set, forecasts nothing, or has no drivers.
    DataUnavailable
        Its data set can neither be fetched nor found.
    """
    display, spec, drivers = pipeline.display, pipeline.learning.series, pipeline.learning.drivers
    if pipeline.dataset is None or spec is None or not drivers:
        raise BadSeries(f"{pipeline.name} has no series whose lags could be looked for; name a CSV file")
    pipeline.dataset.prepare()
    raw_records = islice(pipeline.dataset.records(passes=1), pipeline.dataset.size)
    records = [pipeline.codec.decode(encode(record)) for record in raw_records]
    if (key := pipeline.learning.key_field) is not None:
        shown = choose_key(getattr(record, key) for record in records)
        records = [record for record in records if getattr(record, key) == shown]
    names = {field.encode_name: field.name for field in msgspec.structs.fields(pipeline.record)}
    value = _as_array([getattr(record, names[display.value]) for record in records])
    series = [Series(display.value, value, display.title, display.unit)]
    for driver in drivers:
        label, values = display.driver(driver.name), [driver.value_of(record) for record in records]
        series.append(Series(driver.name, _as_array(values), label.title, label.unit))
    times = [_EPOCH + timedelta(seconds=spec.step(record) * (display.step_s or 1)) for record in records]
    return arrange(series, times, [f"record {number}" for number in range(len(records))], ())


def _as_array(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
