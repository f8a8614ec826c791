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
    may_be_lost: Callable[[int, int], bool],
) -> Learner:
    """Return the learner as it was before the record at `offset`.

    Parameters
    ----------
    offset
        That of the first record handed over.
    may_be_lost
        Whether [start, end) of the input may have held a record: offsets have holes, where transaction
        markers stood or compaction took a record, and a hole is no loss.

    Raises
    ------
    LineageError
        No snapshot joins up with `offset`. Starting anew in silence would lose what was learned.
    SnapshotRefused
        The snapshot that joins up cannot be read.
    """
    versions = [version for version in writer.versions() if version <= offset]
    version = versions[-1] if versions else lineage.start
    if may_be_lost(version, offset):
        raise LineageError(
            f"{pipeline.name} resumes at offset {offset}, but the newest model of lineage {lineage.id} that"
            f" Redis holds has learned only up to {version}; `streamlearn train {pipeline.name} --fresh`"
            " starts a new lineage"
        )
    data = writer.read(version) if versions else None
    if versions and data is None:
        raise LineageError(f"the snapshot of version {version} is listed in Redis, but its bytes are gone")
    if data is None:
        learner = pipeline.new_learner(lineage.parameters, lineage.start)
    else:
        learner = checkpoint.loads(data, pipeline, lineage.id)
    writer.drop_after(offset)
    return learner
