"""Regressors of streamlearn's own, each with `partial_fit`.

row_regressor.py   what those share that learn row by row
least_squares.py   recursive least squares, exact after every row
gru.py             a gated recurrent unit that reads a sequence

Snapshots name these classes by `streamlearn` and the class alone, so a class may move and must keep its name.
"""

from streamlearn.estimators.gru import GatedRecurrentUnit
from streamlearn.estimators.least_squares import RecursiveLeastSquares

KNOWN: dict[str, type] = {known.__name__: known for known in (RecursiveLeastSquares, GatedRecurrentUnit)}
"""The estimators by the names that stand in snapshots; they may be loaded from any snapshot."""
