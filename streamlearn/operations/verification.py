"""The input of `streamlearn verify`, and its report as text."""

from collections.abc import Iterator

from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.register import LineageRegister
from streamlearn.engine.verification_report import Report
from streamlearn.errors import NothingToCompare
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage.store import Store
from streamlearn.stream.lineage import Lineage


def collect(broker: Broker, pipeline: Pipeline) -> tuple[Lineage, dict[int, bytes], KafkaStream]:
    """Return the newest lineage, the versions that Redis keeps of it, and its stream.

    Raises
    ------
    NothingToCompare
        The pipeline has never been trained, or its lineage was ended and its versions deleted.
    """
    lineage = LineageRegister(broker, pipeline).current()
    if lineage is None:
        raise NothingToCompare(f"{pipeline.name} has never been trained; `streamlearn train {pipeline.name}`")
    if lineage.ended:
        raise NothingToCompare(
            f"lineage {lineage.id} was ended and its versions deleted;"
            f" `streamlearn train {pipeline.name}` begins another"
        )
    store = Store.of(broker.settings)
    snapshots = {}
    try:
        for version in store.versions(pipeline.name, lineage.id):
            if (data := store.snapshot(pipeline.name, lineage.id, version)) is not None:
                snapshots[version] = data
    finally:
        store.close()
    return lineage, snapshots, KafkaStream(broker, pipeline)


def format_report(report: Report, seconds: float) -> Iterator[str]:
    """Yield the report as lines for people."""
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
    elif report.nothing_compared:
        yield f"? nothing to compare: {report.nothing_compared}"
    else:
        yield "✓ everything is equal"
