"""Change a lineage while it learns, by control records in its input topic: an earlier version, other lags."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.register import LineageRegister
from streamlearn.engine.recovery import Recovery
from streamlearn.errors import LineageError, NoModel, StackError
from streamlearn.lags.lag_sets import LagSet, format_lags
from streamlearn.learning.learner import Learner
from streamlearn.operations.lag_choice import require_lags
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.stream import control
from streamlearn.stream.lineage import Lineage
from streamlearn.waiting import wait_until


class _StoredSnapshots:
    """The snapshots of one lineage in Redis, for recovery."""

    def __init__(self, store: Store, pipeline: str, lineage: str, partition: int) -> None:
        self._store, self._pipeline, self._lineage = store, pipeline, lineage
        self._partition = partition

    def versions(self) -> list[int]:
        """Return the versions that are kept, ascending."""
        return list(self._store.versions(self._pipeline, self._lineage, self._partition))

    def read(self, version: int) -> bytes | None:
        """Return a snapshot's bytes, or None where it is not kept."""
        return self._store.snapshot(self._pipeline, self._lineage, version, self._partition)


def roll_back(
    settings: Settings,
    pipeline: Pipeline,
    version: int,
    partition: int | None = None,
    *,
    wait_s: float,
) -> Generator[str, None, int | None]:
    """Order by a control record that learning goes on from `version`; yield lines about what happens.

    Parameters
    ----------
    partition
        The partition whose learner goes back; the others go on. None: the lineage's only one.

    Returns
    -------
    int or None
        The version that is `version` again; None where the job has not obeyed within `wait_s` seconds.

    Raises
    ------
    LineageError
        There is no such version, partition or no open lineage, the answers before the version are not
        committed within `wait_s` seconds, or the job refused.
    BadSetting
        There is no key to sign with.
    """
    with Broker(settings) as broker:
        lineage = _open_lineage(broker, pipeline)
        partition = _choose_partition(lineage, partition)
        order = control.sign(control.Rollback(lineage.id, version), settings.checkpoint_key)
        is_committed = partial(
            LineageRegister(broker, pipeline).is_answered_below, lineage, version, partition
        )
        if not is_committed():
            _check_version_may_come(broker, pipeline, version, partition)
            yield f"waiting for the answers before version {version} to be committed"
            _wait_until_committed(is_committed, pipeline, version, wait_s)
        _check_version_exists(broker, pipeline, lineage, version, partition)
        offset = broker.send(pipeline.topic, order, partition=partition)
        where = _describe_partition(lineage, partition)
        yield f"the order to go on from version {version} is at offset {offset}{where}"
        if _wait_until_obeyed(broker, pipeline, lineage, offset, partition, wait_s):
            yield f"version {offset + 1} is version {version} again"
            return offset + 1
        yield _describe_wait(wait_s)
        return None


def use_lags(
    settings: Settings, pipeline: Pipeline, lags_by_series: Mapping[str, Sequence[int]], *, wait_s: float
) -> Iterator[str]:
    """Order by control records that forecasts are made from other lags; yield lines about what happens.

    Each partition gets the order.

    Raises
    ------
    BadLags
        The pipeline cannot use these lags.
    LineageError
        There is no open lineage, or the job refused.
    BadSetting
        There is no key to sign with.
    """
    with Broker(settings) as broker:
        lineage = _open_lineage(broker, pipeline)
        series, first_lags = require_lags(pipeline)
        lags = LagSet.of(first_lags.series, lags_by_series, series.window_length).chosen
        order = control.sign(control.Lags(lineage.id, lags), settings.checkpoint_key)
        offsets = [
            broker.send(pipeline.topic, order, partition=partition) for partition in lineage.partitions
        ]
        for partition, offset in enumerate(offsets):
            where = _describe_partition(lineage, partition)
            yield f"the order to use the lags {format_lags(lags)} is at offset {offset}{where}"
            if _wait_until_obeyed(broker, pipeline, lineage, offset, partition, wait_s):
                yield f"version {offset + 1} uses them; what was learned of those that stay is kept"
            else:
                yield _describe_wait(wait_s)


def newest_learner(settings: Settings, pipeline: Pipeline) -> Learner:
    """Return the newest version of the open lineage that Redis keeps; another may be served.

    Where the topic has several partitions, that is the newest of partition 0, which has the lags of all.

    Raises
    ------
    NoModel
        Redis keeps none.
    LineageError
        There is no open lineage.
    """
    with Broker(settings) as broker:
        lineage = _open_lineage(broker, pipeline)
    with Store.of(settings) as store:
        for version in reversed(list(store.versions(pipeline.name, lineage.id))):
            if data := store.snapshot(pipeline.name, lineage.id, version):
                return snapshot.loads(data, pipeline, lineage.id, settings.checkpoint_key)
    raise NoModel(f"Redis keeps no version of {pipeline.name} yet")


def _choose_partition(lineage: Lineage, partition: int | None) -> int:
    """Return the partition that is meant; the lineage's only one where none is named."""
    if partition is None:
        if len(lineage.partitions) > 1:
            raise LineageError(
                f"{lineage.pipeline} learns from {len(lineage.partitions)} partitions, each with versions of"
                " its own: name one with --partition"
            )
        return 0
    lineage.in_partition(partition)
    return partition


def _describe_partition(lineage: Lineage, partition: int) -> str:
    return f" of partition {partition}" if len(lineage.partitions) > 1 else ""


def _open_lineage(broker: Broker, pipeline: Pipeline) -> Lineage:
    lineage = LineageRegister(broker, pipeline).current()
    if lineage is None or lineage.ended:
        raise LineageError(
            f"{pipeline.name} has no open lineage; `streamlearn train {pipeline.name}` opens one"
        )
    return lineage


def _wait_until_obeyed(
    broker: Broker, pipeline: Pipeline, lineage: Lineage, offset: int, partition: int, wait_s: float
) -> bool:
    """Wait for the job's answer; return whether it came. Raises `LineageError` where the job refuses."""
    with KafkaStream(broker, pipeline, partition).journal(lineage.id, offset) as journal:
        answer = journal.take(offset, wait_s)
    if answer is not None and answer.output.topic != pipeline.control_topic:
        reason = msgspec.json.decode(answer.output.value)["reason"]
        raise LineageError(f"the job of {pipeline.name} refused: {reason}")
    return answer is not None


def _describe_wait(wait_s: float) -> str:
    return f"no answer within {wait_s:.0f} s: it will be obeyed when the job gets there"


def _check_version_may_come(broker: Broker, pipeline: Pipeline, version: int, partition: int) -> None:
    end = KafkaStream(broker, pipeline, partition).end()
    if version > end:
        raise LineageError(f"version {version} is not there yet: {pipeline.topic} ends at offset {end}")


def _wait_until_committed(
    is_committed: Callable[[], bool], pipeline: Pipeline, version: int, wait_s: float
) -> None:
    """Wait until no restart of the job drops a version any more."""
    try:
        wait_until(is_committed, wait_s, "answers to be committed")
    except StackError as error:
        raise LineageError(
            f"the answers before version {version} are not committed, so a restart of the job may drop it:"
            f" `streamlearn status` tells whether the job of {pipeline.name} goes on; try again then"
        ) from error


def _check_version_exists(
    broker: Broker, pipeline: Pipeline, lineage: Lineage, version: int, partition: int
) -> None:
    settings, stream = broker.settings, KafkaStream(broker, pipeline, partition)
    with Store.of(settings) as store:
        recovery = Recovery(
            pipeline,
            lineage.in_partition(partition),
            _StoredSnapshots(store, pipeline.name, lineage.id, partition),
            stream,
            key=settings.checkpoint_key,
            wait_s=settings.journal_wait_s,
        )
        try:
            recovery.state_at(version)
        except LineageError as error:
            raise LineageError(f"version {version} cannot be rebuilt: {error}") from error
