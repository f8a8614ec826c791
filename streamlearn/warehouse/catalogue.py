"""The catalogue of topics: one file a layer in `catalogue/`, and what follows from pipelines of one's own.

A file is a table `layer`, and a list `topics` whose entries are `Topic`s. An entry whose name begins with
`<input>` stands for one topic of each pipeline: `<input>.dead_letter`.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from streamlearn.errors import ConfigurationError, FileError
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings

FOLDER = Path(__file__).parent / "catalogue"

LAYERS = ("raw", "answers", "detail", "summary")
"""In the order in which data flows."""

_INPUT, _PIPELINE = "<input>", "<pipeline>"
UNITS_MS = {"minutes": 60_000, "hours": 3_600_000, "days": 86_400_000}


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field of a topic's records."""

    name: str
    """As in JSON."""
    type: str
    """Flink SQL's, such as `BIGINT`."""
    unit: str = ""
    description: str = ""


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A topic as it should be."""

    name: str
    owner: str
    """The job, or else the programs, that write it."""
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    """The columns that make up a record's key; a later record replaces those before with the same key."""
    partitions: int | None = None
    """How many; None: as many as the input of its pipeline, which has any number."""
    retention: str = "7 days"
    """How long records are kept: a number of minutes, hours or days; or `for ever`."""
    cleanup: Literal["delete", "compact", "compact,delete"] = "delete"
    """What Kafka does with old records: delete them, or those of a key but the newest."""
    event_time: str = ""
    """SQL that gives the time that a record is about; empty: the time at which Kafka got it."""
    lateness_ms: int = 5000
    """By how much a record's time may lie before the newest one's without being late."""
    chart: tuple[str, ...] = ()
    """The columns that the page of summaries draws as curves, all of one unit; the second is a baseline."""
    along: str = ""
    """The column along which they are drawn; empty: the window or, without one, the first of the key."""
    layer: str = ""
    """Set from its file."""
    input: str = ""
    """The topic whose number of partitions it has; set for the topics of answers."""

    @property
    def retention_ms(self) -> int:
        """The retention in milliseconds, -1 for ever.

        Raises
        ------
        ConfigurationError
            It has another form.

        >>> Topic("a", "b", "c", (), retention="2 hours").retention_ms
        7200000
        """
        if self.retention == "for ever":
            return -1
        number, _, unit = self.retention.partition(" ")
        if not number.isdigit() or unit not in UNITS_MS:
            raise ConfigurationError(
                f"the retention {self.retention!r} of topic {self.name} is neither `for ever` nor a number of"
                f" {', '.join(UNITS_MS)}, such as `7 days`"
            )
        return int(number) * UNITS_MS[unit]

    @property
    def options(self) -> dict[str, str]:
        """What Kafka is told when the topic is made."""
        return {"cleanup.policy": self.cleanup, "retention.ms": str(self.retention_ms)}


class _Layer(msgspec.Struct, forbid_unknown_fields=True):
    layer: Literal["raw", "answers", "detail", "summary"]
    topics: list[Topic]


def load_catalogue(pipelines: Iterable[Pipeline], more: Iterable[Path] = ()) -> list[Topic]:
    """Return every topic, layer by layer, each once.

    Parameters
    ----------
    pipelines
        Those whose topics are wanted; what the files do not list of them is derived from their record types.
    more
        More files of a layer, such as those that come with a user's SQL.

    Raises
    ------
    FileError
        A file is not a layer of the catalogue.
    """
    from streamlearn.warehouse.derived import derive_topics

    pipelines = list(pipelines)
    listed = [topic for path in (*sorted(FOLDER.glob("*.toml")), *more) for topic in read_layer(path)]
    topics: dict[str, Topic] = {}
    for topic in listed:
        if not topic.name.startswith(_INPUT):
            topics.setdefault(topic.name, topic)
    for pipeline in pipelines:
        for topic in (*derive_topics(pipeline), *_fill_in(listed, pipeline)):
            topics.setdefault(topic.name, topic)
        for name in (pipeline.prediction_topic, pipeline.dead_letter_topic, pipeline.control_topic):
            topics[name] = msgspec.structs.replace(topics[name], input=pipeline.topic)
    return sorted(topics.values(), key=lambda topic: LAYERS.index(topic.layer))


def load_stack_catalogue(settings: Settings) -> list[Topic]:
    """Return the topics of a stack: of its pipelines, and of the SQL files that it keeps running.

    Raises as `load_catalogue` does.
    """
    from streamlearn.pipelines.announced import load_known

    return load_catalogue(load_known(settings), sorted(kept_folder(settings).glob("*.toml")))


def kept_folder(settings: Settings) -> Path:
    """Return the folder of the SQL files that are kept running, and of their topics."""
    return settings.home / "warehouse"


def read_layer(path: Path) -> list[Topic]:
    """Return the topics in a file of the catalogue.

    Raises
    ------
    FileError
        It cannot be read, or is not a layer.
    """
    try:
        layer = msgspec.toml.decode(path.read_bytes(), type=_Layer)
    except (OSError, msgspec.DecodeError) as error:
        raise FileError(f"{path} is not a layer of the catalogue: {error}") from error
    return [msgspec.structs.replace(topic, layer=layer.layer) for topic in layer.topics]


def _fill_in(listed: Iterable[Topic], pipeline: Pipeline) -> list[Topic]:
    """Return the entries that stand for a topic of each pipeline, as those of this one."""
    return [
        msgspec.structs.replace(
            topic,
            name=topic.name.replace(_INPUT, pipeline.topic),
            owner=topic.owner.replace(_PIPELINE, pipeline.name),
        )
        for topic in listed
        if topic.name.startswith(_INPUT)
    ]


def find_topic(topics: Iterable[Topic], name: str) -> Topic:
    """Return the topic of a name.

    Raises
    ------
    ConfigurationError
        The catalogue has none.
    """
    topics = list(topics)
    for topic in topics:
        if topic.name == name:
            return topic
    raise ConfigurationError(
        f"the catalogue has no topic {name!r}; there are: {', '.join(topic.name for topic in topics)}"
    )


def quote_name(name: str) -> str:
    """Quote a name as Flink SQL's identifiers are.

    >>> quote_name("pm25.detail")
    '`pm25.detail`'
    """
    return "`" + re.sub("`", "``", name) + "`"
