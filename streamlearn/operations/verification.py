"""The input of `streamlearn verify`, and its report as text."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.register import LineageRegister
from streamlearn.engine.verification_report import Report, combine_exit_codes
from streamlearn.engine.verify import verify
from streamlearn.errors import NothingToCompare
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage.store import Store
from streamlearn.stream.lineage import Lineage


class Subject(NamedTuple):
    """One partition of a lineage, as it is verified."""

    lineage: Lineage
    """The lineage as that of this partition alone."""
    snapshots: dict[int, bytes]
    """The versions that Redis keeps of it."""
    stream: KafkaStream


def verify_lineage(
    broker: Broker,
    pipeline: Pipeline,
    *,
    last: int | None = None,
    report_progress: Callable[[int, int, int], None] = lambda partition, at, end: None,
) -> list[Report]:
    """Verify each partition of the newest lineage, one after the other; return a report of each.

    `last` counts records of each partition. `report_progress` is called with the partition, the offset
    reached and the last offset.

    Raises
    ------
    NothingToCompare
        The pipeline has never been trained, or its lineage was ended, or Kafka holds too little of a
        partition.
    """
    lineage = require_lineage(broker, pipeline)
    reports = []
    for partition in lineage.partitions:
        subject = collect(broker, pipeline, lineage, partition)
        report = verify(
            pipeline,
            *(subject.lineage, subject.stream, subject.snapshots),
            key=broker.settings.checkpoint_key,
            last=last,
            report_progress=partial(report_progress, partition),
        )
        if len(lineage.partitions) > 1:
            report.partition = partition
        reports.append(report)
    return reports


def require_lineage(broker: Broker, pipeline: Pipeline) -> Lineage:
    """Return the newest lineage, if it is open.

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
    return lineage


def collect(broker: Broker, pipeline: Pipeline, lineage: Lineage, partition: int) -> Subject:
    """Return what of one partition is compared: no version but those whose records have committed answers."""
    # In this order: a version above what is answered by now may be one that a restart rolls back meanwhile.
    decided = LineageRegister(broker, pipeline).first_unanswered(lineage, partition)
    snapshots = {}
    with Store.of(broker.settings) as store:
        for version in store.versions(pipeline.name, lineage.id, partition):
            if version > decided:
                continue
            if (data := store.snapshot(pipeline.name, lineage.id, version, partition)) is not None:
                snapshots[version] = data
    return Subject(lineage.in_partition(partition), snapshots, KafkaStream(broker, pipeline, partition))


_TOTALS = ("predictions", "dead_letters", "controls", "chunks", "snapshots", "unanswered", "different")


def summarize(reports: Sequence[Report]) -> dict[str, Any]:
    """Return the reports of a lineage as JSON: that of its only partition, or sums and all of them."""
    first, exit_code = reports[0], combine_exit_codes(reports)
    more = {
        "exit_code": exit_code,
        "records": sum(report.records for report in reports),
        "nothing": next((report.nothing_compared for report in _find_incomplete(reports)), None),
    }
    if len(reports) == 1:
        return {**msgspec.to_builtins(first), **more}
    totals = {name: sum(getattr(report, name) for report in reports) for name in _TOTALS}
    differences = [difference for report in reports for difference in report.differences]
    return {
        "pipeline": first.pipeline,
        "lineage": first.lineage,
        **totals,
        "differences": msgspec.to_builtins(differences),
        "partitions": msgspec.to_builtins(reports),
        **more,
    }


def _find_incomplete(reports: Sequence[Report]) -> list[Report]:
    """Return the reports that lack a comparison which there should have been."""
    with_records = [report for report in reports if not report.is_empty] or list(reports)
    return [report for report in with_records if report.nothing_compared]


def format_reports(reports: Sequence[Report], seconds: float) -> Iterator[str]:
    """Yield the reports of a lineage as lines for people."""
    if len(reports) == 1:
        yield from format_report(reports[0], seconds)
        return
    for report in reports:
        yield from _format_comparisons(report)
        yield from _format_outcome(report)
    records = sum(report.records for report in reports)
    yield f"{len(reports)} partitions: {records} records answered, in {seconds:.1f} s"
    different = sum(report.different for report in reports)
    if different:
        yield f"✗ {different} differences"
    elif incomplete := _find_incomplete(reports):
        yield f"? nothing to compare in partition {incomplete[0].partition}: {incomplete[0].nothing_compared}"
    else:
        yield "✓ everything is equal"


def format_report(report: Report, seconds: float) -> Iterator[str]:
    """Yield the report of a lineage's only partition as lines for people."""
    yield from _format_comparisons(report)
    yield f"  took        {seconds:.1f} s"
    yield from _format_outcome(report)


def _format_comparisons(report: Report) -> Iterator[str]:
    """Yield what was compared."""
    begun = (
        "the lineage's start" if report.begun_from is None else f"the snapshot of version {report.begun_from}"
    )
    where = "" if report.partition is msgspec.UNSET else f"partition {report.partition}, "
    offsets = f"offsets {report.start} to {report.end}"
    yield f"{report.pipeline}: lineage {report.lineage}, {where}{offsets}, from {begun}"
    if report.origin:
        yield f"  begins from {report.origin}: learned again first"
    for note in report.notes:
        yield f"  note: {note}"
    yield f"  records     {report.records} answered: {report.predictions} predictions, " + (
        f"{report.dead_letters} dead letters, {report.controls} control records obeyed"
    )
    yield f"  chunks      {report.chunks} steps of predicting, then learning"
    yield f"  versions    {report.snapshots} in Redis compared: model, window and scores"
    if report.unanswered:
        yield f"  not yet     {report.unanswered} offsets have no committed answer yet"


def _format_outcome(report: Report) -> Iterator[str]:
    """Yield how it came out."""
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
