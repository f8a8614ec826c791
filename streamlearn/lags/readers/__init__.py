"""Raw tables, such as a CSV file or a topic's records, and the series in their columns.

raw_table.py     rows as they were read
csv_files.py     a CSV file → such rows
time_columns.py  which columns hold the times, and the times in them
time_texts.py    texts → times
time_numbers.py  numbers → times
time_parts.py    parts in columns of their own (year, month, …) → times
numbers.py       texts and JSON values → numbers
parsing.py       rows → series on one grid
"""

from streamlearn.lags.readers.csv_files import read_csv
from streamlearn.lags.readers.parsing import parse_table
from streamlearn.lags.readers.raw_table import RawTable, ReadingOptions

__all__ = ["RawTable", "ReadingOptions", "parse_table", "read_csv"]
