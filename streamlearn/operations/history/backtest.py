"""What parameters are tried on: the records that a lineage has answered, or those of a data set."""

import inspect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from difflib import get_close_matches
from itertools import dropwhile, islice
from typing import Any

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.register import LineageRegister
from streamlearn.engine.answering import cut_into_chunks
from streamlearn.engine.backtest import Part
from streamlearn.engine.verify import find_rollbacks
from streamlearn.errors import ConfigurationError, DataUnavailable, NothingToCompare
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.journal import journaled_chunks
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Input, Stream
from streamlearn.stream.records import encode

LIVE = "as it is"
"""What the variant with the pipeline's own parameters is called."""

_MAX_VARIANTS = 16
_CHUNK_ROWS = 256


def parse_variants(pipeline: Pipeline, texts: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Return the variants that texts such as `alpha=0.001,0.01` ask for: name → parameters.

    The first is the pipeline as it is. Of several texts each combination of values is one. A value is JSON;
    what is none is taken as text. A parameter of an estimator inside another has a dot in its name, such as
    `parameters.eta0`.

    Raises
    ------
    ConfigurationError
        A text cannot be understood, names what the estimator does not take, or they are too many.
    """
    choices: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or not name.strip() or not values.strip():
            raise ConfigurationError(f"{text!r} sets nothing: write NAME=VALUE, or NAME=VALUE,VALUE")
        _check_known(pipeline, name.strip())
        choices.setdefault(name.strip(), []).extend(_parse_values(values))
    variants: dict[str, Mapping[str, Any]] = {LIVE: dict(pipeline.parameters)}
    for combination in itertools.product(*choices.values()):
        chosen = dict(zip(choices, combination, strict=True))
        parameters: Mapping[str, Any] = pipeline.parameters
        for name, value in chosen.items():
            parameters = _replace(parameters, name, value)
        if parameters not in variants.values():
            variants[", ".join(f"{name}={_format(value)}" for name, value in chosen.items())] = parameters
    if len(variants) > _MAX_VARIANTS:
        raise ConfigurationError(
            f"that is {len(variants)} variants, each of which learns everything: try {_MAX_VARIANTS} at most"
        )
    return variants


def _replace(parameters: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """Return parameters with another value of one.

    >>> _replace({"a": 1, "parameters": {"eta0": 1, "alpha": 2}}, "parameters.eta0", 3)
    {'a': 1, 'parameters': {'eta0': 3, 'alpha': 2}}
    """
    first, _, rest = name.partition(".")
    return {**parameters, first: _replace(parameters.get(first) or {}, rest, value) if rest else value}


def _parse_values(text: str) -> list[Any]:
    """Return one value of JSON, or values between commas.

    >>> _parse_values("0.001,0.01"), _parse_values("[1, 2]"), _parse_values("l1,l2"), _parse_values("null")
    ([0.001, 0.01], [[1, 2]], ['l1', 'l2'], [None])
    """
    whole = _parse_value(text)
    return [whole] if not isinstance(whole, str) else [_parse_value(part) for part in text.split(",")]


def _parse_value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text.strip()


def _format(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _check_known(pipeline: Pipeline, name: str) -> None:
    """Raise `ConfigurationError` if neither the pipeline nor its estimator has a parameter of that name."""
    inner = {outer: value for outer, value in pipeline.parameters.items() if isinstance(value, Mapping)}
    if name.partition(".")[0] in inner and "." in name:
        return  # the estimator inside tells at the first record
    known = dict.fromkeys(pipeline.parameters)
    estimator = getattr(pipeline.learning, "estimator", None)
    if estimator is not None:
        try:
            accepted = inspect.signature(estimator).parameters
        except (TypeError, ValueError):
            return  # it does not tell; the first record will
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
            return
        known |= dict.fromkeys(accepted)
    if name not in known:
        similar = [f"{outer}.{name}" for outer, values in inner.items() if name in values]
        similar += get_close_matches(name, known, 1)
        hint = f"is it {similar[0]!r}?" if similar else f"its parameters: {', '.join(known)}"
        raise ConfigurationError(f"{pipeline.name} has no parameter {name!r}; {hint}")


def load_dataset_part(pipeline: Pipeline) -> Part:
    """Return the records of a pipeline's data set, in chunks of as many records as a job takes at most.

    Raises
    ------
    DataUnavailable
        The pipeline has no data set, or it cannot be had.
    """
    dataset = pipeline.dataset
    if dataset is None:
        raise DataUnavailable(f"{pipeline.name} has no data set; --file names the file to take instead")
    dataset.prepare()
    rows = (
        Input(0, number, encode(record)) for number, record in enumerate(dataset.records(seed=0, passes=1))
    )
    lineage = Lineage(
        pipeline=pipeline.name,
        reference=pipeline.reference,
        id="backtest",
        parameters=dict(pipeline.parameters),
        start=0,
        epoch=0,
        definition=pipeline.definition,
    )
    limit = pipeline.chunk_limit(_CHUNK_ROWS)
    chunks = iter(lambda: [(row, None) for row in islice(rows, limit)], [])
    return Part(lineage, 0, 0, dataset.size, chunks)


def require_open_lineage(broker: Broker, pipeline: Pipeline) -> Lineage:
    """Return the pipeline's open lineage.

    Raises
    ------
    NothingToCompare
        There is none.
    """
    lineage = LineageRegister(broker, pipeline).current()
    if lineage is None or lineage.ended:
        raise NothingToCompare(
            f"{pipeline.name} has no open lineage whose records could be learned again;"
            f" `streamlearn train {pipeline.name}` begins one, --offline takes the data set, --file a file"
        )
    return lineage


def take_parameters(pipeline: Pipeline, lineage: Lineage) -> Pipeline:
    """Return the pipeline as a lineage learns with it: an earlier one, where it began with that."""
    going_on = pipeline.with_parameters(lineage.parameters)
    return replace(going_on, parameters=lineage.parameters, earlier=())


def read_parts(
    broker: Broker, pipeline: Pipeline, lineage: Lineage, *, last: int | None = None
) -> Iterator[Part]:
    """Yield the records that each partition of a lineage has answered, cut as its journal says.

    `last` takes only so many of the newest offsets, an equal share of each partition. A part must be used up
    before the next is taken.
    """
    register = LineageRegister(broker, pipeline)
    share = None if last is None else -(-last // len(lineage.partitions))
    for partition in lineage.partitions:
        end = register.first_unanswered(lineage, partition)
        with ExitStack() as journals:
            stream = KafkaStream(broker, pipeline, partition)
            yield read_part(stream, lineage.in_partition(partition), partition, end, share, journals)


def read_part(
    stream: Stream, lineage: Lineage, partition: int, end: int, last: int | None, journals: ExitStack
) -> Part:
    """Return the answered records of a lineage of one partition, up to the offset `end`; see `read_parts`."""
    start = max(lineage.start, stream.oldest(), 0 if last is None else end - last)
    journal = journals.enter_context(stream.journal(lineage.id, start))
    answered = ((row, journal.take(row.offset, 0)) for row in stream.rows(start, end))
    # Answers may be gone before their records are: nobody knows any more how those were cut.
    known = dropwhile(lambda pair: pair[1] is None, answered)
    targets = frozenset(version for _, version in find_rollbacks(stream, lineage))
    chunks, origin_chunks = journaled_chunks(known, start), iter(list[list[Input]]())
    if (origin := lineage.origin) and start == lineage.start:
        rows = stream.rows_of(origin.topic, origin.starts[0], origin.ends[0])
        origin_chunks = cut_into_chunks(rows, origin.chunk_rows)
    return Part(lineage, partition, start, end, chunks, origin_chunks, targets)
