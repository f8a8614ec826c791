"""What `streamlearn verify` needs from outside, and what it says at the end."""

from collections.abc import Iterator

from streamlearn.errors import NothingToCompare
from streamlearn.lineage import Lineage
from streamlearn.pipeline import Pipeline
from streamlearn.settings import Settings
from streamlearn.store import Store
from streamlearn.verify import Report
from topics import lineages
from topics.stream import KafkaStream


def collected(settings: Settings, pipeline: Pipeline) -> tuple[Lineage, dict[int, bytes], KafkaStream]:
    """Return the newest lineage, the versions that Redis keeps of it, and its stream.

    Raises
    ------
    NothingToCompare
        The pipeline has never been trained, or its lineage was ended and its versions deleted.
    """
    lineage = lineages.current(settings, pipeline)
    if lineage is None:
        raise NothingToCompare(f"{pipeline.name} has never been trained; `streamlearn train {pipeline.name}`")
    if lineage.ended:
        raise NothingToCompare(
            f"lineage {lineage.id} was ended and its versions deleted;"
            f" `streamlearn train {pipeline.name}` begins another"
        )
    store = Store.of(settings)
    try:
        found = {
            v: store.snapshot(pipeline.name, lineage.id, v) for v in store.versions(pipeline.name, lineage.id)
        }
    finally:
        store.close()
    snapshots = {version: data for version, data in found.items() if data is not None}
    return lineage, snapshots, KafkaStream(settings, pipeline)


def words(report: Report, seconds: float) -> Iterator[str]:
    """The report as lines for people."""
    begun = (
        "the lineage's start" if report.begun_from is None else f"the snapshot of version {report.begun_from}"
    )
    yield f"{report.pipeline}: lineage {report.lineage}, offsets {report.start} to {report.end}, from {begun}"
    for note in report.notes:
        yield f"  note: {note}"
    yield f"  records     {report.records} answered: {report.predictions} predictions, " + (
        f"{report.dead_letters} dead letters, {report.controls} control records obeyed"
    )
    yield f"  chunks      {report.chunks} steps of predicting, then learning"
    yield f"  versions    {report.snapshots} in Redis compared: model, window and scores"
    if report.unanswered:
        yield f"  not yet     {report.unanswered} offsets have no committed answer yet"
    yield f"  took        {seconds:.1f} s"
    for difference in report.differences:
        yield f"✗ offset {difference.offset}: {difference.kind}: {difference.detail}"
    if report.different > len(report.differences):
        yield f"✗ … and {report.different - len(report.differences)} more"
    if report.different:
        yield f"✗ {report.different} differences; the first at offset {report.differences[0].offset}"
    elif report.nothing:
        yield f"? nothing to compare: {report.nothing}"
    else:
        yield "✓ everything is equal"
