"""The same with one estimator for all horizons."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamlearn.learning.forecasting.forecaster import Features, ForecastLearner, Look
from streamlearn.learning.forecasting.series import SeenStep
from streamlearn.learning.learner import Floats
from streamlearn.learning.ranges import Issued

if TYPE_CHECKING:
    from streamlearn.learning.forecasting.spec import Forecast


class JointEstimator(Protocol):
    """What forecasts all horizons at once: an estimator of several outputs whose labels come later.

    For each step: `look` predicts, `take` learns that there was such a row, and `learn_label` is called with
    what `take` has returned when a label of the step arrives; some never do. An estimator that has a method
    `learn_labels(outputs, sights, targets)` is given the labels that arrive together at once.
    `streamlearn.estimators.RandomFeatureMixture` is one.
    """

    labels_: NDArray[np.int64]
    """How many labels of each output have been learned."""

    def begin(self, n_features: int, n_outputs: int) -> None:
        """Begin, before the first row."""
        ...

    def look(self, x: Floats) -> Any:
        """Look at a row of shape (n_features,); the attribute `mixed` of what is returned are the outputs."""
        ...

    def take(self, sight: Any) -> Any:
        """Learn that there was such a row; return what its labels are learned with."""
        ...

    def recall(self, x: Floats) -> Any:
        """Return the same for a row that was taken before its features changed."""
        ...

    def learn_label(self, output: int, sight: Any, target: float) -> None:
        """Learn one output's label of a row that has been taken."""
        ...

    def reselect(self, kept: Sequence[int | None]) -> None:
        """Change the features; the new feature i is the present feature `kept[i]`, or one never seen."""
        ...

    def is_finite(self) -> bool:
        """Return whether all it has learned is finite."""
        ...


class JointForecastLearner(ForecastLearner):
    """The same with one estimator for all horizons, a `JointEstimator`."""

    def __init__(self, spec: "Forecast", parameters: Mapping[str, Any], version: int) -> None:
        super().__init__(spec, parameters, version)
        self._models = [None]

    @property
    def trained(self) -> bool:
        """Whether a label of any horizon has been learned."""
        return self._models[0] is not None and bool(self._models[0].labels_.any())

    def _see(self, features: Features | None) -> Any:
        return None if features is None or self._models[0] is None else self._models[0].look(features[0])

    def _forecast_at(self, look: Look) -> list[float | None]:
        return self._forecast_by(look.features, look.sight)

    def _forecast(self, features: Features | None) -> list[float | None]:
        return self._forecast_by(features, self._see(features))

    def _forecast_by(self, features: Features | None, sight: Any) -> list[float | None]:
        """Forecast one value a horizon; None where none of its labels has been learned."""
        if features is None or sight is None:
            return [None] * len(self._spec.horizons)
        base = features[1]
        return [
            max(self._spec.lowest, base + change) if count else None
            for change, count in zip(sight.mixed.tolist(), self._models[0].labels_.tolist(), strict=True)
        ]

    def _remember(self, look: Look, forecast: list[float | None], issued: Issued | None) -> SeenStep | None:
        if look.features is None:
            return None
        x, base = look.features
        sight = look.sight
        if self._models[0] is None:
            model = self._spec.estimator(**self.parameters)
            model.begin(len(x), len(self._spec.horizons))
            self._models[0] = model
            sight = self._see(look.features)
        return SeenStep(x, base, forecast, self._models[0].take(sight), issued)

    def _recall(self, features: Features, forecast: list[float | None], issued: Issued | None) -> SeenStep:
        return SeenStep(*features, forecast, self._models[0].recall(features[0]), issued)

    def _learn_labels(self, labels: Sequence[tuple[int, SeenStep, float]]) -> None:
        """Learn all at once, where the estimator can: they are of different outputs."""
        model = self._models[0]
        if not labels:
            return
        if hasattr(model, "learn_labels"):
            numbers, seen, changes = zip(*labels, strict=True)
            model.learn_labels(list(numbers), [step.sight for step in seen], changes)
            return
        for number, step, change in labels:
            model.learn_label(number, step.sight, change)

    def _pack(self, seen: SeenStep) -> list[Any]:
        return list(seen[:4]) if self._spec.ranges is None else super()._pack(seen)

    def _is_finite_model(self, model: Any) -> bool:
        return model is None or bool(model.is_finite())
