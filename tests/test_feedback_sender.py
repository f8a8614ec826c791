"""The connection by which feedback is sent, where Kafka does not answer."""

from typing import Any

import pytest

from serving.api import feedback
from serving.api.feedback import Sender
from streamlearn.errors import BrokerUnavailable
from streamlearn.pipelines.digits import pipeline
from streamlearn.settings import Settings


class LostConnection:
    """A connection to a Kafka that went away after it was opened."""

    def __init__(self, settings: Settings, wait_ms: int) -> None:
        self.closed = False
        opened.append(self)

    def ensure_topics(self, *_: Any) -> None:
        raise BrokerUnavailable("it went away")

    def close(self) -> None:
        self.closed = True


opened: list[LostConnection] = []


def test_a_connection_without_topics_is_closed_before_another_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feedback, "_Connection", LostConnection)
    sender = Sender(Settings())
    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            sender.send(pipeline, [b"{}"])
    assert [connection.closed for connection in opened] == [True, True]
