"""The summaries of each pipeline: a topic `<pipeline>.summary.<name>` is the summary `name` of it."""

from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from streamlearn.errors import FileError, UnknownSummary
from streamlearn.settings import Settings
from streamlearn.storage.summary_store import SummaryStore
from streamlearn.warehouse.catalogue import FOLDER, Topic, kept_folder, read_layer

_INFIX = ".summary."

SummaryFigures = dict[str, Any]
"""A row of a summary: figures by the names of their columns."""


class Summary(msgspec.Struct, frozen=True):
    """A summary, and the topic that its rows stand in."""

    pipeline: str
    name: str
    topic: Topic

    @property
    def job(self) -> str:
        """The name of the SQL file whose job writes it."""
        return self.topic.owner.removesuffix(": warehouse")


def list_summaries(settings: Settings, pipeline: str | None = None) -> list[Summary]:
    """Return the summaries of a pipeline, or of all: built-in ones, and those of SQL files that are kept."""
    topics = [*_read_built_in(), *_read_kept(settings)]
    summaries = {}
    for topic in topics:
        owner, infix, name = topic.name.partition(_INFIX)
        if topic.layer == "summary" and topic.key and infix and pipeline in (None, owner):
            summaries[topic.name] = Summary(owner, name, topic)
    return list(summaries.values())


def find_summary(settings: Settings, pipeline: str, name: str) -> Summary:
    """Return the summary of a name.

    Raises
    ------
    UnknownSummary
        The pipeline has none of that name.
    """
    summaries = {summary.name: summary for summary in list_summaries(settings, pipeline)}
    if name not in summaries:
        names = f"there are: {', '.join(summaries)}" if summaries else "it has none"
        raise UnknownSummary(f"{pipeline} has no summary {name[:80]!r}; {names}")
    return summaries[name]


def read_summaries(settings: Settings, pipeline: str) -> dict[str, list[SummaryFigures]]:
    """Return the rows of each summary of a pipeline that has any, by its name, in the order of their keys.

    Raises `StoreUnavailable` where Redis does not answer.
    """
    store = SummaryStore(settings)
    try:
        rows = {
            summary.name: decode_rows(summary.topic, store.read(pipeline, summary.name).rows)
            for summary in list_summaries(settings, pipeline)
        }
    finally:
        store.close()
    return {name: figures for name, figures in rows.items() if figures}


def decode_rows(topic: Topic, rows: Iterable[bytes]) -> list[SummaryFigures]:
    """Return rows in the order of the key of their topic."""
    figures = [msgspec.json.decode(row, type=dict[str, Any]) for row in rows]
    return sorted(figures, key=lambda row: tuple(map(_make_sortable, map(row.get, topic.key))))


def _make_sortable(value: Any) -> tuple[bool, bool, Any]:
    """Return what a key's value is ordered by: numbers before texts, null last.

    >>> sorted(["b", 3, None, 1.5], key=_make_sortable)
    [1.5, 3, 'b', None]
    """
    return value is None, isinstance(value, str), 0 if value is None else value


@cache
def _read_built_in() -> tuple[Topic, ...]:
    return tuple(read_layer(FOLDER / "summary.toml"))


def _read_kept(settings: Settings) -> list[Topic]:
    """Return the topics of SQL files that are kept; they were checked when they were taken up."""
    topics: list[Topic] = []
    for path in sorted(Path(kept_folder(settings)).glob("*.toml")):
        with suppress(FileError):
            topics += read_layer(path)
    return topics
