"""The SQL function `route`: where a record stands and its value → the topics to which it goes.

`__init__` runs where the job is submitted and keeps what is pickled; `open` runs on the worker.
"""

from collections.abc import Iterator
from typing import Any

from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext, TableFunction, udtf


class Route(TableFunction):  # type: ignore[misc]
    """A row for each target of a record: its name, and null or, of a dead letter, the letter's bytes."""

    def __init__(self, settings: dict[str, str]) -> None:
        self._settings = settings

    def is_deterministic(self) -> bool:
        """Return False: the result depends on the log of rules as well."""
        return False

    def open(self, function_context: FunctionContext) -> None:
        """Connect, and read the rules."""
        from streamlearn.broker.broker import Broker
        from streamlearn.settings import Settings
        from streamlearn.warehouse.rules.router import Router

        self._broker = Broker(Settings.load(self._settings or None))
        self._router = Router(self._broker)

    def close(self) -> None:
        """Close the connection."""
        self._broker.close()

    def eval(
        self, topic: str, partition: int, offset: int, value: bytes | None
    ) -> Iterator[tuple[str, bytes | None]]:
        """Yield the targets of a record."""
        yield from self._router.route(topic, partition, offset, value)


def route_function(settings: dict[str, str]) -> Any:
    """Wrap `Route` as the SQL function `route`.

    `settings` are the variables of the workers that travel with the job (`flink_jobs/workers.py`).
    """
    return udtf(Route(settings), result_types=[DataTypes.STRING(), DataTypes.BYTES()], deterministic=False)
