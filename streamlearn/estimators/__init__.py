"""Streamlearn's own estimators.

row_regressor.py   the base class: `fit`, `partial_fit` and `predict` from methods for one row
least_squares.py   recursive least squares, exact after every row
gru.py             a gated recurrent unit that reads a sequence
either_task.py     the base class of the two that classify or regress, as what is inside does
standardized.py    another estimator, with inputs standardised by what has been learned so far
river_model.py     a model of the library River
river_objects.py   … and how that is stored
random_feature_softmax.py  softmax regression on random features, with a temperature
partly_linear.py   softmax regression, and least squares, on the inputs and on random features

For several outputs, whose labels may come later than their row:

shared_least_squares.py    least squares with one covariance for all outputs
random_features.py         random Fourier features
expert_weights.py          shares of several experts, learned from how they fare
random_feature_mixture.py  these three together

Snapshots name a class by `streamlearn` and the class name alone, so it may move and must keep its name.
"""

from streamlearn.estimators.expert_weights import ExpertWeights
from streamlearn.estimators.gru import GatedRecurrentUnit
from streamlearn.estimators.least_squares import RecursiveLeastSquares
from streamlearn.estimators.partly_linear import PartlyLinearLeastSquares, PartlyLinearSoftmax
from streamlearn.estimators.random_feature_mixture import RandomFeatureMixture, Sight
from streamlearn.estimators.random_feature_softmax import RandomFeatureSoftmax
from streamlearn.estimators.random_features import RandomFeatures
from streamlearn.estimators.river_model import River
from streamlearn.estimators.shared_least_squares import SharedLeastSquares
from streamlearn.estimators.standardized import Standardized

KNOWN: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        RecursiveLeastSquares,
        GatedRecurrentUnit,
        Standardized,
        River,
        SharedLeastSquares,
        RandomFeatureMixture,
        RandomFeatureSoftmax,
        PartlyLinearSoftmax,
        PartlyLinearLeastSquares,
        RandomFeatures,
        ExpertWeights,
        Sight,
    )
}
"""The estimators, and their parts, by their names in snapshots; all may be loaded from any snapshot."""

__all__ = [
    "KNOWN",
    "ExpertWeights",
    "GatedRecurrentUnit",
    "PartlyLinearLeastSquares",
    "PartlyLinearSoftmax",
    "RandomFeatureMixture",
    "RandomFeatureSoftmax",
    "RandomFeatures",
    "RecursiveLeastSquares",
    "River",
    "SharedLeastSquares",
    "Standardized",
]
