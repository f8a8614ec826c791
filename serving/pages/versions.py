"""The versions and the lineages of a pipeline, side by side: what their page shows, and its form offers."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from serving.state.model_cache import ModelCache
from serving.state.poller import Poller
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister, LineageSummary
from streamlearn.errors import NoModel, StreamlearnError
from streamlearn.operations.verdict import Clause, describe_duration
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Head, VersionInfo, merge_heads

T = TypeVar("T")

_NEWEST_ROWS = 4
"""How many of the newest versions are all shown; of the older ones, one at each doubling of the distance."""

_CONNECT_MS = 2000

Infos = Mapping[int, VersionInfo]
"""The versions of a partition that are kept, ascending, and what is known of each."""


@dataclass(frozen=True)
class VersionRow:
    """One version: of several partitions, one of each."""

    name: str
    """As in the path of a request: a number, or those of the partitions, as in `120.-.95`."""
    title: str
    age: Clause
    """How long ago it was written."""
    samples: int
    score: dict[str, float | None]
    served: bool
    pinned: bool


@dataclass(frozen=True)
class LineageRow:
    """One lineage, and what its newest version that is kept was worth."""

    id: str
    begun: Clause
    submissions: int
    ended: bool
    starts: str
    settings: list[tuple[str, str]]
    """What decides its predictions: revision, parameters, and what it began from, where not from nothing."""
    samples: int
    score: dict[str, float | None]


class LineageReader:
    """Knows the lineages of each pipeline; reads them in the background while somebody asks. Thread-safe."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._pollers: dict[str, Poller[list[LineageRow]]] = {}

    def list_rows(self, pipeline: Pipeline) -> list[LineageRow]:
        """Return the lineages, the newest first; none before they have been read, or while Kafka is away."""
        if pipeline.name not in self._pollers:
            self._pollers[pipeline.name] = Poller(
                lambda: self._read(pipeline), [], every_s=5.0, first_wait_s=1.0, idle_s=30.0
            )
        return self._pollers[pipeline.name].get()

    def stop(self) -> None:
        """End reading for good."""
        for poller in self._pollers.values():
            poller.stop()

    def _read(self, pipeline: Pipeline) -> list[LineageRow]:
        try:
            with Broker(self._settings, connect_ms=_CONNECT_MS) as broker:
                summaries = LineageRegister(broker, pipeline).summarize_lineages()
            return [self._make_row(summary) for summary in reversed(summaries)]
        except StreamlearnError:
            return []

    def _make_row(self, summary: LineageSummary) -> LineageRow:
        lineage = summary.lineage
        infos = [self._store.versions(lineage.pipeline, lineage.id, k) for k in lineage.partitions]
        newest = [list(of_partition.values())[-1] for of_partition in infos if of_partition]
        origin = lineage.origin
        settings = {
            **({"revision": lineage.definition["revision"]} if "revision" in lineage.definition else {}),
            **lineage.parameters,
            **({"origin": origin.topic} if origin else {}),
        }
        return LineageRow(
            lineage.id,
            describe_duration(time.time() - summary.begun_s),
            summary.submissions,
            lineage.ended,
            ", ".join(f"{start:,}" for start in lineage.starts),
            [(name, str(value)) for name, value in settings.items()],
            sum(info.samples for info in newest),
            merge_scores(newest),
        )


def list_versions(models: ModelCache) -> list[VersionRow]:
    """Return the versions to choose from, the newest first, and the one that is served.

    Raises
    ------
    StoreUnavailable
        Redis does not answer.
    """
    try:
        served = models.current()
    except NoModel:
        return []
    count = max(1, len(served.head.parts))
    infos = [models.versions(partition) for partition in range(count)]
    rows = [_make_row(head, score, served.head) for head, score in combine_versions(models.lineage, infos)][
        ::-1
    ]
    if not any(row.served for row in rows):
        # A pinned version has a copy of its own: it may be of another lineage, or not kept otherwise.
        rows.append(_make_row(served.head, served.learner.score.summary(), served.head))
    return thin_rows(rows, lambda row: row.served)


def thin_rows(rows: Sequence[T], is_kept: Callable[[T], bool]) -> list[T]:
    """Return the first rows, one at each doubling of the distance from there, and those to keep."""
    return [row for n, row in enumerate(rows) if n < _NEWEST_ROWS or n & (n - 1) == 0 or is_kept(row)]


def list_figures(scores: Sequence[Mapping[str, float | None]]) -> list[str]:
    """Return the names of the figures that are compared: without the baselines', if others are left."""
    names = dict.fromkeys(name for score in scores for name in score)
    return [name for name in names if "persistence" not in name and "baseline" not in name] or list(names)


def format_figure(name: str, value: float | None) -> str:
    """Return a figure as text.

    >>> format_figure("accuracy", 0.95833), format_figure("h1_rmse", 21.3611), format_figure("mae", None)
    ('95.83 %', '21.36', '–')
    """
    if value is None:
        return "–"
    return f"{100 * value:.2f} %" if name.endswith("accuracy") else f"{value:.4g}"


def merge_scores(infos: Sequence[VersionInfo]) -> dict[str, float | None]:
    """Return the figures of the versions of several partitions over all of their records together.

    >>> parts = [VersionInfo("", 30, {"rmse": 1.0, "accuracy": 0.5}), VersionInfo("", 10, {"rmse": 3.0})]
    >>> merge_scores(parts)
    {'rmse': 1.7320508075688772, 'accuracy': 0.5}
    """
    if len(infos) == 1:
        return infos[0].score
    return {name: _merge_figure(name, infos) for name in dict.fromkeys(n for i in infos for n in i.score)}


def _merge_figure(name: str, infos: Sequence[VersionInfo]) -> float | None:
    power = 2 if name.endswith("rmse") else 1
    known = [(info.samples, v) for info in infos if (v := info.score.get(name)) is not None]
    samples = sum(count for count, _ in known)
    if not samples:
        return None
    return float((sum(count * value**power for count, value in known) / samples) ** (1 / power))


def combine_versions(
    lineage: str, infos_by_partition: Sequence[Infos]
) -> Iterator[tuple[Head, dict[str, float | None]]]:
    """Yield the newest version of each partition at each second at which one was written, in that order."""
    written = sorted(
        (info.time_s, version, partition)
        for partition, infos in enumerate(infos_by_partition)
        for version, info in infos.items()
    )
    count = len(infos_by_partition)
    heads: dict[int, Head] = {}
    parts: dict[int, VersionInfo] = {}
    for number, (time_s, version, partition) in enumerate(written):
        info = parts[partition] = infos_by_partition[partition][version]
        heads[partition] = Head(lineage, version, info.digest, info.samples, time_s)
        if count == 1:
            yield heads[0], info.score
        elif number + 1 == len(written) or written[number + 1][0] > time_s:
            yield merge_heads(dict(sorted(heads.items())), count), merge_scores(list(parts.values()))


def _make_row(head: Head, score: dict[str, float | None], served: Head) -> VersionRow:
    is_served = (head.lineage, head.name) == (served.lineage, served.name)
    return VersionRow(
        head.name,
        head.name if head.parts else f"{head.version:,}",
        describe_duration(time.time() - head.time_s),
        head.samples,
        score,
        is_served,
        is_served and served.pinned,
    )
