"""What the broker says of the catalogue's topics, beside what the catalogue says: states, and differences."""

from collections.abc import Iterable, Mapping

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.broker.description import TopicState, describe_topics
from streamlearn.errors import NothingToCompare
from streamlearn.warehouse.catalogue import UNITS_MS, Topic


class Difference(msgspec.Struct, frozen=True):
    """A topic is not as the catalogue says."""

    topic: str
    what: str
    """`partitions`, `retention` or `cleanup`."""
    wanted: str
    actual: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} is {self.actual}, the catalogue says {self.wanted}"


def inspect_topics(broker: Broker, topics: Iterable[Topic]) -> dict[str, TopicState]:
    """Return the states of the topics that exist, by name. Raises `BrokerUnavailable`."""
    return describe_topics(broker, [topic.name for topic in topics])


def compare_topics(topics: Iterable[Topic], states: Mapping[str, TopicState]) -> list[Difference]:
    """Return where the topics that exist differ from the catalogue.

    A topic that does not exist yet is none: the job that owns it makes it.

    Raises
    ------
    NothingToCompare
        None of the topics exists.
    """
    present = [topic for topic in topics if topic.name in states]
    if not present:
        raise NothingToCompare("none of the catalogue's topics exists yet; `streamlearn up` makes them")
    return [difference for topic in present for difference in _compare(topic, states)]


def _compare(topic: Topic, states: Mapping[str, TopicState]) -> list[Difference]:
    state = states[topic.name]
    like = states.get(topic.input)
    # What it has in common with its input, or with nothing, may be any number.
    partitions = topic.partitions or (like.partitions if like else state.partitions)
    pairs = {
        "partitions": (str(partitions), str(state.partitions)),
        "cleanup": (topic.cleanup, state.cleanup),
        "retention": (format_retention(topic.retention_ms), format_retention(state.retention_ms)),
    }
    if topic.cleanup == "compact":
        # Then nothing is deleted for its age.
        del pairs["retention"]
    return [
        Difference(topic.name, what, wanted, actual)
        for what, (wanted, actual) in pairs.items()
        if sorted(wanted.split(",")) != sorted(actual.split(","))
    ]


def format_retention(retention_ms: int) -> str:
    """Return a retention as the catalogue writes it.

    >>> format_retention(604_800_000), format_retention(-1), format_retention(1)
    ('7 days', 'for ever', '1 ms')
    """
    if retention_ms < 0:
        return "for ever"
    for unit, size_ms in reversed(UNITS_MS.items()):
        if retention_ms and retention_ms % size_ms == 0:
            return f"{retention_ms // size_ms} {unit}"
    return f"{retention_ms} ms"
