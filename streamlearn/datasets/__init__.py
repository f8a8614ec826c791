"""The data sets that the producer replays: their source, fields and units.

base.py     `DataSet`, which a pipeline names
table.py    `Table`, the same for a file's rows
files.py    a CSV, JSON-lines or Parquet file → rows
values.py   a value in a row → a value of a record
digits.py   handwritten digits, from scikit-learn
pm25.py     Beijing's PM2.5 and weather, from UCI
stations.py Beijing's air at twelve stations, from files of UCI's that you have
"""

from streamlearn.datasets.base import DataSet
from streamlearn.datasets.table import Table

__all__ = ["DataSet", "Table"]
