"""The data that the producer replays: where each set comes from, its fields and its units.

base.py     `DataSet`, which a pipeline names
digits.py   the handwritten digits of scikit-learn
pm25.py     Beijing's PM2.5 and weather
"""

from streamlearn.datasets.base import DataSet

__all__ = ["DataSet"]
