"""A mixture of linear models with random features, for labels of several outputs that come later.

Each expert is least squares (`shared_least_squares.py`) on the row's own features and on random Fourier
features of its own (`random_features.py`); what the experts predict is mixed by shares that are learned
(`expert_weights.py`). Experts that see different random features err differently, so that their mixture is
better than any of them, and cheaper than one with all of these features: the cost grows with the square.

A row's last numbers, its *context*, are seen by the random features alone: first the gates, by which an
expert's random features can be multiplied, then what they are features of.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from streamlearn.estimators.expert_weights import ExpertWeights
from streamlearn.estimators.random_features import JointExpansion, RandomFeatures
from streamlearn.estimators.shared_least_squares import SharedLeastSquares

Floats = NDArray[np.float64]


@dataclass(eq=False)
class Sight:
    """What is made of a row: needed to learn its labels, whenever they come. It is not changed."""

    rows: Floats
    """The experts' features, one expert after the other."""
    gains: Floats | None
    """Their gains, in the same order; None until the row is taken."""
    predictions: Floats
    """What each expert predicted, shape (n_experts, n_outputs)."""
    mixed: Floats
    """The mixture of these, shape (n_outputs,)."""
    weight: float
    """How much the row counts."""


class _Layout(NamedTuple):
    """What follows from the experts, and is used for each row."""

    expansion: JointExpansion
    parts: list[slice]
    """Where each expert's features stand among all."""
    sizes: list[int]
    """How many features each expert has."""


class RandomFeatureMixture(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Regression of several outputs by experts with random features.

    Parameters
    ----------
    experts
        What each expert draws: a mapping of `units`, `width`, `scale` and `seed` (see `RandomFeatures`),
        `inputs`, the first column of the context that its features are of and the one after the last, and
        `gate`, the column of the context that they are multiplied by, or None. An expert of 0 units is least
        squares alone. None: one expert of 50 units, of all columns of the context.
    context
        How many of a row's last numbers are seen by random features alone. None: none are, and random
        features are of all numbers.
    ridge
        Weight of each expert's penalty on the squares of its coefficients.
    noise, level
        A row weighs 1 / (noise + the context's column `level`): where errors grow with a level, rows at a
        high one tell less. Without a `level` every row weighs 1.
    rate
        How fast the shares of the experts are learned.

    Attributes
    ----------
    experts_, features_
        The least squares and the random features of each expert.
    weights_
        The shares.
    labels_ : (n_outputs,)
        How many labels of each output have been learned.
    is_flat_ : bool
        Whether labels, and predictions, are one number a row rather than an array.

    >>> x = np.linspace(-2, 2, 400)[:, None]
    >>> model = RandomFeatureMixture(ridge=0.01).partial_fit(x, np.sin(x[:, 0]))
    >>> bool(abs(model.predict([[0.5]])[0] - np.sin(0.5)) < 0.01)
    True
    """

    n_features_in_: int
    experts_: list[SharedLeastSquares]
    features_: list[RandomFeatures]
    weights_: ExpertWeights
    labels_: NDArray[np.int64]
    is_flat_: bool
    _layout: _Layout | None = None
    _joint: Floats | None = None

    def __init__(
        self,
        experts: Sequence[Mapping[str, Any]] | None = None,
        context: int | None = None,
        ridge: float = 1.0,
        noise: float = 1.0,
        level: int | None = None,
        rate: float = 0.0,
    ) -> None:
        self.experts = experts
        self.context = context
        self.ridge = ridge
        self.noise = noise
        self.level = level
        self.rate = rate

    def begin(self, n_features: int, n_outputs: int) -> None:
        """Draw the features; all predictions are zero until labels are learned."""
        self.n_features_in_, self.is_flat_, self._layout = n_features, False, None
        specs = self._specs()
        self.features_ = [
            RandomFeatures(
                spec["inputs"][1] - spec["inputs"][0],
                spec["units"],
                spec["width"],
                spec["scale"],
                spec["seed"],
            )
            for spec in specs
        ]
        self.experts_ = [SharedLeastSquares(self.ridge) for _ in specs]
        for expert, spec in zip(self.experts_, specs, strict=True):
            expert.begin(n_features - (self.context or 0) + spec["units"], n_outputs)
        self.weights_ = ExpertWeights(n_outputs, len(specs), self.rate)
        self.labels_ = np.zeros(n_outputs, dtype=np.int64)

    def look(self, x: Floats) -> Sight:
        """Look at a row of shape (n_features,) and predict its outputs; nothing is changed or checked."""
        expansion, parts, _ = self._layout or self._lay_out()
        context = x[self.n_features_in_ - (self.context or self.n_features_in_) :]
        linear = x[: self.n_features_in_ - (self.context or 0)]
        expanded = expansion.expand(context)
        rows = np.concatenate([piece for part in expansion.parts for piece in (linear, expanded[part])])
        predictions = np.empty((len(parts), len(self.labels_)))
        for number, (expert, part) in enumerate(zip(self.experts_, parts, strict=True)):
            expert.coef_.dot(rows[part], out=predictions[number])
        weight = 1.0 if self.level is None else 1 / (self.noise + float(context[self.level]))
        return Sight(rows, None, predictions, self.weights_.mix(predictions), weight)

    def take(self, sight: Sight) -> Sight:
        """Take a row that has been looked at; return what its labels are learned with."""
        rows, gains = sight.rows, np.empty(len(sight.rows))
        for expert, part in self._parts():
            expert.take(rows[part], sight.weight, out=gains[part])
        return Sight(rows, gains, sight.predictions, sight.mixed, sight.weight)

    def recall(self, x: Floats) -> Sight:
        """Look again at a row that was taken already, after its features have changed."""
        sight = self.look(x)
        gains = [expert.recall_gain(sight.rows[part], sight.weight) for expert, part in self._parts()]
        return Sight(sight.rows, np.concatenate(gains), sight.predictions, sight.mixed, sight.weight)

    def learn_label(self, output: int, sight: Sight, target: float) -> None:
        """Learn the label of one output of a row that has been taken."""
        self.learn_labels([output], [sight], [target])

    def learn_labels(self, outputs: Sequence[int], sights: Sequence[Sight], targets: Sequence[float]) -> None:
        """Learn labels of several outputs, each of a row of its own that has been taken.

        No output comes twice, so that they can be learned at once; it is as if they came one by one.
        """
        count, several = len(outputs), list(outputs)
        some = None if several == list(range(len(self.labels_))) else several
        every_gain: list[Any] = [sight.gains for sight in sights]
        rows, gains = np.concatenate([*[sight.rows for sight in sights], *every_gain]).reshape(2, count, -1)
        joint, (_, parts, sizes) = self._join(), self._layout or self._lay_out()
        coefficients = joint if some is None else joint.take(some, axis=0)
        residuals = np.empty((count, len(parts)))
        for number, part in enumerate(parts):
            # Each product is that of two vectors: a matrix product would add in another order.
            np.vecdot(rows[:, part], coefficients[:, part], out=residuals[:, number])
        np.subtract(np.array(targets, dtype=np.float64)[:, None], residuals, out=residuals)
        gains *= residuals.repeat(sizes, axis=1)
        coefficients += gains
        if some is not None:
            joint[some] = coefficients
        if self.rate:
            predictions = np.array([sight.predictions for sight in sights])
            own = predictions.diagonal(0, 0, 2) if some is None else predictions[range(count), :, some].T
            pairs = zip(sights, several, targets, strict=True)
            errors = [sight.weight * (sight.mixed.item(output) - target) for sight, output, target in pairs]
            self.weights_.learn_many(some, own, errors)
        if some is None:
            self.labels_ += 1
        else:
            self.labels_[some] += 1

    def is_finite(self) -> bool:
        """Return whether every number that has been learned from labels is finite."""
        return all(math.isfinite(np.vdot(array, array)) for array in (self._join(), self.weights_.slopes))

    def reselect(self, kept: Sequence[int | None]) -> None:
        """Change the features: the new feature i is the present feature `kept[i]`, or one never seen if None.

        The context stays as it is.

        Raises
        ------
        ValueError
            The context would change.
        """
        context = self.context or 0
        linear = self.n_features_in_ - context
        if list(kept[len(kept) - context :]) != list(range(linear, self.n_features_in_)):
            raise ValueError("the context of a row cannot be changed")
        for expert in self.experts_:
            units = range(linear, expert.n_features_in_)
            expert.reselect([*kept[: len(kept) - context], *units])
        self.n_features_in_, self._layout = len(kept), None

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803 (scikit-learn's name)
        """Forget everything and learn the rows, shape (n, n_features), once each, in order."""
        if hasattr(self, "experts_"):
            del self.experts_
        return self.partial_fit(X, y)

    def partial_fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803
        """Learn the rows, shape (n, n_features), in order; `y` has shape (n,) or (n, n_outputs)."""
        first = not hasattr(self, "experts_")
        x, targets = validate_data(
            self, X, y, reset=first, dtype=np.float64, order="C", y_numeric=True, multi_output=True
        )
        labels = np.asarray(targets, dtype=np.float64)
        rows = labels.reshape(len(x), -1)
        if first:
            self.begin(x.shape[1], rows.shape[1])
            self.is_flat_ = labels.ndim == 1
        for row, row_labels in zip(x, rows, strict=True):
            sight = self.take(self.look(row))
            outputs = list(range(len(row_labels)))
            self.learn_labels(outputs, [sight] * len(outputs), row_labels.tolist())
        return self

    def predict(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Predict the rows, (n,) or (n, n_outputs), each by itself."""
        check_is_fitted(self, "experts_")
        x = validate_data(self, X, reset=False, dtype=np.float64, order="C")
        predicted = np.array([self.look(row).mixed for row in x]).reshape(len(x), -1)
        return predicted[:, 0] if self.is_flat_ else predicted

    def _parts(self) -> Iterable[tuple[SharedLeastSquares, slice]]:
        """Return each expert, and where its features stand among all."""
        return zip(self.experts_, (self._layout or self._lay_out()).parts, strict=True)

    def _lay_out(self) -> _Layout:
        """Return, and remember, what follows from the experts."""
        specs = self._specs()
        inputs, gates = [tuple(spec["inputs"]) for spec in specs], [spec["gate"] for spec in specs]
        sizes = [expert.n_features_in_ for expert in self.experts_]
        parts = [slice(start, end) for start, end in pairwise(accumulate(sizes, initial=0))]
        self._layout = _Layout(JointExpansion(self.features_, inputs, gates), parts, sizes)
        return self._layout

    def _join(self) -> Floats:
        """Return the coefficients of all experts side by side; theirs are parts of it.

        Arithmetic on so few numbers costs by the call, so it is done for all experts at once.
        """
        joint = self._joint
        if joint is None or any(expert.coef_.base is not joint for expert in self.experts_):
            self._joint = joint = np.concatenate([expert.coef_ for expert in self.experts_], axis=1)
            for expert, part in self._parts():
                expert.coef_ = joint[:, part]
        return joint

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what follows from the rest."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_layout", "_joint")}

    def _specs(self) -> Sequence[Mapping[str, Any]]:
        """Return what each expert draws."""
        if self.experts is not None:
            return self.experts
        inputs = (0, self.context or self.n_features_in_)
        return [{"units": 50, "width": 1.0, "scale": 1.0, "seed": 0, "inputs": inputs, "gate": None}]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # each row is learned once, without an intercept
        return tags
