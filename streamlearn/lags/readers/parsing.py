"""A raw table's columns as series of numbers, in the order of their times."""

from collections.abc import Sequence

from streamlearn.errors import BadSeries
from streamlearn.lags.readers.numbers import parse_numbers
from streamlearn.lags.readers.raw_table import RawTable, ReadingOptions
from streamlearn.lags.readers.time_columns import Stamp, Stamps, find_times
from streamlearn.lags.series import Series, Table, arrange


def parse_table(table: RawTable, names: Sequence[str], options: ReadingOptions) -> Table:
    """Return the columns `names` as series of numbers, in the order of their times.

    The column of times is found by its values and its name. A row whose time is blank is left out. If no
    column seems to hold times, each row is a step, the first row the oldest.

    Raises
    ------
    BadSeries
        A column is not there, is there twice or holds what is not a number, or the times cannot be told, are
        repeated or not on a grid.
    """
    if not table.rows:
        raise BadSeries(f"{table.source}: there are no rows of data")
    columns = {name: table.find_column(name) for name in names}
    if len(set(columns.values())) < len(columns):
        raise BadSeries(
            f"{', '.join(columns)} are one column of {table.source}: a series has no lag with itself"
        )
    stamps, time_names = find_times(table, list(columns.values()), options)
    notes, times = table.notes, None
    if stamps is not None:
        notes += (
            f"times: {'columns' if len(time_names) > 1 else 'column'} {', '.join(map(repr, time_names))}",
        )
        table, times, untimed = _leave_out_untimed(table, stamps)
        if untimed:
            notes += (f"rows without a time, left out: {untimed}",)
    numbers = parse_numbers(table, list(columns.values()), options.missing)
    series = [Series(name, numbers[column]) for name, column in columns.items()]
    return arrange(series, times, table.where, notes)


def _leave_out_untimed(table: RawTable, stamps: Stamps) -> tuple[RawTable, list[Stamp], int]:
    """Return the rows that have a time, their times, and how many have none."""
    rows = [row for row, stamp in enumerate(stamps) if stamp is not None]
    kept = RawTable(
        table.source,
        table.names,
        [table.rows[row] for row in rows],
        [table.where[row] for row in rows],
        table.notes,
        table.separator,
    )
    return kept, [stamp for stamp in stamps if stamp is not None], len(stamps) - len(rows)
