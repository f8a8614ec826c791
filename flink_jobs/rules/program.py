"""The program that `flink run` executes: from the topics that rules are about to those that they write.

`job.py` calls it, with the job's plan in the environment.
"""

import msgspec

from flink_jobs.plan import PLAN_VARIABLE, JobPlan, execute_plan
from flink_jobs.rules.route import route_function
from streamlearn.settings import inherit_env


def main() -> None:
    """Submit the job; with `flink run --detached` this returns once Flink has accepted it."""
    plan = msgspec.json.decode(inherit_env()[PLAN_VARIABLE], type=JobPlan)
    execute_plan(plan, "route", route_function(plan.settings))


if __name__ == "__main__":
    main()
