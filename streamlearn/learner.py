"""The heart: predict each record, then learn from it.

A learner is the fold of its records, cut into chunks. In five lines, for one chunk of labelled records::

    y_hat = model.predict(x)            # by the model as it was before the chunk
    score.add(y, y_hat)
    model.partial_fit(x, y)
    version = offset of the chunk's last record + 1

`Rows` learns records that stand for themselves; `forecast.py` has a learner of series. Where chunks are cut,
and what is done with a learner between them, is the job's affair (`worker.py`); how one is kept is in
`checkpoint.py`. Nothing here reads a clock or an unseeded random source.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from streamlearn.errors import BadLags, NoModel
from streamlearn.scores import Accuracy, Errors, Score

ONE_BLAS_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""The environment of processes that learn; `pin_blas_threads` makes sure of it from inside."""

Answer = dict[str, Any]
"""What a learner says of one record: the fields that its prediction adds to it."""


def pin_blas_threads() -> None:
    """Let this process compute with one BLAS thread: sums in another order are other sums."""
    threadpool_limits(limits=1)


class Learner(ABC):
    """Something that is learned from a stream, its version and its prequential score.

    Attributes
    ----------
    version
        The learner has learned every labelled record with an offset below this one, and no other.
    parameters
        What it was made with; fixed with the lineage.
    """

    score: Score
    one_by_one = False
    """Whether a record can only be predicted once the one before it has been learned."""

    def __init__(self, parameters: Mapping[str, Any], version: int) -> None:
        self.parameters = dict(parameters)
        self.version = version

    def test_then_train(self, records: Sequence[Any], version: int) -> list[Answer]:
        """Predict a chunk, score it, learn it, and move on to `version`.

        Parameters
        ----------
        records
            The chunk's valid records in order of offset; may be empty. Those without a label are predicted
            and not learned.
        version
            The offset after the chunk's last record, valid or not.
        """
        if version <= self.version:
            raise ValueError(f"version {version} does not come after {self.version}")
        answers: list[Answer] = []
        for part in self._parts(records):
            said = self.predict(part)
            self.learn(part, said)
            answers += said
        self.version = version
        return answers

    def use_lags(self, chosen: Mapping[str, Sequence[int]]) -> None:
        """Make features from these lags of these series from now on.

        Raises
        ------
        BadLags
            It has none to choose, or not these; nothing has changed.
        """
        raise BadLags("this pipeline does not choose its lags")

    def objection(self, record: Any) -> str | None:
        """Say why a valid record cannot be taken after those before; None if it can."""
        return None

    @property
    @abstractmethod
    def trained(self) -> bool:
        """Whether there is a model to answer with."""

    @abstractmethod
    def predict(self, records: Sequence[Any]) -> list[Answer]:
        """Answer the stream's next records, by the models as they are; nothing changes by it."""

    @abstractmethod
    def learn(self, records: Sequence[Any], answers: Sequence[Answer]) -> None:
        """Score what `predict` has said of the stream's next records, then learn them."""

    @abstractmethod
    def answer(self, records: Sequence[Any]) -> list[Answer]:
        """Answer records that are not of the stream.

        Raises
        ------
        NoModel
            Nothing has been learned yet.
        """

    def outputs(self, records: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """Answer records that are not of the stream, as arrays by name; the first axis counts the answers.

        Raises
        ------
        NoModel
            Nothing has been learned yet.
        """
        answers = self.answer(records)
        return {name: np.array([answer[name] for answer in answers]) for name in answers[0]}

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything that decides what comes next, but for the score: estimators and arrays by name."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` has returned."""

    def _parts(self, records: Sequence[Any]) -> list[Sequence[Any]]:
        if self.one_by_one:
            return [records[row : row + 1] for row in range(len(records))]
        return [records] if records else []


@dataclass(frozen=True)
class Rows:
    """How to learn records that stand for themselves: features, a label, an estimator with `partial_fit`.

    With `classes` it is a classification, scored by accuracy; without, a regression, whose baseline predicts
    the label that came last.
    """

    features: Callable[[Sequence[Any]], NDArray[np.float64]]
    """n records → array (n, n_features); the same call serves training and predicting."""
    label: Callable[[Any], Any]
    """One record → its label, or None where it has none."""
    estimator: Callable[..., Any]
    """Parameters → a new estimator."""
    classes: tuple[Any, ...] | None = None
    """Every class that a label can have; None for a regression."""

    answers = ("predict_y",)
    chunk_rows = None

    @property
    def label_field(self) -> str | None:
        """The field of a record that `label` returns, if it is one field as it stands."""
        asked = _Asked()
        with suppress(Exception):
            found = self.label(asked)
            return asked.names[0] if found is asked.names else None
        return None

    def new(self, parameters: Mapping[str, Any], version: int) -> "RowLearner":
        """Make a learner that has learned nothing."""
        return RowLearner(self, parameters, version)


class _Asked:
    """Stands in for a record, and keeps the names of the fields that it is asked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __getattr__(self, name: str) -> list[str]:
        self.names.append(name)
        return self.names


class RowLearner(Learner):
    """Learns as its `Rows` say; answers `{"predict_y": …}`, null before the first labelled record."""

    def __init__(self, how: Rows, parameters: Mapping[str, Any], version: int) -> None:
        super().__init__(parameters, version)
        self._how = how
        self.score: Any = Errors() if how.classes is None else Accuracy.of(how.classes)
        self.model: Any = None
        self._last: float | None = None
        self._seen: tuple[Sequence[Any], NDArray[np.float64]] | None = None

    @property
    def trained(self) -> bool:
        """Whether a labelled record has been learned."""
        return self.model is not None

    def predict(self, records: Sequence[Any]) -> list[Answer]:
        """Predict the records' labels, null while nothing has been learned."""
        predictions = [None] * len(records) if self.model is None else self._predict(self._features(records))
        return [{"predict_y": prediction} for prediction in predictions]

    def learn(self, records: Sequence[Any], answers: Sequence[Answer]) -> None:
        """Score and learn the records that have a label."""
        labels = [self._how.label(record) for record in records]
        rows = [row for row, label in enumerate(labels) if label is not None]
        if rows:
            truths = [labels[row] for row in rows]
            self._add_to_score(truths, [answers[row]["predict_y"] for row in rows])
            self._learn(self._features(records)[rows], np.array(truths))
        self._seen = None

    def answer(self, records: Sequence[Any]) -> list[Answer]:
        """Predict the records' labels."""
        if self.model is None:
            raise NoModel("no labelled record has been learned yet")
        return [{"predict_y": y} for y in self._predict(self._how.features(records))]

    def outputs(self, records: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """`predict_y`, shape (n,), and `probabilities`, shape (n, n_classes), if the estimator has them."""
        if self.model is None:
            raise NoModel("no labelled record has been learned yet")
        x = self._how.features(records)
        found = {"predict_y": np.asarray(self.model.predict(x))}
        if self._how.classes is not None and hasattr(self.model, "predict_proba"):
            found["probabilities"] = np.asarray(self.model.predict_proba(x))
        return found

    def state(self) -> dict[str, Any]:
        """The estimator, and the label that came last."""
        return {"model": self.model, "last": self._last}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` has returned."""
        self.model, self._last = state["model"], state["last"]

    def _features(self, records: Sequence[Any]) -> NDArray[np.float64]:
        """The chunk's features; learning takes those that predicting has made."""
        if self._seen is None or self._seen[0] is not records:
            self._seen = records, self._how.features(records)
        return self._seen[1]

    def _predict(self, x: NDArray[np.float64]) -> list[Any]:
        predicted: list[Any] = self.model.predict(x).tolist()
        return predicted

    def _learn(self, x: NDArray[np.float64], y: NDArray[Any]) -> None:
        if self.model is None:
            self.model = self._how.estimator(**self.parameters)
        if self._how.classes is None:
            self.model.partial_fit(x, y)
        else:
            self.model.partial_fit(x, y, classes=np.array(self._how.classes))

    def _add_to_score(self, truths: list[Any], predictions: list[Any]) -> None:
        if self._how.classes is not None:
            self.score.add(truths, predictions)
            return
        for truth, predicted in zip(truths, predictions, strict=True):
            if predicted is not None and self._last is not None:
                self.score.add(truth=truth, predicted=predicted, baseline=self._last)
            self._last = float(truth)
