"""Get past a record that ends the job each time it is read, without losing the model.

What a pipeline's code raises sets the record aside by itself. This is for a record on which the code never
ends, or ends the whole process. The offset stands in the lineage's entry, so recovery and `verify` skip the
same record.
"""

from collections.abc import Callable

from flink_jobs.reset import cancel_live_job
from flink_jobs.submit import submit
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.operations.lock import lock_submission
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings


def skip_record(
    settings: Settings,
    pipeline: Pipeline,
    offset: int,
    partition: int = 0,
    *,
    wait_s: float,
    echo: Callable[[str], None],
) -> None:
    """Set the record at `offset` of a partition aside unread, and submit the job again.

    Raises
    ------
    LineageError
        There is no open lineage, no such record, or the record is answered already.
    JobError
        Flink does not answer, or the job does not go on.
    """
    with lock_submission(settings, pipeline), Broker(settings) as broker:
        register = LineageRegister(broker, pipeline)
        register.check_skippable(offset, partition)
        if cancel_live_job(settings, pipeline, force=False):
            echo(f"{pipeline.name}: learn cancelled")
        lineage = register.skip(offset, partition)
        where = f"offset {offset}" + (f" of partition {partition}" if len(lineage.partitions) > 1 else "")
        echo(f"lineage {lineage.id} skips the record at {where}: it becomes a dead letter")
    submit(settings, pipeline, wait_s=wait_s, echo=echo)
