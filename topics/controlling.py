"""Changing a lineage from outside, by control records in its input topic: an earlier version, other lags."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from streamlearn import checkpoint, control, lag_choice, lag_sets
from streamlearn.errors import LineageError, NoModel
from streamlearn.forecast import ForecastLearner
from streamlearn.lag_sets import LagSet
from streamlearn.lineage import Lineage
from streamlearn.pipeline import Pipeline
from streamlearn.recovery import Recovery
from streamlearn.settings import Settings
from streamlearn.store import Store
from topics import lineages
from topics.client import producer
from topics.stream import KafkaStream


class _Snapshots:
    """The store as recovery reads it."""

    def __init__(self, store: Store, pipeline: str, lineage: str) -> None:
        self._store, self._pipeline, self._lineage = store, pipeline, lineage

    def versions(self) -> list[int]:
        """Return the versions that are kept, ascending."""
        return list(self._store.versions(self._pipeline, self._lineage))

    def read(self, version: int) -> bytes | None:
        """Return a snapshot's bytes, or None."""
        return self._store.snapshot(self._pipeline, self._lineage, version)


def roll_back(settings: Settings, pipeline: Pipeline, version: int, *, wait_s: float) -> Iterator[str]:
    """Send the control record that lets learning go on from `version`; say how it went.

    Raises
    ------
    LineageError
        There is no such version, or the job has refused.
    BadSetting
        There is no key to sign with.
    """
    lineage = _open(settings, pipeline)
    order = control.sign(control.Rollback(lineage.id, version), settings.checkpoint_key)
    _check_there(settings, pipeline, lineage, version)
    offset = _sent(settings, pipeline, order)
    yield f"asked at offset {offset} to go on from version {version}"
    if _obeyed(settings, pipeline, lineage, offset, wait_s):
        yield f"version {offset + 1} is version {version} again"
    else:
        yield _late(wait_s)


def use_lags(
    settings: Settings, pipeline: Pipeline, chosen: Mapping[str, Sequence[int]], *, wait_s: float
) -> Iterator[str]:
    """Send the control record that lets forecasts be made from other lags; say how it went.

    Raises
    ------
    BadLags
        The pipeline cannot take these.
    LineageError
        There is no open lineage, or the job has refused.
    BadSetting
        There is no key to sign with.
    """
    lineage = _open(settings, pipeline)
    how, lags = lag_choice.choosing(pipeline)
    asked = LagSet.of(lags.series, chosen, how.length).chosen
    order = control.sign(control.Lags(lineage.id, asked), settings.checkpoint_key)
    offset = _sent(settings, pipeline, order)
    yield f"asked at offset {offset} for the lags {lag_sets.written(asked)}"
    if _obeyed(settings, pipeline, lineage, offset, wait_s):
        yield f"version {offset + 1} uses them; what was learned of those that stay is kept"
    else:
        yield _late(wait_s)


def learner(settings: Settings, pipeline: Pipeline) -> ForecastLearner:
    """Return the newest version that Redis keeps of the open lineage, whichever is served.

    Raises
    ------
    NoModel
        None is kept.
    LineageError
        There is no open lineage.
    """
    lineage, store = _open(settings, pipeline), Store.of(settings)
    for version in reversed(list(store.versions(pipeline.name, lineage.id))):
        if data := store.snapshot(pipeline.name, lineage.id, version):
            found = checkpoint.loads(data, pipeline, lineage.id, settings.checkpoint_key)
            assert isinstance(found, ForecastLearner)
            return found
    raise NoModel(f"Redis keeps no version of {pipeline.name} yet")


def _open(settings: Settings, pipeline: Pipeline) -> Lineage:
    lineage = lineages.current(settings, pipeline)
    if lineage is None or lineage.ended:
        raise LineageError(
            f"{pipeline.name} has no open lineage; `streamlearn train {pipeline.name}` opens one"
        )
    return lineage


def _sent(settings: Settings, pipeline: Pipeline, order: bytes) -> int:
    with producer(settings) as client:
        offset: int = client.send(pipeline.topic, value=order, partition=0).get(timeout=30).offset
    return offset


def _obeyed(settings: Settings, pipeline: Pipeline, lineage: Lineage, offset: int, wait_s: float) -> bool:
    """Wait until the job has answered; whether it has by then. Raises `LineageError` where it refuses."""
    with KafkaStream(settings, pipeline).journal(lineage.id, offset) as journal:
        answer = journal.take(offset, wait_s)
    if answer is not None and answer.output.topic != pipeline.control_topic:
        reason = msgspec.json.decode(answer.output.value)["reason"]
        raise LineageError(f"the job of {pipeline.name} has refused: {reason}")
    return answer is not None


def _late(wait_s: float) -> str:
    return f"no answer within {wait_s:.0f} s: it will be obeyed when the job gets there"


def _check_there(settings: Settings, pipeline: Pipeline, lineage: Lineage, version: int) -> None:
    snapshots = _Snapshots(Store.of(settings), pipeline.name, lineage.id)
    stream = KafkaStream(settings, pipeline)
    recovery = Recovery(
        pipeline, lineage, snapshots, stream, key=settings.checkpoint_key, wait_s=settings.journal_wait_s
    )
    recovery.state_at(version)
