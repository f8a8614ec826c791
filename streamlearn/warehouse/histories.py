"""The topics from which lineages begin: histories and repaired copies, and which of them are needed still."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.broker.description import TopicState, describe_topics
from streamlearn.broker.register import list_open_lineages
from streamlearn.broker.topics import list_history_topics
from streamlearn.errors import ConfigurationError, LineageError
from streamlearn.pipelines.announced import load_known
from streamlearn.pipelines.base import Pipeline
from streamlearn.warehouse.catalogue import Topic, find_topic
from streamlearn.warehouse.rules.changes import load_live_catalogue

_RECENT_S = 3600
_BY_KIND = {
    "history": ("streamlearn backfill", "A history of {}, learned before its first live record."),
    "repair": ("streamlearn repair", "What was learned of {}, with a span replaced."),
}
"""Who writes a topic of each kind, and what it is."""


class HistoryTopic(msgspec.Struct, frozen=True):
    """A topic from which a lineage begins, began, or was to begin."""

    state: TopicState
    needed_by: str
    """The open lineage that begins from it, in words; empty where there is none."""

    def is_recent(self, now_s: float) -> bool:
        """Return whether it was written within the last hour: a command that did may be learning it still."""
        return self.state.newest_s is None or now_s - self.state.newest_s < _RECENT_S


def load_whole_catalogue(broker: Broker) -> list[Topic]:
    """Return the topics of a stack, those that rules write, and those from which lineages begin."""
    topics = load_live_catalogue(broker)
    more = (topic for pipeline in load_known(broker.settings) for topic in _derive(broker, pipeline, topics))
    return list({topic.name: topic for topic in (*topics, *more)}.values())


def _derive(broker: Broker, pipeline: Pipeline, topics: Iterable[Topic]) -> Iterator[Topic]:
    """Yield the topics with the pipeline's records from which lineages begin."""
    for name in list_history_topics(broker, pipeline):
        owner, description = _BY_KIND[name.split(".")[-2]]
        yield msgspec.structs.replace(
            find_topic(topics, pipeline.topic),
            name=name,
            owner=owner,
            description=description.format(pipeline.topic),
            retention="for ever",
            partitions=None,
            cleanup="delete",
        )


def inspect_histories(broker: Broker) -> list[HistoryTopic]:
    """Return the topics from which lineages of the known pipelines begin, began, or were to begin.

    Raises `BrokerUnavailable`.
    """
    names = {
        name for pipeline in load_known(broker.settings) for name in list_history_topics(broker, pipeline)
    }
    states = describe_topics(broker, sorted(names))
    needs = {
        origin.topic: f"lineage {lineage.id} of {lineage.pipeline} begins from it"
        for lineage in list_open_lineages(broker)
        if (origin := lineage.origin)
    }
    return [HistoryTopic(state, needs.get(name, "")) for name, state in states.items()]


def choose_unneeded(
    histories: Sequence[HistoryTopic], names: Sequence[str], now_s: float
) -> list[HistoryTopic]:
    """Return the topics of these names or, without names, all that are neither needed nor recent.

    `now_s` is in seconds since 1970.

    Raises
    ------
    LineageError
        One of the names is needed.
    ConfigurationError
        One of the names is no such topic.
    """
    if not names:
        return [topic for topic in histories if not topic.needed_by and not topic.is_recent(now_s)]
    by_name = {topic.state.name: topic for topic in histories}
    for name in names:
        if name not in by_name:
            known = ", ".join(by_name) or "none"
            raise ConfigurationError(f"{name} is no topic of a history or a repair; there are: {known}")
        if reason := by_name[name].needed_by:
            raise LineageError(
                f"{name} cannot be deleted: {reason}, and could not be learned again without it"
            )
    return [by_name[name] for name in dict.fromkeys(names)]
