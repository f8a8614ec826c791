"""A job as what submits it hands it to its program: `learn.py`, or `rules/program.py`."""

from typing import Any

import msgspec

from streamlearn.stream.lineage import Lineage

PLAN_VARIABLE = "STREAMLEARN_JOB_PLAN"
"""The variable in which a plan travels, as JSON; on a command line it would show Kafka's password."""


class JobPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A job with a Python function, ready to be handed to Flink."""

    settings: dict[str, str]
    """Variables with the workers' settings; none if they have their own. Passwords are among them."""
    options: dict[str, str]
    """Flink's options."""
    statements: list[str]
    """SQL statements in the order in which they are executed; the last one runs for ever."""


class Plan(JobPlan, frozen=True, kw_only=True):
    """The job that learns."""

    lineage: Lineage
    parallelism: int
    """How many workers share its partitions."""


def execute_plan(plan: JobPlan, name: str, function: Any) -> None:
    """Submit a job whose SQL calls `function` by a name; with `flink run --detached` this returns soon."""
    # What hands a plan over needs no Flink, which takes a second to import.
    from pyflink.table import EnvironmentSettings, TableEnvironment

    table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for key, value in plan.options.items():
        table.get_config().set(key, value)
    table.create_temporary_system_function(name, function)
    for statement in plan.statements:
        table.execute_sql(statement)
