"""The program that `flink run` executes: one pipeline's job, from its topic to its predictions.

`submit.py` calls it, with the job's plan in the environment. It imports no pipeline: that would take
seconds.
"""

import msgspec
from pyflink.table import EnvironmentSettings, TableEnvironment

from flink_jobs.learn_udf import learn_function
from flink_jobs.plan import PLAN_VARIABLE, Plan
from streamlearn.settings import inherit_env


def main() -> None:
    """Submit the job; with `flink run --detached` this returns once Flink has accepted it."""
    plan = msgspec.json.decode(inherit_env()[PLAN_VARIABLE], type=Plan)
    table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for key, value in plan.options.items():
        table.get_config().set(key, value)
    table.create_temporary_system_function(
        "learn", learn_function(plan.lineage, plan.parallelism, plan.settings)
    )
    for statement in plan.statements:
        table.execute_sql(statement)


if __name__ == "__main__":
    main()
