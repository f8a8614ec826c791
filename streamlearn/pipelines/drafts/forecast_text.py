"""The text of a module that forecasts a series."""

from collections.abc import Iterator

from streamlearn.pipelines.drafts.columns import Column
from streamlearn.pipelines.drafts.inference import Inference
from streamlearn.pipelines.drafts.python_text import format_value, make_plain, quote
from streamlearn.pipelines.drafts.series import Series
from streamlearn.pipelines.drafts.struct_text import list_passthrough, write_standard_imports, write_struct

_DAY_S, _YEAR_S = 86_400, 31_557_600
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def write_forecast(name: str, table: str, inference: Inference, series: Series) -> str:
    """Return the text of the module `name`; `table` is what makes its data set, empty where it has none."""
    (time,) = [column for column in inference.columns if column.field == inference.order]
    parts = [
        _write_head(name, inference, series, time),
        write_struct(inference),
        _write_step(time, series),
        _write_reading(inference),
        _write_features(inference, series),
        _write_pipeline(name, table, inference, series),
    ]
    return "\n".join(line for part in parts for line in part)


def list_series(inference: Inference) -> list[Column]:
    """Return the columns of numbers, that which is forecast first."""
    return [
        inference.label,
        *(column for column in inference.columns if column.kind in ("number", "boolean")),
    ]


def _write_head(name: str, inference: Inference, series: Series, time: Column) -> Iterator[str]:
    count, unit = series.step_words
    title = make_plain(inference.label.name)
    yield f'"""{name}: forecast {title}, by a window of the last {series.length} steps of {count} {unit}."""'
    yield ""
    yield from write_standard_imports(inference, has_datetime=time.kind == "time", has_timedelta=True)
    yield "import numpy as np"
    if any(column.bounds and not column.wire_types for column in list_series(inference)):
        yield "from msgspec import Meta"
    yield "from numpy.typing import NDArray"
    yield ""
    if not inference.source.is_topic:
        yield "from streamlearn.datasets import Table"
    columns = [*inference.columns, inference.label]
    if readers := sorted({column.reader for column in columns if column.reader}):
        yield f"from streamlearn.datasets.values import {', '.join(readers)}"
    yield "from streamlearn.estimators import RecursiveLeastSquares"
    if time.kind == "time":
        yield "from streamlearn.lags.grid import to_utc"
    yield "from streamlearn.lags.windows import Window, carry_forward"
    yield "from streamlearn.learning import Forecast"
    yield "from streamlearn.pipelines import Display, Pipeline"
    yield ""
    yield f"HORIZONS = {format_value(series.horizons, 0, 11)}"
    yield '"""Steps ahead."""'
    yield f"LENGTH = {series.length}"
    yield '"""Steps in the window: more than the longest horizon."""'
    if time.kind == "time":
        yield f"STEP = timedelta(seconds={series.step_s})"
    yield f"SCALES = {format_value(dict(series.scales), 0, 9)}"
    yield '"""About the mean and standard deviation of each number: features are then scaled to about ±1."""'
    yield ""
    yield ""


def _write_step(time: Column, series: Series) -> Iterator[str]:
    yield "def step(record: Row) -> int:"
    yield '    """The number of the record\'s step since 1970; in UTC where the time has a zone."""'
    if time.kind == "epoch":
        yield f"    return int(record.{time.attribute} // {series.step_s * _PER_SECOND[time.form or 's']:_})"
    else:
        value = f"record.{time.attribute}"
        value = f"datetime.fromisoformat({value})" if time.reader else value
        yield f"    return (to_utc({value}) - datetime(1970, 1, 1)) // STEP"
    yield ""
    yield ""


def _write_reading(inference: Inference) -> Iterator[str]:
    yield "def reading(record: Row) -> NDArray[np.float64]:"
    yield '    """The value in its own unit, the other numbers scaled, 1 for each category; NaN: missing."""'
    yield "    numbers = np.array([getattr(record, name) for name in SCALES], dtype=np.float64)"
    yield "    mean, deviation = np.array([*SCALES.values()]).T"
    yield "    scaled = (numbers - mean) / deviation"
    categories = [
        f"record.{column.attribute} == {quote(value)}"
        for column in inference.columns
        if column.kind == "category"
        for value in column.values
    ]
    if categories:
        yield "    categories = ["
        for category in categories:
            yield f"        {category},"
        yield "    ]"
        yield "    return np.concatenate([numbers[:1], scaled[1:], np.array(categories, dtype=np.float64)])"
    else:
        yield "    return np.concatenate([numbers[:1], scaled[1:]])"
    yield ""
    yield ""


def _write_features(inference: Inference, series: Series) -> Iterator[str]:
    turns = {
        words: seconds
        for words, seconds in {"day": _DAY_S, "week": 7 * _DAY_S, "year": _YEAR_S}.items()
        if seconds >= 4 * series.step_s
    }
    yield "def features(window: Window, step: int) -> tuple[NDArray[np.float64], float] | None:"
    words = " and ".join(turns)
    yield f'    """The window\'s values, the rest as last known, the turns of {words}; and the last value.'
    yield ""
    yield "    None where no value is known."
    yield '    """'
    yield "    values = carry_forward(window[:, 0])"
    yield "    if values is None:"
    yield "        return None"
    yield "    rest = [carry_forward(column) for column in window[:, 1:].T]"
    yield "    now = [0.0 if column is None else column[-1] for column in rest]"
    yield f"    mean, deviation = SCALES[{quote(inference.label.attribute)}]"
    seconds = ", ".join(f"{length:_}" for length in turns.values())
    yield f"    fractions = [step * {series.step_s:_} % turn / turn for turn in ({seconds},)]"
    yield "    turns = 2 * np.pi * np.array(fractions)"
    yield "    parts = [[1.0], (values - mean) / deviation, now, np.sin(turns), np.cos(turns)]"
    yield "    return np.concatenate(parts), float(values[-1])"
    yield ""
    yield ""


def _write_pipeline(name: str, table: str, inference: Inference, series: Series) -> Iterator[str]:
    label = inference.label
    categories = [column for column in inference.columns if column.kind == "category"]
    fields = len(list_series(inference)) + sum(len(column.values) for column in categories)
    count, unit = series.step_words
    yield "pipeline = Pipeline("
    yield f"    name={quote(name)},"
    yield f"    topic={quote(inference.source.name if inference.source.is_topic else name)},"
    yield f"    prediction_topic={quote(name + '_forecast')},"
    yield "    record=Row,"
    yield "    learning=Forecast("
    yield "        horizons=HORIZONS,"
    yield "        length=LENGTH,"
    yield f"        fields={fields},"
    yield "        step=step,"
    yield "        reading=reading,"
    yield "        features=features,"
    yield "        estimator=RecursiveLeastSquares,"
    if label.bounds and label.bounds[0] == 0:
        yield "        lowest=0.0,"
    if inference.key is not None:
        (key,) = [column.field for column in inference.columns if column.name == inference.key]
        yield f"        key={quote(key)},"
    yield "    ),"
    yield "    # Exact linear regression: there is no rate to tune."
    yield '    parameters={"ridge": 10.0},'
    yield f"    passthrough_fields={format_value(list_passthrough(inference), 4, 20)},"
    if table:
        yield f"    dataset={table},"
    shown = f"value={quote(label.name)}, title={quote(label.name)}, step_s={series.step_s}"
    unit_text = unit if count == 1 else f"× {count} {unit}"
    yield f"    display=Display({shown}, step_unit={quote(unit_text)}),"
    yield ")"
    yield ""
