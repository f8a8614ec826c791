"""The topics of a pipeline: what each must be like.

One partition each, since a pipeline has one learner and its predictions are its journal. A dead letter
wraps its record in base64, so its topic takes values larger than the input's.
"""

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import TopicAlreadyExistsError

from streamlearn.broker.broker import Broker
from streamlearn.errors import TopicRefused
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.records import MAX_RECORD_BYTES

MAX_DEAD_LETTER_BYTES = 2 << 20
"""Room for a record of that size in base64, and the reason beside it."""

LINEAGES = "streamlearn.lineages"
"""The register of lineages: a few hundred bytes a submission, kept for ever."""


def ensure_topics(broker: Broker, pipeline: Pipeline) -> None:
    """Create the pipeline's topics where they are missing.

    Raises
    ------
    TopicRefused
        A topic exists with more than one partition.
    """
    broker.ask_admin(lambda admin: _ensure(admin, pipeline))


def _ensure(client: KafkaAdminClient, pipeline: Pipeline) -> None:
    _create(client, pipeline.topic, {"max.message.bytes": str(MAX_RECORD_BYTES + 4096)})
    _create(client, pipeline.prediction_topic, {"max.message.bytes": str(MAX_DEAD_LETTER_BYTES)})
    _create(client, pipeline.dead_letter_topic, {"max.message.bytes": str(MAX_DEAD_LETTER_BYTES)})
    _create(client, pipeline.control_topic, {})
    _create(client, LINEAGES, {"cleanup.policy": "delete", "retention.ms": "-1"})
    for topic in client.describe_topics(_topics(pipeline)):
        count = len(topic["partitions"])
        if count != 1:
            raise TopicRefused(
                f"topic {topic['name']} has {count} partitions; a pipeline learns from exactly one."
                " Copy its records into a topic with a single partition, and name that one in the pipeline"
            )


def _topics(pipeline: Pipeline) -> list[str]:
    return [pipeline.topic, pipeline.prediction_topic, pipeline.dead_letter_topic, pipeline.control_topic]


def _create(client: KafkaAdminClient, name: str, config: dict[str, str]) -> None:
    if name in client.list_topics():
        return
    try:
        client.create_topics([NewTopic(name, num_partitions=1, replication_factor=1, topic_configs=config)])
    except TopicAlreadyExistsError:
        return  # another program was quicker
    client.wait_for_topics([name])
