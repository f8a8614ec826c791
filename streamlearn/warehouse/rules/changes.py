"""Adding and removing a rule, and the topics that rules write."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.broker.topics import MAX_DEAD_LETTER_BYTES, ensure_topic
from streamlearn.errors import ConfigurationError
from streamlearn.warehouse.catalogue import Topic, find_topic, load_stack_catalogue
from streamlearn.warehouse.rules.book import Change, Numbered, RuleBook, list_targets
from streamlearn.warehouse.rules.conditions import Condition
from streamlearn.warehouse.rules.log import RULES, RuleLog, create_topics, read_book

OWNER = "rules: route"
"""The job that writes the targets, as Flink and the catalogue call it."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")


def add_rule(
    broker: Broker,
    topics: Iterable[Topic],
    name: str,
    source: str,
    condition: str,
    *,
    target: str | None = None,
    partitions: int = 1,
) -> Numbered:
    """Add a rule, or change the one of that name; return the change with the offsets from which it counts.

    The target is created where it is missing, with as many partitions as `partitions`.

    Parameters
    ----------
    topics
        The catalogue, without the topics that rules write.
    target
        None: the rule's name.

    Raises
    ------
    ConfigurationError
        The condition is refused, or the names or topics cannot be so.
    """
    topics, target = list(topics), target or name
    described = find_topic(topics, source)
    used = Condition(condition, {column.name: column.type for column in described.columns}).columns
    create_topics(broker)
    book = read_book(broker)
    _check_names(broker, book, name, source, target)
    options = {**_describe_target(described, target).options, "max.message.bytes": str(MAX_DEAD_LETTER_BYTES)}
    ensure_topic(broker, target, partitions, options)
    return RuleLog(broker).append(Change(name, source, target, condition, dict(used), _tell_time()))


def remove_rule(broker: Broker, name: str) -> Numbered:
    """Remove a rule; its target and its history stay.

    Raises
    ------
    ConfigurationError
        There is none of that name.
    """
    book = read_book(broker)
    for rule in book.list_current():
        if rule.change.name == name:
            removal = msgspec.structs.replace(rule.change, condition=None, columns={}, time=_tell_time())
            return RuleLog(broker).append(removal)
    names = ", ".join(rule.change.name for rule in book.list_current())
    raise ConfigurationError(f"there is no rule {name!r}; there are: {names or 'none'}")


def describe_targets(book: RuleBook, topics: Iterable[Topic]) -> list[Topic]:
    """Return the topics that rules write or wrote, as the catalogue describes them: as their sources."""
    by_name = {topic.name: topic for topic in topics}
    return [
        _describe_target(by_name[change.source], target, f"Of {change.source}, by the rule {change.name}.")
        for target, change in list_targets(book).items()
        if change.source in by_name and target not in by_name
    ]


def load_live_catalogue(broker: Broker) -> list[Topic]:
    """Return the topics of a stack, those that its rules write included.

    Raises
    ------
    FileError
        A file is not a layer of the catalogue.
    """
    topics = load_stack_catalogue(broker.settings)
    return [*topics, *describe_targets(read_book(broker), topics)]


def _describe_target(source: Topic, target: str, description: str = "") -> Topic:
    return msgspec.structs.replace(
        source,
        name=target,
        owner=OWNER,
        description=description,
        # A stream of records, whatever its source: a row that no longer holds takes none away.
        key=(),
        cleanup="delete",
        partitions=None,
        input="",
    )


def _check_names(broker: Broker, book: RuleBook, name: str, source: str, target: str) -> None:
    present = set(broker.topics())
    if not _NAME.fullmatch(name) or not _NAME.fullmatch(target):
        raise ConfigurationError(
            f"a rule and its target have names of letters, digits, '.', '-' and '_'; {name!r} → {target!r}"
        )
    if source not in present:
        raise ConfigurationError(f"the topic {source} does not exist yet: nothing was ever sent to it")
    if source.startswith(RULES):
        raise ConfigurationError(f"{source} is written by the rules themselves")
    if target in present and target not in list_targets(book):
        raise ConfigurationError(
            f"the topic {target} is there already, and no rule writes it: name another with --to"
        )
    for rule in book.list_current():
        if rule.change.name == name and rule.change.source != source:
            raise ConfigurationError(
                f"the rule {name} is about {rule.change.source}: remove it before you add it for {source}"
            )


def _tell_time() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
