"""The program that `flink run` executes: from the topics that rules are about to those that they write.

`job.py` calls it, with the job's plan in the environment.
"""

import msgspec
from pyflink.table import EnvironmentSettings, TableEnvironment

from flink_jobs.plan import PLAN_VARIABLE, JobPlan
from flink_jobs.rules.route import route_function
from streamlearn.settings import inherit_env


def main() -> None:
    """Submit the job; with `flink run --detached` this returns once Flink has accepted it."""
    plan = msgspec.json.decode(inherit_env()[PLAN_VARIABLE], type=JobPlan)
    table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for key, value in plan.options.items():
        table.get_config().set(key, value)
    table.create_temporary_system_function("route", route_function(plan.settings))
    for statement in plan.statements:
        table.execute_sql(statement)


if __name__ == "__main__":
    main()
