"""The SQL function `learn`, by which Flink calls `task.py`.

`__init__` runs where the job is submitted and keeps what is pickled; `open` runs on the worker. The function
is called for its effect, so it must not count as deterministic: Flink would be free to call it twice, or not
at all.
"""

from typing import Any

from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

from streamlearn.stream.lineage import Lineage


class Learn(ScalarFunction):  # type: ignore[misc]
    """The SQL function `learn`: columns partition, offset, value → rows (value, topic)."""

    def __init__(self, lineage: Lineage, parallelism: int, settings: dict[str, str]) -> None:
        self._lineage = lineage
        self._parallelism = parallelism
        self._settings = settings

    def is_deterministic(self) -> bool:
        """Return False: the result depends on more than the arguments."""
        return False

    def open(self, function_context: FunctionContext) -> None:
        """Connect."""
        # What learns takes seconds to import, and a submission would wait for it.
        from flink_jobs.task import LearningTask

        metrics = function_context.get_metric_group()
        self._task = LearningTask(
            self._lineage, metrics, parallelism=self._parallelism, variables=self._settings or None
        )

    def close(self) -> None:
        """Stop what runs in the background."""
        self._task.close()

    def eval(self, partition: Any, offset: Any, value: Any) -> Any:
        """Answer a batch of rows, one output row for each."""
        return self._task.answer(partition, offset, value)


def learn_function(lineage: Lineage, parallelism: int, settings: dict[str, str]) -> Any:
    """Wrap `Learn` as the SQL function `learn`, for a job of so many parallel workers.

    `settings` are the variables of theirs that travel with the job (`workers.py`).
    """
    result = DataTypes.ROW(
        [DataTypes.FIELD("value", DataTypes.BYTES()), DataTypes.FIELD("topic", DataTypes.STRING())]
    )
    return udf(
        Learn(lineage, parallelism, settings), result_type=result, func_type="pandas", deterministic=False
    )
