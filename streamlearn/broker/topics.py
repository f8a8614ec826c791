"""The topics of a pipeline: what each must be like.

Those of answers have as many partitions as the input, since each partition has a learner, whose answers are
its journal. A dead letter wraps its record in base64, so its topic takes values larger than the input's.
"""

import re
import uuid
from typing import Literal

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import InvalidPartitionsError, TopicAlreadyExistsError

from streamlearn.broker.broker import Broker
from streamlearn.errors import TopicRefused
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.records import MAX_RECORD_BYTES

MAX_DEAD_LETTER_BYTES = 2 << 20
"""Room for a record of that size in base64, and the reason beside it."""

LINEAGES = "streamlearn.lineages"
"""The register of lineages: a few hundred bytes a submission, kept for ever."""

HistoryKind = Literal["history", "repair"]

_TAKES_RECORDS = {"max.message.bytes": str(MAX_RECORD_BYTES + 4096)}
"""The option of a topic that any record fits into."""


def ensure_topics(broker: Broker, pipeline: Pipeline) -> int:
    """Create the pipeline's topics where they are missing; return how many partitions its input has.

    The topics of answers get as many: the answers to partition k stand in partition k.

    Raises
    ------
    TopicRefused
        The input has one partition, and a topic of answers has several.
    """
    return broker.ask_admin(lambda admin: _ensure(admin, pipeline, broker.settings.partitions))


def ensure_topic(broker: Broker, name: str, partitions: int, config: dict[str, str]) -> None:
    """Create a topic of any kind where it is missing; one that is there stays as it is."""
    broker.ask_admin(lambda admin: _create(admin, name, partitions, config))


def _ensure(client: KafkaAdminClient, pipeline: Pipeline, partitions: int) -> int:
    _create(client, LINEAGES, 1, {"cleanup.policy": "delete", "retention.ms": "-1"})
    _create(client, pipeline.topic, partitions, _TAKES_RECORDS)
    count = _count_partitions(client, [pipeline.topic])[pipeline.topic]
    large = {"max.message.bytes": str(MAX_DEAD_LETTER_BYTES)}
    answers = {
        pipeline.prediction_topic: large,
        pipeline.dead_letter_topic: large,
        pipeline.control_topic: {},
    }
    for topic, config in answers.items():
        _create(client, topic, count, config)
    for topic, present in _count_partitions(client, list(answers)).items():
        if present < count:
            _add_partitions(client, topic, count)
        elif present > 1 == count:
            raise TopicRefused(
                f"topic {topic} has {present} partitions, and {pipeline.topic}, whose answers it takes, has"
                f" one: give {pipeline.topic} as many, or delete {topic} if nobody needs what is in it"
            )
    return count


def create_history_topic(
    broker: Broker, pipeline: Pipeline, partitions: int, kind: HistoryKind = "history"
) -> str:
    """Create a topic for records from which a lineage is to begin, and return its name.

    It is kept for ever: a rebuild begins there. It has as many partitions as the pipeline's input. `kind` is
    the part of its name that tells where the records come from.
    """
    name = f"{pipeline.topic}.{kind}.{uuid.uuid4().hex[:8]}"
    config = {
        **_TAKES_RECORDS,
        "retention.ms": "-1",
        "retention.bytes": "-1",
    }
    broker.ask_admin(lambda admin: _create(admin, name, partitions, {"cleanup.policy": "delete", **config}))
    return name


def list_history_topics(broker: Broker, pipeline: Pipeline) -> list[str]:
    """Return the names of the topics that `create_history_topic` has made for the pipeline's input."""
    pattern = re.compile(rf"{re.escape(pipeline.topic)}\.(history|repair)\.[0-9a-f]{{8}}")
    return sorted(filter(pattern.fullmatch, broker.topics()))


def delete_topic(broker: Broker, name: str) -> None:
    """Delete a topic that nothing has begun from."""
    broker.ask_admin(lambda admin: admin.delete_topics([name]))


def _count_partitions(client: KafkaAdminClient, topics: list[str]) -> dict[str, int]:
    return {topic["name"]: len(topic["partitions"]) for topic in client.describe_topics(topics)}


def _add_partitions(client: KafkaAdminClient, topic: str, count: int) -> None:
    try:
        client.create_partitions({topic: count})
    except InvalidPartitionsError:
        return  # another program was quicker


def _create(client: KafkaAdminClient, name: str, partitions: int, config: dict[str, str]) -> None:
    if name in client.list_topics():
        return
    topic = NewTopic(name, num_partitions=partitions, replication_factor=1, topic_configs=config)
    try:
        client.create_topics([topic])
    except TopicAlreadyExistsError:
        return  # another program was quicker
    client.wait_for_topics([name])
