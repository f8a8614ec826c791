"""Learning records that stand for themselves: rows of a table, classified or regressed on."""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import BadRecord, ConfigurationError, NoModel
from streamlearn.learning.classification import classify
from streamlearn.learning.columns import Columns
from streamlearn.learning.labels_later import (
    ANSWER_GIVEN,
    LabelsLater,
    LateLabel,
    Lesson,
    WaitingRecords,
    find_given_answer,
    list_lessons,
    make_answered_record,
    make_late_label,
)
from streamlearn.learning.learner import (
    Answer,
    EstimatorFactory,
    Learner,
    Learning,
    OutputField,
    WaitingCounts,
    has_finite_numbers,
)
from streamlearn.learning.merging import Merging, merge_models
from streamlearn.learning.metrics import Accuracy, Errors, add_scores
from streamlearn.learning.open_classes import OpenClasses

_DATATYPES = {"b": "BOOL", "i": "INT64", "u": "INT64", "f": "FP64"}
"""numpy's kind of an array of classes → the datatype of a prediction; everything else is text."""


class FeatureFunction(Protocol):
    """Records → what the estimator sees of them; the same call serves training and serving."""

    def __call__(self, records: Sequence[Any], /) -> NDArray[Any]:
        """Return an array of shape (n_records, n_features), the rows in the order of the records."""
        ...


class LabelFunction(Protocol):
    """A record → its label, for labels that are derived from several fields."""

    def __call__(self, record: Any, /) -> Any:
        """Return the label, or None where the record has none."""
        ...


@dataclass(frozen=True)
class Tabular(Learning):
    """How to learn records that stand for themselves: features, a label, an estimator with `partial_fit`.

    With `classes` it is a classification, scored by accuracy; without, a regression, scored by RMSE and MAE
    beside a baseline that predicts the label that came last.

    Parameters
    ----------
    features
        Makes an array (n_records, n_features) of records: `Columns`, or a function of your own.
    label
        The name of the record's field that holds the label, as the struct calls it; or a function for a label
        that is derived. A record whose label is None is predicted and not learned.
    estimator
        Makes a new estimator from the pipeline's parameters; usually its class.
    classes
        Every class that a label can have; None for a regression.
    max_classes
        With this, others than `classes` may come, up to so many in all: each new label of the same type is a
        class from then on, and predicted as soon as it has been learned. `classes` may be empty then: labels
        are text. The estimator takes memory for all of them from the start.
    labels_later
        That a label may come later than its record, by an id: see `LabelsLater`. `label` must be a field.

    merging
        How the learners of several partitions become the one model that is served: see `learning/merging.py`.
        `key`: they do not; the pipeline's `key` tells which of them a record is answered by. It changes no
        answer of the job.

    Raises
    ------
    ConfigurationError
        There are more classes than `max_classes`, or it is given for a regression, or with `merging="key"`.
    """

    features: FeatureFunction
    label: str | LabelFunction
    estimator: EstimatorFactory
    classes: tuple[Any, ...] | None = None
    max_classes: int | None = None
    labels_later: LabelsLater | None = None
    merging: Merging = "auto"

    kind = "tabular"
    answer_fields = ("predict_y",)

    def __post_init__(self) -> None:
        if self.labels_later is not None and not isinstance(self.label, str):
            raise ConfigurationError("labels_later needs a label that is a field, named as the struct does")
        if self.max_classes is None:
            return
        if self.merging == "key":
            raise ConfigurationError(
                'merging="key" needs classes that are known: each learner numbers others as they come to it'
            )
        if self.classes is None or self.max_classes < max(2, len(self.classes)):
            raise ConfigurationError(
                f"max_classes={self.max_classes} goes with `classes`, those known at the beginning or (),"
                " and is at least 2 and as many as those"
            )

    @property
    def label_field(self) -> str | None:
        """The field that holds the label; None where the label is derived."""
        return self.label if isinstance(self.label, str) else None

    @property
    def fields_read(self) -> tuple[str, ...]:
        """Those of the features, where they are `Columns`, and the label."""
        features = self.features.fields if isinstance(self.features, Columns) else ()
        return (*features, *([self.label] if isinstance(self.label, str) else []))

    def late_label(self, record: type[Any]) -> type[LateLabel] | None:
        """Return the struct of a label that comes later, where it may."""
        if self.labels_later is None or not isinstance(self.label, str):
            return None
        return make_late_label(record, self.labels_later.id, self.label)

    def answered_record(self, record: type[Any]) -> type[Any] | None:
        """Return the struct of a record that came with the answer that was given, where labels come later."""
        return None if self.labels_later is None else make_answered_record(record)

    @property
    def merges_by_key(self) -> bool:
        """Whether a record is answered by the learner of the partition that its key belongs to."""
        return self.merging == "key"

    def label_of(self, record: Any) -> Any:
        """Return a record's label, or None where it has none."""
        return getattr(record, self.label) if isinstance(self.label, str) else self.label(record)

    def features_of(self, records: Sequence[Any]) -> NDArray[Any]:
        """Return the records' features, shape (n_records, n_features)."""
        return self.features(records)

    def new_learner(self, parameters: Mapping[str, Any], version: int) -> "TabularLearner":
        """Make a learner that has learned nothing."""
        return TabularLearner(self, parameters, version)

    def merge(self, learners: Sequence[Learner]) -> Learner:
        """Return a learner with one model out of theirs; of open classes, the one that has seen most.

        Each learner numbers open classes in the order in which they have come to it.
        """
        best = super().merge(learners)
        if self.max_classes is not None or len(learners) == 1:
            return best
        merged = copy(best)
        weights = [learner.score.samples for learner in learners]
        merged.model = merge_models([learner.model for learner in learners], weights, self.merging)
        merged.score = add_scores([learner.score for learner in learners])
        return merged

    def definition(self) -> dict[str, Any]:
        """Return features, label, estimator and classes."""
        definition: dict[str, Any] = {
            "features": self.features.definition() if isinstance(self.features, Columns) else self.features,
            "label": self.label,
            "estimator": self.estimator,
            "classes": self.classes,
        }
        if self.max_classes is not None:
            definition["max_classes"] = self.max_classes
        if self.labels_later is not None:
            definition["labels_later"] = {"id": self.labels_later.id, "most": self.labels_later.most}
        return definition

    def output_fields(self, parameters: Mapping[str, Any]) -> list[OutputField]:
        """Return the prediction and, for classifiers that have them, the probabilities of the classes."""
        if self.classes is None:
            return [OutputField("predict_y", "FP64", (-1,))]
        datatype = _DATATYPES.get(np.array(self.classes or ("",)).dtype.kind, "BYTES")
        outputs = [OutputField("predict_y", datatype, (-1,))]
        if hasattr(self.estimator(**parameters), "predict_proba"):
            if self.max_classes is None:
                outputs.append(OutputField("probabilities", "FP64", (-1, len(self.classes)), self.classes))
            else:
                outputs.append(OutputField("probabilities", "FP64", (-1, -1)))
        return outputs


@runtime_checkable
class Expanding(Protocol):
    """An estimator that predicts and learns rows by the same costly features of them.

    A learner has them made once for a chunk. What is predicted and learned must be, to the last bit, what
    `predict` and `partial_fit` would.
    """

    def expand(self, x: NDArray[Any]) -> NDArray[Any] | None:
        """Return the features of finite rows; None where the two methods below must not be used for them."""
        ...

    def predict_expanded(self, features: NDArray[Any]) -> NDArray[Any]:
        """Predict the rows that have these features."""
        ...

    def partial_fit_expanded(self, features: NDArray[Any], y: NDArray[Any]) -> Any:
        """Learn the rows that have these features, which it may overwrite."""
        ...


class TabularLearner(Learner):
    """Learns as its `Tabular` says; answers `{"predict_y": …}`, null before the first labelled record.

    Attributes
    ----------
    model
        The estimator; None before the first labelled record.
    """

    def __init__(self, spec: Tabular, parameters: Mapping[str, Any], version: int) -> None:
        super().__init__(parameters, version)
        self._spec = spec
        self.score: Any = Errors() if spec.classes is None else Accuracy.of(spec.classes)
        self.model = None
        self._last_label: float | None = None
        self._predicted: tuple[Sequence[Any], NDArray[Any]] | None = None
        self._expanded: tuple[NDArray[Any], NDArray[Any]] | None = None
        """Features of a chunk, and what an estimator has made of them to predict."""
        self._open = None if spec.max_classes is None else OpenClasses(spec.classes or (), spec.max_classes)
        self._waiting = None if spec.labels_later is None else WaitingRecords(spec.labels_later.most)
        self._id_of = attrgetter(spec.labels_later.id) if spec.labels_later else None
        self._class_of = None if spec.classes is None else {label: label for label in spec.classes}
        self._label_of = attrgetter(spec.label) if isinstance(spec.label, str) else spec.label
        self._shown_classes = ", ".join(map(repr, spec.classes or ()))

    @property
    def classes(self) -> tuple[Any, ...] | None:
        """The classes that have come so far, where others may come; else None."""
        return None if self._open is None else self._open.labels

    @property
    def trained(self) -> bool:
        """Whether a labelled record has been learned."""
        return self.model is not None

    def rejection_reason(self, record: Any) -> str | None:
        """Return why a record's label, or the answer that it came with, cannot be taken."""
        label, given = self._label_of(record), find_given_answer(record)
        reason = None if label is None else self._judge_label(label)
        return reason if reason or given is None else self._judge_answer(given.predict_y)

    def _judge_answer(self, predicted: Any) -> str | None:
        """Return why something can be no answer that was given, None where it can."""
        if predicted is None:
            return None
        is_number = isinstance(predicted, int | float) and not isinstance(predicted, bool)
        if self._spec.classes is None and not is_number:
            return f"{ANSWER_GIVEN}: {predicted!r} is not a number"
        reason = self._judge_label(predicted)
        return None if reason is None else f"{ANSWER_GIVEN}: {reason}"

    def _judge_label(self, label: Any) -> str | None:
        """Return why something can be no label, None where it can."""
        if self._open is not None:
            return self._open.rejection_reason(label)
        if self._class_of is not None:
            try:
                known = label in self._class_of
            except TypeError:  # it is a list, say
                known = False
            return None if known else f"the label {label!r} is none of the classes: {self._shown_classes}"
        if not np.isfinite(label):
            return f"the label {label!r} is not a finite number"
        return None

    @property
    def waiting(self) -> WaitingRecords | None:
        """The records that wait for their labels, where these may come later."""
        return self._waiting

    def count_waiting(self) -> WaitingCounts | None:
        """Return how many records wait for their labels; None where labels do not come later."""
        return None if self._waiting is None else WaitingCounts(len(self._waiting), self._waiting.let_go)

    def predict(self, records: Sequence[Any]) -> list[Answer]:
        """Predict the records' labels, null while nothing has been learned.

        The answer to a label that comes later is what was predicted then.
        """
        if self._waiting is not None:
            return self._predict_or_recall(records)
        if self.model is None:
            return [{"predict_y": None} for _ in records]
        x = self._features(records)
        expanded = self.model.expand(x) if isinstance(self.model, Expanding) else None
        if expanded is None or self._open is not None:
            return self._predict(x)
        self._expanded = x, expanded
        return _list_answers(self.model.predict_expanded(expanded))

    def learn(self, records: Sequence[Any], answers: Sequence[Answer]) -> None:
        """Score and learn the records that have a label."""
        if self._waiting is not None:
            lessons = [*self._list_lessons(records, answers, self._waiting)]
            if lessons:
                self._score([lesson.label for lesson in lessons], [lesson.answer for lesson in lessons])
                x = np.array([lesson.x for lesson in lessons])
                self._partial_fit(x, np.array([lesson.label for lesson in lessons]))
            self._predicted = None
            return
        labels = [self._label(record) for record in records]
        rows = [row for row, label in enumerate(labels) if label is not None]
        if rows:
            truths = [labels[row] for row in rows]
            self._score(truths, [answers[row]["predict_y"] for row in rows])
            x = self._features(records)
            if self._expanded is not None and self._expanded[0] is x and len(rows) == len(records):
                self.model.partial_fit_expanded(self._expanded[1], np.array(truths))
            else:
                self._partial_fit(x[rows], np.array(truths))
        self._predicted = self._expanded = None

    def _predict_or_recall(self, records: Sequence[Any]) -> list[Answer]:
        """Predict those that are no late labels; these are answered what was predicted for their records."""
        fresh = [record for record in records if not isinstance(record, LateLabel)]
        x = self._features_of(fresh) if fresh else np.zeros((0, 0))
        self._predicted = records, x
        predicted = iter(
            self._predict(x) if fresh and self.model is not None else [{"predict_y": None} for _ in fresh]
        )
        answers = [
            {"predict_y": None} if isinstance(record, LateLabel) else next(predicted) for record in records
        ]
        assert self._waiting is not None
        for lesson in self._list_lessons(records, answers, self._waiting.copy()):
            answers[lesson.row] = {"predict_y": lesson.answer}
        return answers

    def _list_lessons(
        self, records: Sequence[Any], answers: Sequence[Answer], waiting: WaitingRecords
    ) -> Iterator[Lesson]:
        assert self._id_of is not None
        if self._predicted is None or self._predicted[0] is not records:
            fresh = [record for record in records if not isinstance(record, LateLabel)]
            self._predicted = records, self._features_of(fresh) if fresh else np.zeros((0, 0))
        return list_lessons(
            records,
            [self._id_of(record) for record in records],
            [self._label(record) for record in records],
            iter(self._predicted[1]),
            [answer["predict_y"] for answer in answers],
            waiting,
        )

    def answer(self, records: Sequence[Any]) -> list[Answer]:
        """Predict the labels of records that are not of the stream."""
        self._check_trained()
        return self._predict(self._features_of(records))

    def outputs(self, records: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """`predict_y`, shape (n,), and `probabilities`, shape (n, n_classes), if the estimator has them.

        The probabilities are in the order of the pipeline's `classes`.

        Raises
        ------
        NoModel
            Nothing has been learned yet.
        BadRecord
            A feature is not finite, or what the model says is not.
        """
        self._check_trained()
        x = self._features_of(records)
        if self._spec.classes is None:
            outputs = {"predict_y": np.asarray(self.model.predict(x))}
        elif self._open is not None:
            named, probabilities = self._open.classify(self.model, x)
            outputs = {"predict_y": np.array(named)}
            if probabilities is not None:
                outputs["probabilities"] = probabilities
        else:
            labels, probabilities = classify(self.model, x)
            outputs = {"predict_y": labels}
            if probabilities is not None:
                outputs["probabilities"] = self._order(probabilities)
        for array in outputs.values():
            _check_finite(array)
        return outputs

    def _order(self, probabilities: NDArray[Any]) -> NDArray[Any]:
        """Put the columns, which scikit-learn's classifiers sort, into the order of `classes`."""
        names = getattr(self.model, "classes_", None)
        if names is None:
            return probabilities
        sorted_, classes = np.asarray(names).tolist(), list(self._spec.classes or ())
        if sorted_ == classes:
            return probabilities
        return probabilities[:, [sorted_.index(label) for label in classes]]

    def is_finite(self) -> bool:
        """Return whether the estimator holds finite numbers only."""
        return has_finite_numbers(self.model)

    def state(self) -> dict[str, Any]:
        """The estimator, the label that came last; if they are wanted, classes so far and waiting records."""
        state = {"model": self.model, "last": self._last_label}
        if self._open is not None:
            state["classes"] = list(self._open.labels)
        if self._waiting is not None:
            state["waiting"] = self._waiting.state()
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` has returned."""
        self.model, self._last_label = state["model"], state["last"]
        if self._open is not None:
            self._open = OpenClasses(state["classes"], self._open.most)
        if self._spec.labels_later is not None:
            self._waiting = WaitingRecords.of(self._spec.labels_later.most, state["waiting"])

    def _features(self, records: Sequence[Any]) -> NDArray[Any]:
        """The chunk's features; learning takes those that predicting has made."""
        if self._predicted is None or self._predicted[0] is not records:
            self._predicted = records, self._features_of(records)
        return self._predicted[1]

    def _features_of(self, records: Sequence[Any]) -> NDArray[Any]:
        """Make features; refuse those that are not finite, unless the estimator takes missing values."""
        x = self._spec.features(records)
        if x.dtype.kind == "f" and not np.isfinite(x).all() and not self._takes_missing_values():
            row, column = np.argwhere(~np.isfinite(x))[0]
            raise BadRecord(f"feature {column} is {x[row, column]}, not a finite number")
        return x

    def _takes_missing_values(self) -> bool:
        estimator = self._spec.estimator(**self.parameters) if self.model is None else self.model
        tags = estimator.__sklearn_tags__() if hasattr(estimator, "__sklearn_tags__") else None
        return tags is None or bool(tags.input_tags.allow_nan)

    def _label(self, record: Any) -> Any:
        """Return a record's label as the classes have it: True may stand for 1."""
        label = self._label_of(record)
        if label is None or self._class_of is None or self._open is not None:
            return label
        return self._class_of[label]

    def _predict(self, x: NDArray[Any]) -> list[Answer]:
        if self._open is not None:
            labels, _ = self._open.classify(self.model, x)
            return [{"predict_y": label} for label in labels]
        return _list_answers(self.model.predict(x))

    def _partial_fit(self, x: NDArray[Any], labels: NDArray[Any]) -> None:
        if self.model is None:
            self.model = self._spec.estimator(**self.parameters)
        if self._open is not None:
            slots = self._open.find_slots(labels.tolist())
            self.model.partial_fit(x, slots, classes=np.arange(self._open.most))
        elif self._spec.classes is None:
            self.model.partial_fit(x, labels)
        else:
            self.model.partial_fit(x, labels, classes=np.array(self._spec.classes))

    def _score(self, truths: list[Any], predictions: list[Any]) -> None:
        if self._spec.classes is not None:
            self.score.add(truths, predictions)
            return
        for truth, predicted in zip(truths, predictions, strict=True):
            if predicted is not None and self._last_label is not None:
                self.score.add(truth=truth, predicted=predicted, baseline=self._last_label)
            self._last_label = float(truth)

    def _check_trained(self) -> None:
        if self.model is None:
            raise NoModel("no labelled record has been learned yet")


def _list_answers(predicted: NDArray[Any]) -> list[Answer]:
    """Return predictions, shape (n,), as answers."""
    _check_finite(predicted)
    return [{"predict_y": label} for label in predicted.tolist()]


def _check_finite(array: NDArray[Any]) -> None:
    """Raise `BadRecord` if a prediction holds a number that is not finite."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadRecord("the model predicts a number that is not finite")
