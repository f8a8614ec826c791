"""The heart: predict each record, then learn from it.

A learner is the fold of its records, cut into chunks. In five lines, for one chunk of labelled records::

    y_hat = model.predict(x)            # by the model as it was before the chunk
    score.add(y, y_hat)
    model.partial_fit(x, y, classes)
    version = offset of the chunk's last record + 1

Where chunks are cut, and what is done with a learner between them, is the job's affair (`flink_jobs`);
how one is kept is in `checkpoint.py`. Nothing here reads a clock or an unseeded random source.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from streamlearn.errors import NoModel
from streamlearn.pipeline import Pipeline
from streamlearn.scores import Accuracy

ONE_BLAS_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""The environment of processes that learn; `pin_blas_threads` makes sure of it from inside."""


def pin_blas_threads() -> None:
    """Let this process compute with one BLAS thread: sums in another order are other sums."""
    threadpool_limits(limits=1)


class Learner:
    """A classifier that is learned from a stream, its version and its prequential score.

    Attributes
    ----------
    version
        The model has learned every labelled record with an offset below this one, and no other.
    model
        The fitted estimator; None before the first labelled record.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        parameters: Mapping[str, Any],
        version: int,
        *,
        model: Any = None,
        score: Accuracy | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.parameters = dict(parameters)
        self.version = version
        self.model = model
        self.score = score or Accuracy()

    def test_then_train(self, records: Sequence[Any], version: int) -> list[int | None]:
        """Predict a chunk, score it, learn it, and move on to `version`.

        Parameters
        ----------
        records
            The chunk's valid records in order of offset; may be empty. Those without a label are predicted
            and not learned.
        version
            The offset after the chunk's last record, valid or not.

        Returns
        -------
        list
            The predicted class of each record; None where there was no model yet.
        """
        if version <= self.version:
            raise ValueError(f"version {version} does not come after {self.version}")
        predictions: list[int | None] = []
        if records:
            x = self.pipeline.features(records)
            predictions = [None] * len(records) if self.model is None else self.predict(x)
            self._learn(x, [self.pipeline.label(record) for record in records], predictions)
        self.version = version
        return predictions

    def predict(self, x: NDArray[np.float64]) -> list[int | None]:
        """Classes of n rows of features, shape (n, n_features).

        Raises
        ------
        NoModel
            Nothing has been learned yet.
        """
        if self.model is None:
            raise NoModel(f"{self.pipeline.name} has learned no record yet")
        predicted: list[int | None] = self.model.predict(x).tolist()
        return predicted

    def _learn(
        self, x: NDArray[np.float64], labels: list[int | None], predictions: Sequence[int | None]
    ) -> None:
        rows = [row for row, label in enumerate(labels) if label is not None]
        if not rows:
            return
        truths = [label for label in labels if label is not None]
        self.score.add(truths, [predictions[row] for row in rows])
        if self.model is None:
            self.model = self.pipeline.estimator(**self.parameters)
        self.model.partial_fit(x[rows], np.array(truths), classes=np.array(self.pipeline.classes))
