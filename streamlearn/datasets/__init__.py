"""The data sets that the producer replays: their source, fields and units.

base.py     `DataSet`, which a pipeline names
digits.py   handwritten digits, from scikit-learn
pm25.py     Beijing's PM2.5 and weather, from UCI
"""

from streamlearn.datasets.base import DataSet

__all__ = ["DataSet"]
