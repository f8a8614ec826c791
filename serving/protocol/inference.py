"""Answers an inference request of the Open Inference Protocol: bytes in, bytes out, without Flask."""

from collections.abc import Callable
from typing import Any, NamedTuple

from serving.models import call_model
from serving.protocol import outputs, signature, tensors
from serving.protocol.outputs import InferResponse
from serving.state.model_cache import Served
from streamlearn.pipelines.base import Pipeline

HEADER_LENGTH = "Inference-Header-Content-Length"


class Request(NamedTuple):
    """What has been sent, and the limits on it."""

    body: bytes
    header_length: str | None
    """The value of the header `Inference-Header-Content-Length`, if there is one."""
    id: str
    """The answer's id, unless the body brings one."""
    max_rows: int


class Answer(NamedTuple):
    """What is sent back, and what it was made of."""

    body: bytes
    headers: list[tuple[str, str]]
    identity: str
    served: Served
    records: list[Any]


def infer(pipeline: Pipeline, resolve: Callable[[], Served], request: Request) -> Answer:
    """Predict what a request holds, by the model that `resolve` returns.

    Raises
    ------
    BadRequest
        The request cannot be read, or the model cannot predict what it holds.
    StreamlearnError
        What `resolve` raises.
    """
    parsed, arrays = tensors.parse_request(request.body, request.header_length)
    records = []
    if arrays or not signature.is_windowed(pipeline):
        records = signature.read_records(pipeline, arrays, request.max_rows)
    served = resolve()
    described = signature.describe_outputs(pipeline, served.learner)
    arrays = call_model(lambda: outputs.convert_outputs(served.learner.outputs(records), described))
    chosen = outputs.choose_outputs(parsed, list(arrays))
    parameters = (parsed.parameters or {}) | {"lineage": served.head.lineage}
    parameters.pop(outputs.ALL_BINARY, None)
    response = InferResponse(
        model_name=pipeline.name,
        model_version=served.head.name,
        id=request.id if parsed.id is None else parsed.id,
        parameters=parameters,
        outputs=[],
    )
    body, json_length = outputs.encode_response(response, arrays, described, chosen)
    headers = [("Content-Type", "application/json")]
    if json_length is not None:
        headers = [("Content-Type", "application/octet-stream"), (HEADER_LENGTH, str(json_length))]
    return Answer(body, headers, response.id, served, records)
