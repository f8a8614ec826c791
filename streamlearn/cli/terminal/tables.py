"""Tables for a terminal: columns under headings, aligned by spaces."""

from collections.abc import Collection, Iterator, Sequence


def format_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str] = ()
) -> Iterator[str]:
    """Yield the lines of a table, the headings first.

    Parameters
    ----------
    rows
        Of each row the text of every column.
    numbers
        The headings of the columns that are aligned at the right.

    Examples
    --------
    >>> for line in format_table(["VERSION", "NOTE"], [["7", "first"], ["120", ""]], ["VERSION"]):
    ...     print(line)
    VERSION  NOTE
          7  first
        120
    """
    table = [headings, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
    for row in table:
        cells = (
            text.rjust(width) if heading in numbers else text.ljust(width)
            for heading, text, width in zip(headings, row, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()
