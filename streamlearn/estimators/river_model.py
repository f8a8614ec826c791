"""`River`: a model of the library River as an estimator that is stored without pickle.

River (https://riverml.xyz) learns row by row from dictionaries. Here features go by their positions, and
classes by theirs, so that nothing depends on how texts are hashed.
"""

import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import ClassifierTags, RegressorTags
from sklearn.utils.metaestimators import available_if

from streamlearn.errors import ConfigurationError
from streamlearn.estimators import river_objects
from streamlearn.estimators.either_task import EitherTask
from streamlearn.extras import require_extra

Floats = NDArray[np.float64]

_COPY = "_copy"
"""The attribute of a model's copy for predictions; it is no part of the state."""
_CHANGED_BY_PREDICTING = frozenset({"AMFClassifier", "ARFClassifier"})
"""Models that count what they are asked about; their predictions are made by a copy, made once a chunk."""


class River(EitherTask):
    """A classifier or regressor of River, learned row by row.

    A feature that is NaN is left out of its row. Models that learn to standardise, such as linear ones, need
    `preprocessing.StandardScaler` before them, in a `compose.Pipeline`, or `Standardized` around this.

    Parameters
    ----------
    model
        What River calls it, such as `tree.HoeffdingTreeClassifier`.
    parameters
        What that is made with, by name. A mapping with a `model`, and perhaps `parameters`, is a model in its
        turn: `{"classifier": {"model": "linear_model.LogisticRegression"}}`.
    steps
        For `compose.Pipeline`: its steps in order, each such a mapping.

    Attributes
    ----------
    model_
        River's object.
    classes_ : (n_classes,)
        The classes of a classification.

    Raises
    ------
    ConfigurationError
        River has no such model, or it cannot be made with these parameters.
    MissingExtra
        River is not installed.
    """

    learned = "model_"
    n_features_in_: int
    model_: Any
    classes_: NDArray[Any]
    _copy: Any

    def __init__(
        self,
        model: str = "tree.HoeffdingTreeClassifier",
        parameters: Mapping[str, Any] | None = None,
        steps: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.model = model
        self.parameters = parameters
        self.steps = steps

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:  # noqa: N803
        """Learn the rows, shape (n, n_features), one by one; `y` has shape (n,).

        `classes` are all classes of a classification.
        """
        x, targets = self._check_labelled(X, y)
        if not hasattr(self, "model_"):
            self._begin(classes)
        if self._is_classifier():
            number_of = {label: number for number, label in enumerate(self.classes_.tolist())}
            labels: list[Any] = [number_of[label] for label in targets.tolist()]
            if not self.model_._multiclass:
                labels = list(map(bool, labels))
        else:
            labels = targets.astype(np.float64).tolist()
        for row, label in zip(_to_dicts(x), labels, strict=True):
            self.model_.learn_one(row, label)
        self.__dict__.pop(_COPY, None)
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Predict the rows, shape (n,)."""
        rows, model = _to_dicts(self._check_rows(X)), self._find_predictor()
        predicted = [model.predict_one(row) for row in rows]
        if self._is_classifier():
            return self.classes_[[int(number or 0) for number in predicted]]
        return np.array(predicted, dtype=np.float64)

    @available_if(lambda self: self._has_probabilities())  # type: ignore[untyped-decorator]
    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return the probabilities of the classes, shape (n, n_classes), in the order of `classes_`."""
        rows, model = _to_dicts(self._check_rows(X)), self._find_predictor()
        probabilities = np.zeros((len(rows), len(self.classes_)))
        for number, row in enumerate(rows):
            for label, probability in model.predict_proba_one(row).items():
                probabilities[number, int(label)] = probability
        return probabilities

    def _begin(self, classes: ArrayLike | None) -> None:
        self.model_ = self._make()
        if self._is_classifier():
            self.classes_ = np.unique(np.asarray(classes))
            if len(self.classes_) > 2 and not self.model_._multiclass:
                raise ConfigurationError(
                    f"River's {self.model} tells two classes apart, not {len(self.classes_)}: put it into"
                    " multiclass.OneVsRestClassifier"
                )

    def _find_predictor(self) -> Any:
        if type(_find_last_step(self.model_)).__name__ not in _CHANGED_BY_PREDICTING:
            return self.model_
        if not hasattr(self, _COPY):
            self._copy = river_objects.loads(river_objects.dumps(self.model_))
        return self._copy

    def _make(self) -> Any:
        return _make_model({"model": self.model, "parameters": self.parameters or {}, "steps": self.steps})

    def _is_classifier(self) -> bool:
        from river.base import Classifier

        model = self.model_ if hasattr(self, "model_") else self._make()
        return isinstance(_find_last_step(model), Classifier)

    def _has_probabilities(self) -> bool:
        from river.base import Classifier

        model = _find_last_step(self._make())
        return isinstance(model, Classifier) and (
            type(model).predict_proba_one is not Classifier.predict_proba_one
        )

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if name != _COPY}
        if "model_" in state:
            state["model_"] = np.frombuffer(river_objects.dumps(self.model_), dtype=np.uint8)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "model_" in state:
            state["model_"] = river_objects.loads(state["model_"].tobytes())
        self.__dict__.update(state)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        is_classifier = self._is_classifier()
        tags.estimator_type = "classifier" if is_classifier else "regressor"
        tags.classifier_tags = ClassifierTags(poor_score=True) if is_classifier else None
        tags.regressor_tags = None if is_classifier else RegressorTags(poor_score=True)
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        return tags


def _to_dicts(x: Floats) -> list[dict[int, float]]:
    """Return rows as River takes them; what is missing is left out."""
    return [
        {column: value for column, value in enumerate(row) if not math.isnan(value)} for row in x.tolist()
    ]


def _make_model(spec: Mapping[str, Any]) -> Any:
    """Make one of River's objects as a mapping describes it."""
    with require_extra("river"):
        import river.compose
    module, _, name = spec["model"].rpartition(".")
    try:
        cls = getattr(import_module(f"river.{module}"), name)
    except (ImportError, AttributeError, ValueError):
        raise ConfigurationError(
            f"River has no {spec['model']!r}; one is tree.HoeffdingTreeClassifier"
        ) from None
    parameters = {name: _make_value(value) for name, value in (spec.get("parameters") or {}).items()}
    steps = [_make_model(step) for step in spec.get("steps") or ()]
    try:
        return river.compose.Pipeline(*steps) if cls is river.compose.Pipeline else cls(**parameters)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"River's {spec['model']} cannot be made: {error}") from error


def _make_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _make_model(value) if "model" in value else dict(value)
    return [_make_value(item) for item in value] if isinstance(value, list | tuple) else value


def _find_last_step(model: Any) -> Any:
    """Return what predicts: the last step of a pipeline, or the model itself."""
    steps = getattr(model, "steps", None)
    return _find_last_step(next(reversed(steps.values()))) if steps else model
