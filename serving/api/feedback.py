"""Feedback: a labelled record on the pipeline's own input topic, where the job predicts it, then learns it.

It stands among all other records, in Kafka's order; its field `source` says where it came from. Nothing is
learned here: which version has learned the record is told by its offset.
"""

import threading
from contextlib import ExitStack, suppress
from datetime import datetime
from typing import Any

import msgspec
from flask import Blueprint, Flask, Response, current_app, request
from kafka import KafkaProducer
from kafka.errors import KafkaError

from serving import telemetry
from serving.access import limiter, require_token
from serving.models import find_cache, json_response
from serving.openapi import describe_route
from serving.protocol import signature, tensors
from serving.protocol.tensors import InputTensor
from serving.recent import MOST_ROWS, Recent
from streamlearn.broker.broker import Broker
from streamlearn.broker.topics import ensure_topics
from streamlearn.errors import BadRecord, BadRequest, BrokerUnavailable, NotAllowed
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.stream.records import encode

blueprint = Blueprint("feedback", __name__, url_prefix="/v2/models")

SOURCE = "feedback"
"""What stands in the field `source` of a record that came this way."""

_HEADERS = [("source", SOURCE.encode())]
"""The same as a header of the Kafka record, for readers that do not decode values."""

_SEND_S = 5.0


class FeedbackRequest(msgspec.Struct):
    """An `id` or `inputs` (tensors, or an object of fields), and what is right; or a whole `record`.

    What is right is `label`, or, for several rows, `labels`.
    """

    id: str | None = None
    inputs: list[InputTensor] | dict[str, Any] | None = None
    record: dict[str, Any] | None = None
    label: Any = None
    labels: list[Any] | None = None


class FeedbackAnswer(msgspec.Struct):
    """Where the labelled records stand; ask `versions?learned=<offset>` when they have been learned."""

    model_name: str
    topic: str
    partition: int
    offset: int
    """The last record's."""
    offsets: list[int]


class Sender:
    """Sends labelled records on; connects at the first of them, and again after a failure."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._connection: _Connection | None = None

    def send(self, pipeline: Pipeline, values: list[bytes]) -> list[int]:
        """Append values to a pipeline's topic; return their offsets once every replica has them.

        Raises
        ------
        BrokerUnavailable
            Kafka did not take all of them in time; the message says how many it did.
        """
        offsets: list[int] = []
        connection = self._connected(pipeline)
        try:
            futures = [
                connection.client.send(pipeline.topic, value=value, partition=0, headers=_HEADERS)
                for value in values
            ]
            for future in futures:
                offsets.append(int(future.get(timeout=_SEND_S).offset))
        except KafkaError as error:
            self._leave(connection)
            taken = f"; taken were those at the offsets {offsets}" if offsets else ""
            raise BrokerUnavailable(
                f"Kafka at {self._settings.kafka} has not acknowledged the feedback ({error}){taken}"
            ) from error
        return offsets

    def _connected(self, pipeline: Pipeline) -> "_Connection":
        if not self._lock.acquire(timeout=_SEND_S):
            raise BrokerUnavailable(f"Kafka at {self._settings.kafka} does not answer; try again")
        try:
            if self._connection is None:
                self._connection = _Connection(self._settings)
            self._connection.lay_out(pipeline)
            return self._connection
        except BrokerUnavailable:
            self._connection = None
            raise
        finally:
            self._lock.release()

    def _leave(self, connection: "_Connection") -> None:
        """Let the next record open another connection, unless somebody has already."""
        if self._connection is connection:
            self._connection = None
        connection.close()

    def close(self) -> None:
        """Close the connection; the next record opens another."""
        if self._connection is not None:
            self._leave(self._connection)


class _Connection:
    """An open producer, and the pipelines whose topics are known to be there."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = ExitStack()
        self._laid_out: set[str] = set()
        wait_ms = int(1000 * _SEND_S)
        self._broker = Broker(settings, connect_ms=wait_ms)
        self.client: KafkaProducer = self._open.enter_context(
            self._broker.producer(
                max_block_ms=wait_ms,
                request_timeout_ms=wait_ms - 1000,
                delivery_timeout_ms=wait_ms,
            )
        )

    def lay_out(self, pipeline: Pipeline) -> None:
        """Make sure of the pipeline's topics."""
        if pipeline.name not in self._laid_out:
            ensure_topics(self._broker, pipeline)
            self._laid_out.add(pipeline.name)

    def close(self) -> None:
        """Close it; what could not be sent has been said to its sender."""
        self._broker.close()
        with suppress(BrokerUnavailable):
            self._open.close()


def register(app: Flask, settings: Settings) -> None:
    """Add the route, and what it sends with."""
    app.extensions["feedback"] = Sender(settings)
    app.config["FEEDBACK"] = settings.feedback == "on"
    app.config["FEEDBACK_RATE"] = f"{settings.feedback_per_minute} per minute"
    app.register_blueprint(blueprint)


@blueprint.post("/<name>/feedback")
@describe_route(
    FeedbackAnswer,
    status=201,
    errors=(401, 403, 404, 408, 413, 415, 429, 503),
    tag="feedback",
    json=FeedbackRequest,
    security={"token": []},
)
@limiter.limit(lambda: str(current_app.config["FEEDBACK_RATE"]))
@require_token
def feedback(name: str) -> Response:
    """Send labelled records to the stream: a recent prediction's id or the inputs, and what is right."""
    if not current_app.config["FEEDBACK"]:
        raise NotAllowed(
            "feedback is switched off here (STREAMLEARN_FEEDBACK)", code="feedback_off", status=403
        )
    pipeline = find_cache(name).pipeline
    body = tensors.decode_body(request.get_data(), FeedbackRequest, "feedback")
    records = _labelled(pipeline, body)
    sender: Sender = current_app.extensions["feedback"]
    offsets = sender.send(pipeline, [_value(pipeline, record) for record in records])
    telemetry.count_feedback(name, len(offsets))
    return json_response(FeedbackAnswer(name, pipeline.topic, 0, offsets[-1], offsets), 201)


def _labelled(pipeline: Pipeline, body: FeedbackRequest) -> list[dict[str, Any]]:
    """The records as JSON objects, each with what is right."""
    label = signature.label_field(pipeline)
    if body.record is not None:
        if label is not None and body.record.get(label) is None:
            raise BadRequest(f"the record says not what is right, in its field {label!r}", field=label)
        return [body.record]
    if label is None:
        if body.inputs is None or body.id is not None:
            raise BadRequest(
                f"a record of {pipeline.name} has no one field that is its label: send it whole, as `record`",
                field="record",
            )
        return _given(pipeline, body)
    found = _given(pipeline, body)
    labels = body.labels if body.labels is not None else [body.label]
    if len(labels) != len(found) or any(one is None for one in labels):
        raise BadRequest(
            f"there are {len(found)} rows: say what is right for each, in `label` or `labels`", field="label"
        )
    return [{**record, label: right} for record, right in zip(found, labels, strict=True)]


def _given(pipeline: Pipeline, body: FeedbackRequest) -> list[dict[str, Any]]:
    """The records that were sent, or asked about under an id."""
    if body.id is not None:
        recent: Recent = current_app.extensions["recent"]
        found = recent.find(pipeline.name, body.id)
        if not found:
            raise BadRequest(
                f"no recent prediction has the id {body.id[:128]!r}; over {MOST_ROWS} rows are not kept",
                field="id",
            )
        return found
    if isinstance(body.inputs, dict):
        return [body.inputs]
    if not body.inputs:
        raise BadRequest("say which record is meant: by `id`, `inputs` or `record`", field="inputs")
    arrays = {one.name: tensors.from_json(one, f"inputs[{number}]") for number, one in enumerate(body.inputs)}
    records = signature.records(pipeline, arrays, MOST_ROWS)
    return [_plain(record) for record in records]


def _plain(record: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(record)
    return found


def _value(pipeline: Pipeline, record: dict[str, Any]) -> bytes:
    """The bytes of a record that the job will take.

    Raises
    ------
    BadRequest
        It would not.
    """
    (known,) = signature.of_objects(pipeline, [record], "record")
    found = _plain(known)
    if "ts" in found and found["ts"] is None:
        found["ts"] = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    with suppress(BadRecord):  # some records take no field that they do not know, or have one of that name
        if "source" not in found:
            marked = encode({**found, "source": SOURCE})
            pipeline.codec.decode(marked)
            return marked
    plain = encode(found)
    pipeline.codec.decode(plain)
    return plain
