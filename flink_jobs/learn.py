"""The program that `flink run` executes: one pipeline's job, from its topic to its predictions.

    flink run … -py learn.py --lineage '{"pipeline": "digits", "id": …}' --start 0

`submit.py` calls it; the lineage comes from the register and is fixed for as long as the job runs.
"""

import argparse
import sys

import msgspec
from pyflink.table import EnvironmentSettings, TableEnvironment

from flink_jobs import tables
from flink_jobs.checkpoints import checkpoint_folder
from flink_jobs.learn_udf import learn_function
from streamlearn.broker.register import group_id
from streamlearn.operations.flink_api import job_name
from streamlearn.pipelines.registry import load
from streamlearn.settings import Settings
from streamlearn.stream.lineage import Lineage

_BATCHES_PER_BUNDLE = 16


def build_options(lineage: Lineage, settings: Settings) -> dict[str, str]:
    """Return Flink's options for the job."""
    restart_ms = round(1000 * settings.restart_wait_s)
    checkpoints = (checkpoint_folder(lineage, settings) / str(lineage.epoch)).as_uri()
    return {
        "pipeline.name": job_name(lineage.pipeline),
        # One learner a partition, and one partition a pipeline.
        "parallelism.default": "1",
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        # A bundle of one batch would make the JVM and Python take turns.
        "python.fn-execution.bundle.size": str(_BATCHES_PER_BUNDLE * settings.chunk_rows),
        "python.fn-execution.bundle.time": str(settings.bundle_time_ms),
        "python.fn-execution.arrow.batch.size": str(settings.chunk_rows),
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.interval": f"{settings.checkpoint_interval_ms} ms",
        "execution.checkpointing.timeout": "10 min",
        "execution.checkpointing.tolerable-failed-checkpoints": "1000000",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.num-retained": "3",
        "execution.checkpointing.dir": checkpoints,
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": f"{min(1000, restart_ms)} ms",
        "restart-strategy.exponential-delay.max-backoff": f"{restart_ms} ms",
        # A fault an hour ago must not make the next one's recovery slow.
        "restart-strategy.exponential-delay.reset-backoff-threshold": "1 min",
    }


def main() -> None:
    """Submit the job; with `flink run --detached` this returns once Flink has accepted it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lineage", required=True, help="the lineage, as JSON")
    parser.add_argument(
        "--start", required=True, type=int, help="the first offset to read, if there is no checkpoint"
    )
    arguments = parser.parse_args()
    lineage = msgspec.json.decode(arguments.lineage, type=Lineage)
    settings, pipeline = Settings.load(), load(lineage.reference)
    table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for key, value in build_options(lineage, settings).items():
        table.get_config().set(key, value)
    table.create_temporary_system_function("learn", learn_function(lineage))
    table.execute_sql(tables.build_source_table(pipeline, settings, group_id(pipeline), arguments.start))
    table.execute_sql(tables.build_sink_table(pipeline, settings))
    table.execute_sql(tables.build_insert(pipeline))


if __name__ == "__main__":
    main()
