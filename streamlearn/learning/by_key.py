"""The learners of several partitions as one that answers: each is asked for the keys that belong to it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import NoModel
from streamlearn.learning.learner import Answer, KeyCounts, LatestForecast, Learner
from streamlearn.learning.metrics import add_scores


class LearnersByKey(Learner):
    """Answers each record by the learner of the partition that its key belongs to; it does not learn.

    A window of a series is one question: it goes to the partition of its first record. Without records, the
    learner that has been scored on most answers. Lags and correlations are that one's, too; the score is that
    of all.

    Parameters
    ----------
    learners
        Partition → its trained learner; of some there may be none yet.
    partition_of
        A record → the partition that its key belongs to.
    partition_of_key
        A key, as text → the same.
    is_windowed
        Whether the records of a question are one window, answered once.
    """

    def __init__(
        self,
        learners: Mapping[int, Learner],
        partition_of: Callable[[Any], int],
        partition_of_key: Callable[[str], int],
        *,
        is_windowed: bool,
    ) -> None:
        self._learners = dict(learners)
        self._partition_of = partition_of
        self._partition_of_key = partition_of_key
        self._is_windowed = is_windowed
        self._best = best = max(self._learners.values(), key=lambda learner: learner.score.samples)
        super().__init__(best.parameters, sum(learner.version for learner in self._learners.values()))
        self.score = add_scores([learner.score for learner in self._learners.values()])
        self.latest, self.lags, self.correlations = best.latest, best.lags, best.correlations

    @property
    def trained(self) -> bool:
        """Whether any of them is."""
        return any(learner.trained for learner in self._learners.values())

    def predict(self, records: Sequence[Any]) -> list[Answer]:
        """Do the same as `answer`."""
        return self.answer(records)

    def answer(self, records: Sequence[Any]) -> list[Answer]:
        """Answer records that are not of the stream.

        Raises
        ------
        NoModel
            Nothing has been learned yet, or not in the partition of a key.
        """
        if self._is_windowed:
            return self._find(records).answer(records)
        answers: dict[int, Answer] = {}
        for rows, learner in self._share(records):
            answers |= zip(rows, learner.answer([records[row] for row in rows]), strict=True)
        return [answers[row] for row in range(len(records))]

    def outputs(self, records: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """Answer the same as arrays by name. Raises as `answer` does."""
        if self._is_windowed:
            return self._find(records).outputs(records)
        shares = self._share(records)
        parts = [learner.outputs([records[row] for row in rows]) for rows, learner in shares]
        in_order = np.argsort(np.concatenate([rows for rows, _ in shares]))
        return {name: np.concatenate([part[name] for part in parts])[in_order] for name in parts[0]}

    def latest_of(self, key: str) -> LatestForecast | None:
        """Return the forecast from the newest record of a key; None where nothing is kept of it."""
        learner = self._learners.get(self._partition_of_key(key))
        return None if learner is None else learner.latest_of(key)

    def count_keys(self) -> KeyCounts | None:
        """Return how many series they keep together; None where the stream has no keys."""
        counts = [keys for learner in self._learners.values() if (keys := learner.count_keys()) is not None]
        return KeyCounts(*map(sum, zip(*counts, strict=True))) if counts else None

    def learn(self, records: Sequence[Any], answers: Sequence[Answer]) -> None:
        """Raise `TypeError`: the learners of the partitions learn."""
        raise TypeError("the learners of several partitions do not learn together")

    def state(self) -> dict[str, Any]:
        """Raise `TypeError`: each learner has a state of its own."""
        raise TypeError("the learners of several partitions are stored one by one")

    def restore(self, state: dict[str, Any]) -> None:
        """Raise `TypeError`: each learner has a state of its own."""
        raise TypeError("the learners of several partitions are stored one by one")

    def _find(self, records: Sequence[Any]) -> Learner:
        """Return the learner that answers a window."""
        return self._of_partition(self._partition_of(records[0])) if records else self._best

    def _share(self, records: Sequence[Any]) -> list[tuple[list[int], Learner]]:
        """Return each learner that is asked, and the numbers of its records."""
        rows: dict[int, list[int]] = {}
        for row, record in enumerate(records):
            rows.setdefault(self._partition_of(record), []).append(row)
        return [(own, self._of_partition(partition)) for partition, own in rows.items()]

    def _of_partition(self, partition: int) -> Learner:
        learner = self._learners.get(partition)
        if learner is None:
            raise NoModel(f"partition {partition}, which this key belongs to, has learned nothing yet")
        return learner
