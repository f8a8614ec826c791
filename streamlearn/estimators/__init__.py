"""Streamlearn's own estimators.

row_regressor.py   the base class: `fit`, `partial_fit` and `predict` from methods for one row
least_squares.py   recursive least squares, exact after every row
gru.py             a gated recurrent unit that reads a sequence
either_task.py     the base class of the two that classify or regress, as what is inside does
standardized.py    another estimator, with inputs standardised by what has been learned so far
river_model.py     a model of the library River
river_objects.py   … and how that is stored

Snapshots name a class by `streamlearn` and the class name alone, so it may move and must keep its name.
"""

from streamlearn.estimators.gru import GatedRecurrentUnit
from streamlearn.estimators.least_squares import RecursiveLeastSquares
from streamlearn.estimators.river_model import River
from streamlearn.estimators.standardized import Standardized

KNOWN: dict[str, type] = {
    cls.__name__: cls for cls in (RecursiveLeastSquares, GatedRecurrentUnit, Standardized, River)
}
"""The estimators by their names in snapshots; all of them may be loaded from any snapshot."""

__all__ = ["KNOWN", "GatedRecurrentUnit", "RecursiveLeastSquares", "River", "Standardized"]
