"""Change a lineage while it learns, by control records in its input topic: an earlier version, other lags."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.register import LineageRegister
from streamlearn.engine.recovery import Recovery
from streamlearn.errors import LineageError, NoModel
from streamlearn.lags.lag_sets import LagSet, format_lags
from streamlearn.learning.learner import Learner
from streamlearn.operations.lag_choice import require_lags
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.stream import control
from streamlearn.stream.lineage import Lineage


class _StoredSnapshots:
    """The snapshots of one lineage in Redis, for recovery."""

    def __init__(self, store: Store, pipeline: str, lineage: str) -> None:
        self._store, self._pipeline, self._lineage = store, pipeline, lineage

    def versions(self) -> list[int]:
        """Return the versions that are kept, ascending."""
        return list(self._store.versions(self._pipeline, self._lineage))

    def read(self, version: int) -> bytes | None:
        """Return a snapshot's bytes, or None where it is not kept."""
        return self._store.snapshot(self._pipeline, self._lineage, version)


def roll_back(settings: Settings, pipeline: Pipeline, version: int, *, wait_s: float) -> Iterator[str]:
    """Order by a control record that learning goes on from `version`; yield lines about what happens.

    Raises
    ------
    LineageError
        There is no such version or no open lineage, or the job has refused.
    BadSetting
        There is no key to sign with.
    """
    with Broker(settings) as broker:
        lineage = _open_lineage(broker, pipeline)
        order = control.sign(control.Rollback(lineage.id, version), settings.checkpoint_key)
        _check_version_exists(broker, pipeline, lineage, version)
        offset = broker.send(pipeline.topic, order)
        yield f"the order to go on from version {version} is at offset {offset}"
        if _wait_until_obeyed(broker, pipeline, lineage, offset, wait_s):
            yield f"version {offset + 1} is version {version} again"
        else:
            yield _describe_wait(wait_s)


def use_lags(
    settings: Settings, pipeline: Pipeline, lags_by_series: Mapping[str, Sequence[int]], *, wait_s: float
) -> Iterator[str]:
    """Order by a control record that forecasts are made from other lags; yield lines about what happens.

    Raises
    ------
    BadLags
        The pipeline cannot use these lags.
    LineageError
        There is no open lineage, or the job has refused.
    BadSetting
        There is no key to sign with.
    """
    with Broker(settings) as broker:
        lineage = _open_lineage(broker, pipeline)
        series, first_lags = require_lags(pipeline)
        lags = LagSet.of(first_lags.series, lags_by_series, series.window_length).chosen
        order = control.sign(control.Lags(lineage.id, lags), settings.checkpoint_key)
        offset = broker.send(pipeline.topic, order)
        yield f"the order to use the lags {format_lags(lags)} is at offset {offset}"
        if _wait_until_obeyed(broker, pipeline, lineage, offset, wait_s):
            yield f"version {offset + 1} uses them; what was learned of those that stay is kept"
        else:
            yield _describe_wait(wait_s)


def newest_learner(settings: Settings, pipeline: Pipeline) -> Learner:
    """Return the newest version of the open lineage that Redis keeps; another may be served.

    Raises
    ------
    NoModel
        Redis keeps none.
    LineageError
        There is no open lineage.
    """
    with Broker(settings) as broker:
        lineage = _open_lineage(broker, pipeline)
    store = Store.of(settings)
    for version in reversed(list(store.versions(pipeline.name, lineage.id))):
        if data := store.snapshot(pipeline.name, lineage.id, version):
            return snapshot.loads(data, pipeline, lineage.id, settings.checkpoint_key)
    raise NoModel(f"Redis keeps no version of {pipeline.name} yet")


def _open_lineage(broker: Broker, pipeline: Pipeline) -> Lineage:
    lineage = LineageRegister(broker, pipeline).current()
    if lineage is None or lineage.ended:
        raise LineageError(
            f"{pipeline.name} has no open lineage; `streamlearn train {pipeline.name}` opens one"
        )
    return lineage


def _wait_until_obeyed(
    broker: Broker, pipeline: Pipeline, lineage: Lineage, offset: int, wait_s: float
) -> bool:
    """Wait for the job's answer; return whether it came. Raises `LineageError` where the job refuses."""
    with KafkaStream(broker, pipeline).journal(lineage.id, offset) as journal:
        answer = journal.take(offset, wait_s)
    if answer is not None and answer.output.topic != pipeline.control_topic:
        reason = msgspec.json.decode(answer.output.value)["reason"]
        raise LineageError(f"the job of {pipeline.name} has refused: {reason}")
    return answer is not None


def _describe_wait(wait_s: float) -> str:
    return f"no answer within {wait_s:.0f} s: it will be obeyed when the job gets there"


def _check_version_exists(broker: Broker, pipeline: Pipeline, lineage: Lineage, version: int) -> None:
    settings, end = broker.settings, KafkaStream(broker, pipeline).end()
    if version > end:
        raise LineageError(f"version {version} is not there yet: {pipeline.topic} ends at offset {end}")
    snapshots = _StoredSnapshots(Store.of(settings), pipeline.name, lineage.id)
    recovery = Recovery(
        pipeline,
        lineage,
        snapshots,
        KafkaStream(broker, pipeline),
        key=settings.checkpoint_key,
        wait_s=settings.journal_wait_s,
    )
    recovery.state_at(version)
