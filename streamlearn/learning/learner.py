"""The extension API: how a pipeline learns (`Learning`), and what learns (`Learner`).

A learner is the fold of its records, cut into chunks. In four lines, for one chunk of labelled records::

    y_hat = model.predict(x)            # by the model as it was before the chunk
    score.add(y, y_hat)
    model.partial_fit(x, y)
    version = offset of the chunk's last record + 1

`predict_then_learn` is that loop, the only one. Two kinds of learning come with streamlearn: `tabular.py`
learns records that stand for themselves, `forecasting/` a series. Where chunks are cut, and what happens
between them, is decided in `engine/`; how a learner is stored is in `storage/snapshot.py`. Nothing here reads
a clock or an unseeded random source.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, ClassVar, NamedTuple, NotRequired, Protocol, TypedDict

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlearn.errors import ChangeRefused
from streamlearn.lags.lag_sets import LagSet
from streamlearn.lags.running import RunningCorrelations
from streamlearn.learning.drivers import Driver
from streamlearn.learning.metrics import Score
from streamlearn.learning.ranges import Ranges

Answer = dict[str, Any]
"""What a learner says about one record: the fields that its prediction adds to the record's."""

Floats = NDArray[np.float64]


class Estimator(Protocol):
    """What learns from arrays, as in scikit-learn: `SGDClassifier`, `GaussianNB`, …

    `X` has shape (n_rows, n_features). A classifier's `partial_fit` is also given `classes`.
    """

    def partial_fit(self, X: ArrayLike, y: ArrayLike) -> Any:  # noqa: N803 (scikit-learn's name)
        """Learn the rows, `y` of shape (n_rows,)."""
        ...

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Predict the rows, shape (n_rows,)."""
        ...


class EstimatorFactory(Protocol):
    """What makes a new estimator from a pipeline's parameters; usually its class."""

    def __call__(self, *args: Any, **parameters: Any) -> Any:
        """Make an `Estimator` that has learned nothing."""
        ...


class LatestForecast(TypedDict):
    """The forecast from the stream's newest record."""

    ts: str
    """The record's own time, as it stands in the record."""
    forecast: dict[str, float | None]
    """Horizon in steps, as text, → the value; None where it cannot be said yet."""
    ranges: NotRequired[dict[str, dict[str, list[float]] | None]]
    """Horizon → share in percent → the range's ends, for learners whose forecasts have ranges."""


class KeyCounts(NamedTuple):
    """How many keys are kept, and how many were evicted since the lineage began."""

    kept: int
    let_go: int


class WaitingCounts(NamedTuple):
    """How many records wait for their labels, and how many were evicted since the lineage began."""

    waiting: int
    let_go: int


@dataclass(frozen=True)
class OutputField:
    """One array of `Learner.outputs`, as the Open Inference Protocol describes it."""

    name: str
    datatype: str
    """`FP64`, `INT64`, `BOOL` or `BYTES` (text)."""
    shape: tuple[int, ...]
    """−1 stands for the number of answers."""
    classes: tuple[Any, ...] = ()
    """What the columns stand for, in their order, where they are the classes of a classification."""


@dataclass(frozen=True)
class SeriesSpec:
    """What a kind of learning that forecasts tells about its series."""

    horizons: tuple[int, ...]
    """Steps ahead, ascending."""
    step: Callable[[Any], int]
    """One record → the number of its step; time runs forward."""
    value_of: Callable[[Any], float]
    """One record → the value that is forecast, in its own unit; NaN where it is missing."""
    window_length: int
    """Steps in the window that a forecast is made from."""
    lowest: float = -np.inf
    """No forecast is below this, in the value's unit."""
    ranges: Ranges = field(default_factory=Ranges)
    """By what rule its forecasts have ranges."""


class Learning(ABC):
    """How a pipeline learns. Make one of the kinds that come with streamlearn, or derive one of your own.

    It is immutable, makes learners, and declares what the rest of the program may do with them. What a kind
    does not have stays as it is here: None, or empty. Pages, server, reports and checks ask for these
    attributes only, never for the class, so a kind of your own is treated like those built in.
    """

    kind: ClassVar[str]
    """A name that never changes, whatever becomes of the class: it stands in the register of lineages."""
    answer_fields: ClassVar[tuple[str, ...]]
    """The fields that a prediction adds to its record."""
    max_chunk_rows: ClassVar[int | None] = None
    """Most records in one chunk; 1 where a record decides whether the next can be taken. None: any number."""

    classes: tuple[Any, ...] | None = None
    """Every class of a classification; None for everything else."""
    drivers: tuple[Driver, ...] = ()
    """The exogenous variables that are correlated with the value as it comes."""

    @property
    def label_field(self) -> str | None:
        """The field of a record that holds the label as it stands; None where there is no such field."""
        return None

    @property
    def fields_read(self) -> tuple[str, ...]:
        """The fields and properties of a record that are read by their names, as far as they are declared."""
        return ()

    def late_label(self, record: type[Any]) -> type[Any] | None:
        """Return the struct of records that hold a label alone, for the pipeline's record type.

        None where a label comes with its record, if at all.
        """
        return None

    def answered_record(self, record: type[Any]) -> type[Any] | None:
        """Return the struct of records that were answered before they came, where labels may come later."""
        return None

    def label_of(self, record: Any) -> Any:
        """Return a record's label, or None where it has none, or where this kind has no labels."""
        return getattr(record, self.label_field) if self.label_field else None

    def features_of(self, records: Sequence[Any]) -> NDArray[Any] | None:
        """Return the features, shape (n_records, n_features); None where a record has none by itself."""
        return None

    @property
    def key_field(self) -> str | None:
        """The field of a record, as the struct calls it, whose values must each stay in one partition.

        None where there is none; a `Pipeline` may name one besides.
        """
        return None

    @property
    def merges_by_key(self) -> bool:
        """Whether a server asks, of several learners, that of the partition which a record's key belongs to.

        Otherwise it asks what `merge` returns.
        """
        return False

    @property
    def series(self) -> SeriesSpec | None:
        """What is forecast, and how far; None for kinds that do not forecast.

        Where it is given, the records of one request are one window, answered once.
        """
        return None

    @property
    def first_lags(self) -> LagSet | None:
        """The lags that a lineage begins with; None for kinds whose lags cannot be changed."""
        return None

    @abstractmethod
    def new_learner(self, parameters: Mapping[str, Any], version: int) -> "Learner":
        """Make a learner that has learned nothing; its first record has the offset `version`."""

    def merge(self, learners: Sequence["Learner"]) -> "Learner":
        """Return what a server answers with, of trained learners that each learn a partition of a topic.

        Here that is the one that has been scored on most records. The learners are not changed.
        """
        return max(learners, key=lambda learner: learner.score.samples)

    @abstractmethod
    def definition(self) -> dict[str, Any]:
        """Return everything that decides predictions, by name: plain values, classes and functions.

        It is compared when a lineage goes on: see `streamlearn/pipelines/definition.py`. What only people see
        does not belong here.
        """

    @abstractmethod
    def output_fields(self, parameters: Mapping[str, Any]) -> list[OutputField]:
        """Describe the arrays that a learner's `outputs` returns."""


class RecentIds:
    """The ids of the newest records that were taken, by which one that is sent again is recognised.

    Of an id eight bytes are kept, of a hash: two different ones look alike once in 10¹⁹.

    Parameters
    ----------
    field
        The record's field that holds the id, as the struct calls it. A record without that field, or whose id
        is None, has none.
    most
        How many ids are kept.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> ids = RecentIds("id", most=2)
    >>> [ids.add(ids.hash_of(SimpleNamespace(id=letter))) for letter in "abaca"]
    [True, True, False, True, True]
    """

    def __init__(self, field: str, most: int) -> None:
        self.field = field
        self.most = most
        self._hashes: dict[int, None] = {}

    def hash_of(self, record: Any) -> int | None:
        """Return what is kept of a record's id; None where it has none."""
        identity = getattr(record, self.field, None)
        if identity is None or identity is msgspec.UNSET:
            return None
        return int.from_bytes(blake2b(msgspec.json.encode(identity), digest_size=8).digest(), "little")

    def add(self, key: int) -> bool:
        """Keep what `hash_of` has returned, unless it is kept already; return whether it was not.

        The oldest goes where there are too many.
        """
        if key in self._hashes:
            return False
        self._hashes[key] = None
        if len(self._hashes) > self.most:
            del self._hashes[next(iter(self._hashes))]
        return True

    def state(self) -> NDArray[np.uint64]:
        """Return all that is kept, the oldest first."""
        return np.fromiter(self._hashes, dtype=np.uint64, count=len(self._hashes))

    def restore(self, state: NDArray[np.uint64]) -> None:
        """Take over what `state` has returned."""
        self._hashes = dict.fromkeys(state.tolist())


class Learner(ABC):
    """Learns from a stream; holds what it has learned, its version and its prequential score.

    **Order of calls.** For each chunk of the stream: `rejection_reason` for each record by itself, `predict`,
    `learn` with the same list and what `predict` has returned, and then `version` is set. Between chunks
    `state` is stored; `restore` is called at most once, on a new learner, before anything else. `answer` and
    `outputs` may be called at any time, but only on a copy that is not learning (the server's).

    **Threads.** A job calls all methods on one thread. A server calls `answer` and `outputs` on many, of a
    learner that nothing else changes: they must not write to it.

    **Not promised.** How many records a chunk holds, unless `Learning.max_chunk_rows` says so; that `predict`
    is followed by `learn`; that records have labels. A learner must give the same results from the same calls
    in any process: no clock, no unseeded random source, no order of a set.

    Attributes
    ----------
    version
        The learner has learned every labelled record with an offset below this one, and no other.
    parameters
        What it was made with; fixed with the lineage.
    score
        How well its predictions were, each scored before its record was learned.
    latest
        The forecast from the newest record; None for learners that do not forecast, or not yet.
    lags
        The lags that features are made from; None where they cannot be changed.
    model
        The estimator, where it is one; None before it has learned, and for learners with none or several.
    correlations
        How each driver goes along with the value; None for learners without drivers.
    recent_ids
        The ids of the newest records; None where a record that is sent again is a record like any other. The
        pipeline sets it, the engine keeps it: `state` and `restore` need not care.
    """

    score: Score
    model: Any = None
    latest: LatestForecast | None = None
    lags: LagSet | None = None
    correlations: RunningCorrelations | None = None
    recent_ids: RecentIds | None = None
    max_chunk_rows: int | None = None
    """Most records in one call of `predict` and `learn`; see `Learning.max_chunk_rows`."""

    def __init__(self, parameters: Mapping[str, Any], version: int) -> None:
        self.parameters = dict(parameters)
        self.version = version

    @property
    def classes(self) -> tuple[Any, ...] | None:
        """The classes that have come so far, in the order of the probabilities.

        None where they are those that `Learning.classes` names.
        """
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
        """Score `answers`, which `predict` gave for the stream's next records, then learn the records."""

    @abstractmethod
    def answer(self, records: Sequence[Any]) -> list[Answer]:
        """Answer records that are not of the stream.

        Raises
        ------
        NoModel
            Nothing has been learned yet.
        """

    def latest_of(self, key: str) -> LatestForecast | None:
        """Return the forecast from the newest record of a key, as text; None where nothing is kept of it."""
        return None

    def count_keys(self) -> KeyCounts | None:
        """Return how many keys it keeps a series of; None where the stream has no keys."""
        return None

    def count_waiting(self) -> WaitingCounts | None:
        """Return how many records wait for their labels; None where labels do not come later."""
        return None

    def is_finite(self) -> bool:
        """Return whether every number that has been learned is finite.

        A record after which this is no longer so is set aside. It is called after every chunk, so it should
        be quick.
        """
        return True

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return all that decides what comes next, but for the score: estimators and arrays by name."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` has returned."""

    def outputs(self, records: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """Answer records that are not of the stream, as arrays by name; the first axis counts the answers.

        Raises
        ------
        NoModel
            Nothing has been learned yet.
        """
        answers = self.answer(records)
        return {name: np.array([answer[name] for answer in answers]) for name in answers[0]}

    def rejection_reason(self, record: Any) -> str | None:
        """Return why a valid record cannot be taken after those before, or None if it can."""
        return None

    def change_setting(self, name: str, value: Any) -> None:
        """Change a setting while learning goes on, as a control record asks; see `stream/control.py`.

        Raises
        ------
        ChangeRefused
            There is no such setting, or it cannot have this value; nothing has changed.
        """
        raise ChangeRefused(f"this pipeline does not choose its {name}")


def has_finite_numbers(estimator: Any) -> bool:
    """Return whether the arrays that an estimator, or one inside it, has learned hold finite numbers only.

    >>> from types import SimpleNamespace
    >>> has_finite_numbers(SimpleNamespace(coef_=np.array([1.0, np.inf])))
    False
    """
    for values in getattr(estimator, "__dict__", {}).values():
        if isinstance(values, np.ndarray) and values.dtype.kind == "f":
            # The sum of squares is quick, and finite wherever all are but for very large numbers.
            if not math.isfinite(np.vdot(values, values)) and not np.isfinite(values).all():
                return False
        elif hasattr(values, "partial_fit") and not has_finite_numbers(values):
            return False
    return True


Predict = Callable[[Learner, Sequence[Any]], list[Answer]]


def predict_then_learn(
    learner: Learner, records: Sequence[Any], version: int, predict: Predict | None = None
) -> list[Answer]:
    """Predict a chunk, score it, learn it, and move on to `version`; return the answers.

    It is a function, not a method: that a record is predicted before it is learned is not for a learner to
    change.

    Parameters
    ----------
    records
        The chunk's valid records in order of offset; may be empty. Those without a label are predicted and
        not learned.
    version
        The offset after the chunk's last record, valid or not.
    predict
        What calls `learner.predict`; for those who look at what that call does.
    """
    if version <= learner.version:
        raise ValueError(f"version {version} does not come after {learner.version}")
    answers: list[Answer] = []
    size = learner.max_chunk_rows or len(records) or 1
    for start in range(0, len(records), size):
        part = records[start : start + size]
        predicted = learner.predict(part) if predict is None else predict(learner, part)
        learner.learn(part, predicted)
        answers += predicted
    learner.version = version
    return answers
