"""Predict, score, then learn: the learners, their metrics, and the API to write one of your own.

learner.py      the extension API: `Learning`, `Learner`, and the one prequential loop
classification.py   labels and probabilities of a classifier from one pass
drivers.py      exogenous variables
tabular.py      records that stand for themselves
open_classes.py classes that come as they do
labels_later.py labels that come later, by an id
columns.py      features of such records, declared
forecasting/    a series, several steps ahead
ranges.py       ranges around forecasts, and what they are worth
merging.py      one model out of those of several partitions
by_key.py       the learners of several partitions, each asked for the keys that belong to it
metrics.py      prequential scores
curves.py       rolling metrics, made from committed answers
process.py      how a process that learns is set up: one BLAS thread, less garbage collection
"""

from streamlearn.learning.columns import Columns
from streamlearn.learning.drivers import Driver
from streamlearn.learning.forecasting import Forecast
from streamlearn.learning.labels_later import LabelsLater
from streamlearn.learning.learner import Answer, Learner, Learning, OutputField, SeriesSpec
from streamlearn.learning.ranges import Ranges
from streamlearn.learning.tabular import Tabular

__all__ = [
    "Answer",
    "Columns",
    "Driver",
    "Forecast",
    "LabelsLater",
    "Learner",
    "Learning",
    "OutputField",
    "Ranges",
    "SeriesSpec",
    "Tabular",
]
