"""The topic `streamlearn.rules`: every change of a rule, kept for ever, and from where each counts.

A change is appended first; only then Kafka is asked where the change's source ends, and from there it
counts. A job that has not read the change by then has routed no record behind that end, since `Router` reads
the log *after* it has asked where the source ends. Whoever finds a change without its `Start` writes that;
the first one is valid.
"""

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.broker.topics import MAX_DEAD_LETTER_BYTES, ensure_topic
from streamlearn.warehouse.rules.book import Change, Entry, Numbered, RuleBook, Start

RULES = "streamlearn.rules"
DEAD_LETTERS = f"{RULES}.dead_letter"
"""Records on which a rule's condition fails, with the reason."""

_decoder = msgspec.json.Decoder(Entry)


class RuleLog:
    """The log of a broker, and the book that it makes; `refresh` reads on.

    Raises `BrokerUnavailable` where Kafka does not answer.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._position = 0
        self.book = RuleBook()

    def refresh(self) -> None:
        """Read what was appended since the last time; settle from where it counts where nobody has yet."""
        self._read_on()
        for change in self.book.list_unsettled():
            self._settle(change)

    def append(self, change: Change) -> Numbered:
        """Append a change; return it with its number, and from where it counts."""
        create_topics(self._broker)
        place = self._broker.send(RULES, msgspec.json.encode(change))
        self.refresh()
        return next(numbered for numbered in self.book if numbered.place == place)

    def _settle(self, change: Numbered) -> None:
        ends = self._broker.stable_ends(change.change.source)
        self._broker.send(RULES, msgspec.json.encode(Start(change.place, ends)))
        self._read_on()

    def _read_on(self) -> None:
        end = self._broker.stable_end(RULES)
        if end <= self._position:
            return
        for record in self._broker.read(RULES, self._position, end):
            try:
                self.book.add(record.offset, _decoder.decode(record.value or b""))
            except msgspec.DecodeError:
                continue  # not ours: nothing that streamlearn writes there looks so
        self._position = end


def create_topics(broker: Broker) -> None:
    """Create the log and the topic of dead letters where they are missing."""
    ensure_topic(broker, RULES, 1, {"cleanup.policy": "delete", "retention.ms": "-1"})
    ensure_topic(
        broker,
        DEAD_LETTERS,
        1,
        {"cleanup.policy": "delete", "max.message.bytes": str(MAX_DEAD_LETTER_BYTES)},
    )


def read_book(broker: Broker) -> RuleBook:
    """Return the rules and their history; none where there has never been a rule."""
    log = RuleLog(broker)
    if RULES in broker.topics():
        log.refresh()
    return log.book
