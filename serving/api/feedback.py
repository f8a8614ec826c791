"""Feedback: sends labelled records to the pipeline's input topic, where the job predicts, then learns them.

There they stand among all other records, in Kafka's order; their field `source` says where they came from.
The server learns nothing itself. A version has learned a record once it is larger than the record's offset.
"""

import threading
import time
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
from serving.state.recent import MAX_ROWS, RecentPredictions
from streamlearn.broker.broker import Broker
from streamlearn.broker.placement import Placement
from streamlearn.broker.topics import ensure_topics
from streamlearn.errors import BadRecord, BadRequest, BrokerUnavailable, NotAllowed
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.stream.records import encode

blueprint = Blueprint("feedback", __name__, url_prefix="/v2/models")

SOURCE = "feedback"
"""The value of the field `source` in a record that came as feedback."""

_HEADERS = [("source", SOURCE.encode())]
"""The same as a header of the Kafka record, for consumers that do not decode values."""

_SEND_TIMEOUT_S = 5.0
"""Most seconds that a request waits for Kafka, whatever the settings say."""

_PARTITIONS_S = 60.0
"""After how many seconds a topic is asked again how many partitions it has."""


class FeedbackRequest(msgspec.Struct):
    """An `id` or `inputs` (tensors, or an object of fields) with the right `label`; or a whole `record`.

    For several rows, `labels` holds one label for each.
    """

    id: str | int | None = None
    inputs: list[InputTensor] | dict[str, Any] | None = None
    record: dict[str, Any] | None = None
    label: Any = None
    labels: list[Any] | None = None


class FeedbackAnswer(msgspec.Struct):
    """Where the labelled records stand; `versions?learned=<offset>` tells whether they have been learned."""

    model_name: str
    topic: str
    partition: int
    """The last record's, as `offset`."""
    offset: int
    offsets: list[int]
    partitions: list[int]


class Sender:
    """Sends labelled records to Kafka; connects at the first one, and again after a failure. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wait_s = min(_SEND_TIMEOUT_S, settings.kafka_wait_s)
        self._lock = threading.Lock()
        self._connection: _Connection | None = None

    def send(
        self, pipeline: Pipeline, values: list[bytes], headers: list[tuple[str, bytes]] = _HEADERS
    ) -> list[tuple[int, int]]:
        """Append encoded records; return partition and offset of each, once every replica has them.

        Raises
        ------
        BrokerUnavailable
            Kafka has not acknowledged all of them in time; the message names the offsets of those it has.
        """
        places: list[tuple[int, int]] = []
        connection = self._connect(pipeline)
        try:
            futures = [
                connection.client.send(
                    pipeline.topic, value=value, partition=connection.place(pipeline, value), headers=headers
                )
                for value in values
            ]
            for future in futures:
                sent = future.get(timeout=self._wait_s)
                places.append((int(sent.partition), int(sent.offset)))
        except KafkaError as error:
            self._disconnect(connection)
            offsets = [offset for _, offset in places]
            accepted = f"; it has the records at the offsets {offsets}" if offsets else ""
            raise BrokerUnavailable(
                f"Kafka at {self._settings.kafka} has not acknowledged all feedback ({error}){accepted}"
            ) from error
        return places

    def _connect(self, pipeline: Pipeline) -> "_Connection":
        if not self._lock.acquire(timeout=self._wait_s):
            raise BrokerUnavailable(f"Kafka at {self._settings.kafka} does not answer; try again")
        try:
            if self._connection is None:
                self._connection = _Connection(self._settings, round(1000 * self._wait_s))
            self._connection.ensure_topics(pipeline)
            return self._connection
        except BrokerUnavailable:
            self.close()
            raise
        finally:
            self._lock.release()

    def _disconnect(self, connection: "_Connection") -> None:
        """Close a connection; the next record opens another, unless another thread has already."""
        if self._connection is connection:
            self._connection = None
        connection.close()

    def close(self) -> None:
        """Close the connection; the next record opens another."""
        if self._connection is not None:
            self._disconnect(self._connection)


class _Connection:
    """An open producer, and for pipelines whose topics exist where their records go."""

    def __init__(self, settings: Settings, wait_ms: int) -> None:
        self._settings = settings
        self._open = ExitStack()
        self._placements: dict[str, tuple[float, Placement]] = {}
        self._broker = Broker(settings, connect_ms=wait_ms)
        self.client: KafkaProducer = self._open.enter_context(
            self._broker.producer(
                max_block_ms=wait_ms,
                request_timeout_ms=wait_ms * 4 // 5,
                delivery_timeout_ms=wait_ms,
            )
        )

    def ensure_topics(self, pipeline: Pipeline) -> None:
        """Create the pipeline's topics where they do not exist yet; see now and then how many partitions."""
        seen_s, _ = self._placements.get(pipeline.name, (-_PARTITIONS_S, None))
        if time.monotonic() - seen_s >= _PARTITIONS_S:
            placement = Placement(pipeline, ensure_topics(self._broker, pipeline))
            self._placements[pipeline.name] = time.monotonic(), placement

    def place(self, pipeline: Pipeline, value: bytes) -> int:
        """Return the partition that an encoded record goes to."""
        _, placement = self._placements[pipeline.name]
        return placement.place(msgspec.json.decode(value, type=dict[str, Any]))

    def close(self) -> None:
        """Close the producer. Errors are ignored: `send` has raised them for the records they concern."""
        self._broker.close()
        with suppress(BrokerUnavailable):
            self._open.close()


def register(app: Flask, settings: Settings) -> None:
    """Add the route and its sender."""
    app.extensions["feedback"] = Sender(settings)
    app.config["FEEDBACK"] = settings.feedback == "on"
    app.config["FEEDBACK_RATE"] = f"{settings.feedback_per_minute} per minute"
    app.register_blueprint(blueprint)


def limit_rate() -> str:
    """Return how often a client may send something to the stream."""
    return str(current_app.config["FEEDBACK_RATE"])


def refuse_where_off() -> None:
    """Raise `NotAllowed` where this server sends nothing to the stream."""
    if not current_app.config["FEEDBACK"]:
        raise NotAllowed(
            "this server takes no feedback; STREAMLEARN_FEEDBACK=on allows it",
            code="feedback_off",
            status=403,
        )


@blueprint.post("/<name>/feedback")
@describe_route(
    FeedbackAnswer,
    status=201,
    errors=(401, 403, 404, 408, 413, 415, 429, 503),
    tag="feedback",
    json=FeedbackRequest,
    security={"token": []},
)
@limiter.limit(limit_rate)
@require_token
def send_feedback(name: str) -> Response:
    """Send labelled records to the stream: a recent prediction's id, or the inputs, with the right label."""
    refuse_where_off()
    pipeline = find_cache(name).pipeline
    body = tensors.decode_body(request.get_data(), FeedbackRequest, "feedback")
    if body.id is not None and (late_label := pipeline.learning.late_label(pipeline.record)):
        values = [_encode_late_label(pipeline, late_label, body)]
    else:
        values = [_encode_record(pipeline, record) for record in _label_records(pipeline, body)]
    sender: Sender = current_app.extensions["feedback"]
    partitions, offsets = map(list, zip(*sender.send(pipeline, values), strict=True))
    telemetry.count_feedback(name, len(offsets))
    answer = FeedbackAnswer(name, pipeline.topic, partitions[-1], offsets[-1], offsets, partitions)
    return json_response(answer, 201)


def _encode_late_label(pipeline: Pipeline, late_label: type[Any], body: FeedbackRequest) -> bytes:
    """Return the record that holds the label of a record of the stream, by that record's id.

    Raises
    ------
    BadRequest
        There is no label, or it is none that the job would take.
    """
    id_field, label_field = (field.encode_name for field in msgspec.structs.fields(late_label))
    if body.label is None:
        raise BadRequest(f"send the label of the record whose {id_field} is {body.id!r}", field="label")
    value = encode({id_field: body.id, label_field: body.label})
    try:
        pipeline.codec.decode(value)
    except BadRecord as error:
        raise BadRequest(str(error), field="label") from error
    return value


def _label_records(pipeline: Pipeline, body: FeedbackRequest) -> list[dict[str, Any]]:
    """Return the records of a request as JSON objects, each with its label."""
    field = signature.find_label_field(pipeline)
    if body.record is not None:
        if field is not None and body.record.get(field) is None:
            raise BadRequest(f"the record has no label: set its field {field!r}", field=field)
        return [body.record]
    if field is None and (body.inputs is None or body.id is not None):
        raise BadRequest(
            f"no single field holds the label of a {pipeline.name} record: send all of it, as `record`",
            field="record",
        )
    records = _find_records(pipeline, body)
    if field is None:
        return records
    labels = body.labels if body.labels is not None else [body.label]
    if len(labels) != len(records) or any(label is None for label in labels):
        raise BadRequest(
            f"send one label for each of the {len(records)} rows, in `label` or `labels`", field="label"
        )
    return [{**record, field: label} for record, label in zip(records, labels, strict=True)]


def _find_records(pipeline: Pipeline, body: FeedbackRequest) -> list[dict[str, Any]]:
    """Return the records that a request sends, or those of the prediction whose id it names."""
    if body.id is not None:
        recent: RecentPredictions = current_app.extensions["recent"]
        records = recent.find(pipeline.name, str(body.id))
        if not records:
            raise BadRequest(
                f"no recent prediction of at most {MAX_ROWS} rows has the id {str(body.id)[:128]!r};"
                " send its `inputs` instead",
                field="id",
            )
        return records
    if isinstance(body.inputs, dict):
        return [body.inputs]
    if not body.inputs:
        raise BadRequest("send the `id` of a prediction, its `inputs`, or a whole `record`", field="inputs")
    tensors.refuse_repeated_names([tensor.name for tensor in body.inputs], "inputs")
    arrays = {
        tensor.name: tensors.decode_tensor(tensor, f"inputs[{number}]")
        for number, tensor in enumerate(body.inputs)
    }
    return [_to_object(record) for record in signature.read_records(pipeline, arrays, MAX_ROWS)]


def _to_object(record: Any) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(record)
    return fields


def _encode_record(pipeline: Pipeline, record: dict[str, Any]) -> bytes:
    """Encode a record so that the job accepts it, with its `source` where the record's type allows the field.

    Raises
    ------
    BadRequest, BadRecord
        The job would refuse the record.
    """
    (parsed,) = signature.convert_objects(pipeline, [record], "record")
    fields = _to_object(parsed)
    if "ts" in fields and fields["ts"] is None:
        fields["ts"] = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    if "source" not in fields:
        marked = encode({**fields, "source": SOURCE})
        try:
            pipeline.codec.decode(marked)
        except BadRecord:
            pass  # the record's type may forbid unknown fields
        else:
            return marked
    plain = encode(fields)
    pipeline.codec.decode(plain)
    return plain
