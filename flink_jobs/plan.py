"""A job as `submit.py` hands it to the program `learn.py`."""

import msgspec

from streamlearn.stream.lineage import Lineage

PLAN_VARIABLE = "STREAMLEARN_JOB_PLAN"
"""The variable in which a plan travels, as JSON; on a command line it would show Kafka's password."""


class Plan(msgspec.Struct, frozen=True):
    """A job, ready to be handed to Flink."""

    lineage: Lineage
    parallelism: int
    """How many workers share its partitions."""
    settings: dict[str, str]
    """Variables with the workers' settings; none if they have their own. Passwords are among them."""
    options: dict[str, str]
    """Flink's options."""
    statements: list[str]
    """SQL statements in the order in which they are executed; the last one runs for ever."""


class JobPlan(msgspec.Struct, frozen=True):
    """Any other job with a Python function, as its program gets it."""

    settings: dict[str, str]
    """As in `Plan`."""
    options: dict[str, str]
    statements: list[str]
