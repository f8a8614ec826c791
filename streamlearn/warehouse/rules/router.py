"""Where a record goes: asked by the routing job for each record, in the order of each partition."""

import base64
from collections.abc import Iterator, Sequence

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.errors import BadRecord, ConfigurationError
from streamlearn.stream.records import MAX_RECORD_BYTES
from streamlearn.warehouse.rules.book import Numbered
from streamlearn.warehouse.rules.conditions import Condition
from streamlearn.warehouse.rules.log import DEAD_LETTERS, RuleLog, create_topics


class RuleLetter(msgspec.Struct, frozen=True):
    """A record on which the condition of a rule fails; other rules may have taken it."""

    rule: str
    change: int
    """The number of the change that made the rule."""
    topic: str
    partition: int
    offset: int
    reason: str
    value: str | None
    """The bytes as received, in base64."""
    length: int


class _Plan(msgspec.Struct, frozen=True):
    """What counts for the records of a partition between two offsets."""

    rules: Sequence[Numbered]
    start: int
    end: int


class Router:
    """Tells to which topics each record goes.

    A record's rules are those that count at its offset. The log is read again before a record is routed that
    lay behind the end of its partition the last time: a change that is not in the log then counts from a
    later offset.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        # The job may be submitted before there has ever been a rule.
        create_topics(broker)
        self._log = RuleLog(broker)
        self._log.refresh()
        self._known_up_to: dict[str, list[int]] = {}
        self._plans: dict[tuple[str, int], _Plan] = {}
        self._conditions: dict[int, Condition | str] = {}
        """By a change's place: its condition, or why it cannot be evaluated."""

    def route(
        self, topic: str, partition: int, offset: int, value: bytes | None
    ) -> Iterator[tuple[str, bytes | None]]:
        """Yield each target of a record, once, with None; a dead letter with its bytes."""
        plan = self._plans.get((topic, partition))
        if plan is None or not plan.start <= offset < plan.end:
            plan = self._plans[topic, partition] = self._make_plan(topic, partition, offset)
        targets: set[str] = set()
        for rule in plan.rules:
            try:
                if rule.change.target not in targets and self._holds(rule, value):
                    targets.add(rule.change.target)
                    yield rule.change.target, None
            except BadRecord as error:
                yield DEAD_LETTERS, _write_letter(rule, topic, partition, offset, value, str(error))

    def _make_plan(self, topic: str, partition: int, offset: int) -> _Plan:
        known = self._known_up_to.get(topic, [])
        if partition >= len(known) or offset >= known[partition]:
            # In this order: see `log.py`.
            count = len(known) if partition < len(known) else None
            known = self._known_up_to[topic] = self._broker.stable_ends(topic, count)
            self._log.refresh()
        rules, change = self._log.book.rules_at(topic, partition, offset)
        # This one was read, so it is there, whatever the broker says of the end.
        end = max(known[partition], offset + 1)
        return _Plan(rules, offset, end if change is None else min(end, change))

    def _holds(self, rule: Numbered, value: bytes | None) -> bool:
        condition = self._conditions.get(rule.place)
        if condition is None:
            try:
                condition = Condition(rule.change.condition or "", rule.change.columns)
            except ConfigurationError as error:
                condition = str(error)
            self._conditions[rule.place] = condition
        if isinstance(condition, str):
            raise BadRecord(condition)
        return condition.holds(value)


def _write_letter(
    rule: Numbered, topic: str, partition: int, offset: int, value: bytes | None, reason: str
) -> bytes:
    kept = None if value is None else base64.b64encode(value[:MAX_RECORD_BYTES]).decode("ascii")
    return msgspec.json.encode(
        RuleLetter(rule.change.name, rule.number, topic, partition, offset, reason, kept, len(value or b""))
    )
