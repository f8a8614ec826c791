"""Records that a pipeline's own code fails on: found one by one, and kept out of the model.

A feature or label function, an estimator, or the model that comes out of them may fail for a record whose
type is right: a label that is none of the classes, a logarithm of zero, a number so large that the model is
no longer finite. Such a record is set aside; it leaves no trace in the model, and its neighbours are answered
as if it had not been there.

**The rule**, the same in a job, in recovery and in `verify`: a chunk that fails is tried again from the
learner as it was before. The shortest beginning of the chunk that fails ends with the record at fault. That
one is left out, and what remains is tried again, until nothing fails. So which records are set aside follows
from the records and the cuts alone.

**What is not a record's fault** is raised: an error of this machine or of another part (`OSError`,
`MemoryError`, this project's own errors), one that comes without any record, and one after so many records in
a row that the code, not the records, must be wrong (`max_in_a_row`). What a pipeline itself says against a
record, by raising `BadRecord`, is not counted there.
"""

import copy
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from streamlearn.errors import BadRecord, PipelineFails, StreamlearnError
from streamlearn.learning.learner import Learner
from streamlearn.pipelines.base import Pipeline

Result = TypeVar("Result")

Attempt = Callable[[Learner, Sequence[Any]], list[Result]]
"""Predicts and learns records of one chunk, and moves the learner on; returns a result for each record."""

_COPY_EVERY_ROWS = 1024
"""At most this many records are relearned after a failure; copying a learner costs about as much as learning
a few."""

_REASON_CHARS = 300
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


class NotFinite(ArithmeticError):
    """A model holds, or says, a number that is none."""


class Isolation:
    """Runs the chunks of one lineage, and sets aside the records that fail.

    Parameters
    ----------
    max_in_a_row
        Most failed records in a row; None: no limit, for passes that repeat a journal.
    """

    def __init__(self, pipeline: Pipeline, max_in_a_row: int | None = None) -> None:
        self._pipeline = pipeline
        self._max_in_a_row = max_in_a_row
        self.in_a_row = 0
        """Failed records since the last good one."""
        self._base: Learner | None = None
        self._since: list[Callable[[Learner], object]] = []
        self._rows_since = 0
        self._followed: Learner | None = None
        self._is_finite = True

    def run(
        self, learner: Learner, records: Sequence[Any], attempt: Attempt[Result]
    ) -> tuple[Learner, list[Result | BadRecord]]:
        """Run a chunk; return the learner that goes on, and each record's result, or why it is set aside.

        Raises
        ------
        PipelineFails
            More records in a row fail than are allowed to.
        """
        self._follow(learner)
        try:
            results: list[Result | BadRecord] = [*self._try(learner, records, attempt)]
        except Exception as error:
            _raise_unless_of_a_record(error, records)
            learner, results = self._set_aside(records, attempt, error)
        else:
            self._remember(learner, records, attempt)
            self.in_a_row = 0 if records else self.in_a_row
        return learner, results

    def forget(self) -> None:
        """Forget the learner that was followed: it has been changed by something else than a chunk."""
        self._followed = None

    def _follow(self, learner: Learner) -> None:
        """See to it that the learner's state before the next chunk can be had again."""
        if learner is self._followed and self._rows_since < _COPY_EVERY_ROWS:
            return
        self._base, self._since, self._rows_since = self._copy(learner), [], 0
        if learner is not self._followed:
            self._followed, self._is_finite = learner, learner.is_finite()

    def _remember(self, learner: Learner, records: Sequence[Any], attempt: Attempt[Any]) -> None:
        self._since.append(lambda learner: attempt(learner, records))
        self._rows_since += max(1, len(records))
        self._followed = learner

    def _try(self, learner: Learner, records: Sequence[Any], attempt: Attempt[Result]) -> list[Result]:
        results = attempt(learner, records)
        # A lineage whose model was not finite already goes on as it began.
        if self._is_finite and not learner.is_finite():
            raise NotFinite("the model would no longer be finite")
        return results

    def _set_aside(
        self, records: Sequence[Any], attempt: Attempt[Result], error: Exception
    ) -> tuple[Learner, list[Result | BadRecord]]:
        before = self._restore()
        reasons: dict[int, BadRecord] = {}
        remaining, passing = list(range(len(records))), 0
        results: list[Result] | None = None
        while results is None:
            known, rest = passing, [records[number] for number in remaining]
            passing, error = self._find_first_failing(before, rest, known, attempt, error)
            self._count(error, follows_good=passing > known)
            reasons[remaining.pop(passing)] = BadRecord(describe(error))
            learner, rest = self._copy(before), [records[number] for number in remaining]
            try:
                results = self._try(learner, rest, attempt)
            except Exception as next_error:
                _raise_unless_of_a_record(next_error, rest)
                error = next_error
        self.in_a_row = self.in_a_row if passing == len(remaining) else 0
        self._base, self._since, self._rows_since = before, [], 0
        self._remember(learner, rest, attempt)
        in_order = iter(results)
        return learner, [reasons.get(number) or next(in_order) for number in range(len(records))]

    def _find_first_failing(
        self, before: Learner, records: Sequence[Any], passing: int, attempt: Attempt[Any], error: Exception
    ) -> tuple[int, Exception]:
        """Return how many of the records pass before the first that fails, and its error.

        It is known that the first `passing` pass, and that all together fail with `error`.
        """
        failing = len(records)
        while failing - passing > 1:
            middle = (passing + failing) // 2
            try:
                self._try(self._copy(before), records[:middle], attempt)
                passing = middle
            except Exception as earlier:
                _raise_unless_of_a_record(earlier, records[:middle])
                failing, error = middle, earlier
        return passing, error

    def _count(self, error: Exception, *, follows_good: bool) -> None:
        """Raise if code has failed on too many records in a row; what it says of a record is no failure."""
        if follows_good:
            self.in_a_row = 0
        if isinstance(error, BadRecord):
            return
        self.in_a_row += 1
        if self._max_in_a_row is not None and self.in_a_row > self._max_in_a_row:
            raise PipelineFails(
                f"the code of {self._pipeline.name} fails on every record, {self.in_a_row} in a row:"
                f" {describe(error)}; mend it, or allow more by STREAMLEARN_SET_ASIDE_IN_A_ROW"
            ) from error

    def _restore(self) -> Learner:
        """Return the followed learner as it was before the chunk that has failed."""
        assert self._base is not None
        learner = self._copy(self._base)
        for repeat in self._since:
            repeat(learner)
        return learner

    def _copy(self, learner: Learner) -> Learner:
        """Return a learner of its own that goes on exactly as this one."""
        other = self._pipeline.new_learner(learner.parameters, learner.version)
        other.restore(copy.deepcopy(learner.state()))
        other.score = copy.deepcopy(learner.score)
        if learner.recent_ids is not None and other.recent_ids is not None:
            other.recent_ids.restore(learner.recent_ids.state())
        return other


def describe(error: Exception) -> str:
    """Return an error in one line that is the same in every process.

    >>> describe(ValueError("no such thing"))
    'ValueError: no such thing'
    """
    lines = str(error).strip().splitlines()
    text = _ADDRESS.sub("0x…", lines[0] if lines else "")[:_REASON_CHARS]
    if isinstance(error, BadRecord | NotFinite):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _raise_unless_of_a_record(error: Exception, records: Sequence[Any]) -> None:
    """Raise the error again if it cannot be a record's fault."""
    own = isinstance(error, StreamlearnError) and not isinstance(error, BadRecord)
    if own or isinstance(error, OSError | MemoryError) or not records:
        raise error
