"""The page of a pipeline's summaries: what each is drawn from, and which pipelines have any rows."""

from collections.abc import Mapping
from typing import Any

from flask import url_for

from serving.pages.language import gettext
from serving.state.model_cache import ModelCache
from serving.state.poller import Poller
from streamlearn.errors import StreamlearnError
from streamlearn.settings import Settings
from streamlearn.storage.summary_store import SummaryStore
from streamlearn.warehouse.catalogue import Topic
from streamlearn.warehouse.summaries import Summary, list_summaries

_WINDOW = ("window_start", "window_end")


def poll_summarized(
    settings: Settings, store: SummaryStore, models: Mapping[str, ModelCache]
) -> Poller[frozenset[str]]:
    """Return what knows which of the served pipelines have rows of a summary; none while Redis is away."""

    def ask() -> frozenset[str]:
        try:
            return frozenset(name for name in sorted(models) if _has_rows(settings, store, name))
        except StreamlearnError:
            return frozenset()

    return Poller(ask, frozenset(), every_s=5.0, first_wait_s=0.2, idle_s=60.0)


def _has_rows(settings: Settings, store: SummaryStore, name: str) -> bool:
    names = [summary.name for summary in list_summaries(settings, name)]
    return any(store.count_rows(name, names).values())


def describe_cards(settings: Settings, pipeline: str) -> list[dict[str, Any]]:
    """Return what the page needs of each summary of a pipeline.

    `x` is the column along which it is drawn, `groups` are those of which one value is chosen.
    """
    return [_describe(summary) for summary in list_summaries(settings, pipeline)]


def _describe(summary: Summary) -> dict[str, Any]:
    topic = summary.topic
    x, groups = _choose_axis(topic)
    is_matrix = not topic.chart and len(topic.key) == 2 and _WINDOW[0] not in topic.key
    return {
        "name": summary.name,
        "job": summary.job,
        "title": gettext(topic.description),
        # A window's end follows from its beginning.
        "columns": [
            {"name": column.name, "unit": column.unit}
            for column in topic.columns
            if column.name != _WINDOW[1]
        ],
        "chart": list(topic.chart),
        "x": x,
        "groups": groups,
        "isMatrix": is_matrix,
        "url": url_for("summaries.read", name=summary.pipeline, summary=summary.name),
    }


def _choose_axis(topic: Topic) -> tuple[str, list[str]]:
    """Return the column along which a summary is drawn, and those that tell its curves apart.

    >>> _choose_axis(Topic("a", "b", "c", (), key=("window_start", "window_end", "horizon")))
    ('window_start', ['horizon'])
    >>> _choose_axis(Topic("a", "b", "c", (), key=("hour", "horizon")))
    ('hour', ['horizon'])
    >>> _choose_axis(Topic("a", "b", "c", (), key=("window_start", "window_end", "hour"), along="hour"))
    ('hour', ['window_start'])
    """
    x = topic.along or (_WINDOW[0] if _WINDOW[0] in topic.key else topic.key[0])
    return x, [name for name in topic.key if name not in (x, _WINDOW[1])]
