"""The program that `flink run` executes: one pipeline's job, from its topic to its predictions.

`submit.py` calls it, with the job's plan in the environment. It imports no pipeline: that would take
seconds.
"""

import msgspec

from flink_jobs.learn_udf import learn_function
from flink_jobs.plan import PLAN_VARIABLE, Plan, execute_plan
from streamlearn.settings import inherit_env


def main() -> None:
    """Submit the job; with `flink run --detached` this returns once Flink has accepted it."""
    plan = msgspec.json.decode(inherit_env()[PLAN_VARIABLE], type=Plan)
    function = learn_function(plan.lineage, plan.parallelism, plan.settings)
    execute_plan(plan, "learn", function)


if __name__ == "__main__":
    main()
