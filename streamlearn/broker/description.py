"""What Kafka itself says of topics: their shape, their size, how fast they grow, who is behind in reading."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec

from streamlearn.broker.broker import COORDINATOR_NOT_READY, Broker

_RATE_S = 60
_CLEANUP, _RETENTION = "cleanup.policy", "retention.ms"


class TopicState(msgspec.Struct, frozen=True):
    """A topic as it is at a moment."""

    name: str
    partitions: int
    cleanup: str
    """Kafka's `cleanup.policy`."""
    retention_ms: int
    """-1: for ever."""
    records: int
    """Offsets that it holds, markers of transactions included."""
    bytes: int
    """On disk, compressed as they were sent."""
    rate: float
    """Offsets a second over the last minute."""
    newest_s: float | None
    """The time of the newest record, in seconds since 1970; None where there is none."""
    lags: dict[str, int]
    """By consumer group: offsets that it has not read yet."""


class TopicIdentity(msgspec.Struct, frozen=True):
    """What tells a topic from another of its name that was there before."""

    id: str
    partitions: int


def identify_topics(broker: Broker, names: Iterable[str]) -> dict[str, TopicIdentity]:
    """Return the identities of the topics of these names that exist. Raises `BrokerUnavailable`."""
    present = set(broker.topics())
    wanted = [name for name in names if name in present]
    described = broker.ask_admin(lambda admin: admin.describe_topics(wanted)) if wanted else []
    return {
        topic["name"]: TopicIdentity(str(topic["topic_id"]), len(topic["partitions"])) for topic in described
    }


def describe_topics(
    broker: Broker, names: Iterable[str], now_s: float | None = None
) -> dict[str, TopicState]:
    """Return the state of the topics of these names that exist.

    `now_s` is in seconds since 1970, by default the clock's.

    Raises
    ------
    BrokerUnavailable
        Kafka does not answer.
    """
    now_s = time.time() if now_s is None else now_s
    present = set(broker.topics())
    wanted = [name for name in names if name in present]
    return broker.ask_admin(lambda admin: _describe(admin, wanted, now_s)) if wanted else {}


def _describe(admin: KafkaAdminClient, names: list[str], now_s: float) -> dict[str, TopicState]:
    partitions = {
        topic["name"]: [partition["partition_index"] for partition in topic["partitions"]]
        for topic in admin.describe_topics(names)
    }
    places = [
        TopicPartition(name, partition) for name, numbers in partitions.items() for partition in numbers
    ]
    starts, ends = (_ask_offsets(admin, places, spec) for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST))
    newest = _ask_offsets(admin, places, OffsetSpec.MAX_TIMESTAMP)
    minute_ago = _ask_offsets(admin, places, round(1000 * (now_s - _RATE_S)))
    configs, sizes, groups = _ask_configs(admin, names), _ask_sizes(admin, names), _ask_groups(admin)
    states = {}
    for name in names:
        own = [place for place in places if place.topic == name]
        recent = sum(
            ends[p].offset - minute_ago[p].offset
            for p in own
            if p in minute_ago and minute_ago[p].offset >= 0
        )
        times = [newest[p].timestamp / 1000 for p in own if p in newest and newest[p].timestamp >= 0]
        states[name] = TopicState(
            name=name,
            partitions=len(own),
            cleanup=configs[name][_CLEANUP],
            retention_ms=int(configs[name][_RETENTION]),
            records=sum(ends[place].offset - starts[place].offset for place in own),
            bytes=sizes.get(name, 0),
            rate=recent / _RATE_S,
            newest_s=max(times, default=None),
            lags=_find_lags(groups, {place: ends[place].offset for place in own}),
        )
    return states


def _ask_offsets(admin: KafkaAdminClient, places: list[TopicPartition], spec: Any) -> Mapping[Any, Any]:
    answer: Mapping[Any, Any] = admin.list_partition_offsets(dict.fromkeys(places, spec))
    return answer


def _ask_configs(admin: KafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, name, {_CLEANUP: None, _RETENTION: None}) for name in names
    ]
    (answer,) = admin.describe_configs(resources, config_filter="all").values()
    return {name: {key: data["value"] for key, data in configs.items()} for name, configs in answer.items()}


def _ask_sizes(admin: KafkaAdminClient, names: list[str]) -> dict[str, int]:
    """Return the bytes on disk of each topic; of several replicas the largest counts once a partition."""
    sizes: dict[tuple[str, int], int] = {}
    for node in admin.describe_log_dirs(names):
        for folder in node.get("results", node.get("log_dirs", ())):
            for topic in folder["topics"]:
                for partition in topic["partitions"]:
                    place = (topic.get("name", topic.get("topic")), partition["partition_index"])
                    sizes[place] = max(sizes.get(place, 0), partition["partition_size"])
    totals: dict[str, int] = {}
    for (name, _), size in sizes.items():
        totals[name] = totals.get(name, 0) + size
    return totals


def _ask_groups(admin: KafkaAdminClient) -> Mapping[str, Mapping[TopicPartition, Any]]:
    """Return what each consumer group has committed; nothing while the broker loads its groups."""
    try:
        names = [group["group_id"] for group in admin.list_groups()]
        answer: Mapping[str, Mapping[TopicPartition, Any]] = (
            admin.list_group_offsets(dict.fromkeys(names)) if names else {}
        )
    except COORDINATOR_NOT_READY:
        return {}
    return answer


def _find_lags(
    groups: Mapping[str, Mapping[TopicPartition, Any]], ends: Mapping[TopicPartition, int]
) -> dict[str, int]:
    lags = {}
    for group, offsets in sorted(groups.items()):
        committed = {place: stored.offset for place, stored in offsets.items() if stored.offset >= 0}
        if committed.keys() & ends.keys():
            lags[group] = sum(max(0, end - committed.get(place, 0)) for place, end in ends.items())
    return lags
