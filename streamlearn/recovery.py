"""The learner that goes on at an offset: what a job does first after any start.

The first record that Flink hands over says where it resumed. The learner that goes on there has learned
every record of the lineage below that offset and none after it; snapshots above it belong to predictions
that were never committed, and are forgotten.
"""

from collections.abc import Callable

from streamlearn import checkpoint
from streamlearn.errors import LineageError
from streamlearn.learner import Learner
from streamlearn.lineage import Lineage
from streamlearn.pipeline import Pipeline
from streamlearn.store import Writer


def resume(
    pipeline: Pipeline,
    lineage: Lineage,
    offset: int,
    writer: Writer,
    holds_records: Callable[[int, int], bool],
) -> Learner:
    """Return the learner as it was before the record at `offset`.

    Parameters
    ----------
    offset
        That of the first record handed over.
    holds_records
        Whether Kafka holds any input record in [start, end): offsets have holes, where transaction markers
        stood or compaction took a record, and a hole is no loss.

    Raises
    ------
    LineageError
        No snapshot joins up with `offset`. Starting anew in silence would lose what was learned.
    SnapshotRefused
        The snapshot that joins up cannot be read.
    """
    writer.drop_after(offset)
    versions = writer.versions()
    version = versions[-1] if versions else lineage.start
    if holds_records(version, offset):
        raise LineageError(
            f"{pipeline.name} resumes at offset {offset}, but the newest model of lineage {lineage.id} that"
            f" Redis holds has learned only up to {version}; `streamlearn train {pipeline.name} --fresh`"
            " starts a new lineage"
        )
    if not versions:
        return Learner(pipeline, lineage.parameters, lineage.start)
    data = writer.read(version)
    assert data is not None, "a version is listed and dropped with its bytes in one step"
    return checkpoint.loads(data, pipeline, lineage.id)
