"""The section of what the warehouse's SQL jobs have counted: tables of every record, not of some answers.

A table is made where a summary has the columns that it needs, whichever pipeline it is of.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from streamlearn.reports.page import Section, Table
from streamlearn.reports.wording import format_count, format_number, format_percent

Row = Mapping[str, Any]

_ERRORS = ("forecasts", "mae_ugm3", "persistence_mae_ugm3")
_TEXT = (
    "What the SQL jobs of the warehouse have counted: every record that came while Kafka held it, of all"
    " lineages, however many answers the figures above are made from."
)


def build_sections(summaries: Mapping[str, Sequence[Row]]) -> Iterator[Section]:
    """Yield a section with a table of each summary that is known here; none where there is none."""
    tables = [*_build_tables(summaries)]
    if tables:
        yield Section("The whole stream", _TEXT, tables=tables)


def _build_tables(summaries: Mapping[str, Sequence[Row]]) -> Iterator[Table]:
    if rows := _take(summaries, "horizon", "horizon", *_ERRORS):
        yield _build_horizon_table(rows)
    if rows := _take(summaries, "hour", "window_start", "hour", "horizon", *_ERRORS):
        months = [{**row, "month": row["window_start"][:7]} for row in rows]
        yield _build_group_table(months, "month", "month")
        yield _build_group_table(rows, "hour", "hour of the day")
    if rows := _take(summaries, "confusion", "actual_y", "predict_y", "digits"):
        yield _build_class_table(rows)
    if rows := _take(summaries, "refused", "kind", "records", "example"):
        yield _build_refused_table(rows)


def _take(summaries: Mapping[str, Sequence[Row]], name: str, *columns: str) -> Sequence[Row]:
    """Return the rows of a summary that have all of these columns."""
    return [row for row in summaries.get(name, ()) if all(row.get(column) is not None for column in columns)]


def _build_horizon_table(rows: Sequence[Row]) -> Table:
    cells = []
    for horizon, group in _group(rows, "horizon").items():
        mae, persistence, count = _average(group)
        cells.append(
            (
                f"{horizon}\u00a0h ahead",
                format_number(mae, 2),
                format_number(persistence, 2),
                format_percent(_share_below(mae, persistence)),
                format_count(count),
            )
        )
    head = ("", "MAE", "persistence", "below it by", "scored")
    return Table("Mean absolute error, in µg/m³, over all days", head, cells)


def _build_group_table(rows: Sequence[Row], column: str, name: str) -> Table:
    """Return by how much errors are below those of persistence, by the values of a column and by horizon."""
    horizons = sorted({row["horizon"] for row in rows})
    cells = []
    for value, group in _group(rows, column).items():
        by_horizon = _group(group, "horizon")
        shares = [
            _share_below(*_average(by_horizon[horizon])[:2]) if horizon in by_horizon else float("nan")
            for horizon in horizons
        ]
        cells.append((str(value), *map(format_percent, shares)))
    head = ("", *(f"{horizon}\u00a0h" for horizon in horizons))
    return Table(f"By how much the MAE is below that of persistence, by {name} and horizon", head, cells)


def _build_class_table(rows: Sequence[Row]) -> Table:
    cells = []
    for label, group in _group(rows, "actual_y").items():
        count = sum(row["digits"] for row in group)
        right = sum(row["digits"] for row in group if row["predict_y"] == label)
        wrong = max((row for row in group if row["predict_y"] != label), key=_count_digits, default=None)
        taken = f"{wrong['predict_y']} ({format_count(wrong['digits'])})" if wrong else "–"
        cells.append((str(label), format_percent(right / count), taken, format_count(count)))
    head = ("", "right", "most often taken for", "labelled")
    return Table("Right answers by class", head, cells)


def _count_digits(row: Row) -> int:
    return int(row["digits"])


def _build_refused_table(rows: Sequence[Row]) -> Table:
    cells = [
        (str(kind), format_count(sum(row["records"] for row in group)), str(group[-1]["example"]))
        for kind, group in _group(rows, "kind").items()
    ]
    return Table("Records that could not be learned", ("", "records", "for example"), cells)


def _group(rows: Iterable[Row], column: str) -> dict[Any, list[Row]]:
    """Return the rows by the value that they have in a column, in the order of the values."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return dict(sorted(groups.items()))


def _average(rows: Sequence[Row]) -> tuple[float, float, int]:
    """Return the mean absolute errors of model and persistence over all forecasts, and how many these are."""
    count = sum(row["forecasts"] for row in rows)
    mae, persistence = (sum(row["forecasts"] * row[name] for row in rows) / count for name in _ERRORS[1:])
    return mae, persistence, count


def _share_below(error: float, baseline: float) -> float:
    return 1 - error / baseline if baseline else float("nan")
