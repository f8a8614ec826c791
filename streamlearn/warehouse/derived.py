"""The input and the predictions of a pipeline, as topics of the catalogue: from its record type."""

from typing import Any

import msgspec
from msgspec import inspect

from streamlearn.pipelines.base import Pipeline
from streamlearn.warehouse.catalogue import Column, Topic, quote_name

_PLAIN: dict[type[Any], str] = {
    inspect.BoolType: "BOOLEAN",
    inspect.IntType: "BIGINT",
    inspect.FloatType: "DOUBLE",
    inspect.DecimalType: "DOUBLE",
}

_STAMP = (
    Column("partition", "INT", description="the record's partition in the input"),
    Column("offset", "BIGINT", description="the record's offset there"),
    Column(
        "model_version", "BIGINT", description="the version that answered: the offset it had learned up to"
    ),
    Column("lineage", "STRING", description="the history that the model belongs to"),
)

_ANSWERS = {
    "forecast": "MAP<STRING, DOUBLE>",
    "ranges": "MAP<STRING, MAP<STRING, ARRAY<DOUBLE>>>",
}


def derive_topics(pipeline: Pipeline) -> list[Topic]:
    """Return the topics of a pipeline's records and of its predictions."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(pipeline.record)}
    types = {name: convert_type(inspect.type_info(field.type)) for name, field in fields.items()}
    label = types.get(pipeline.label_name or "", "DOUBLE")
    answers = [
        Column(name, _ANSWERS.get(name, label), description="what the learner answered")
        for name in pipeline.learning.answer_fields
    ]
    repeated = [
        Column(name, types[name], description="as in the record") for name in pipeline.passthrough_fields
    ]
    return [
        Topic(
            pipeline.topic,
            owner="producers",
            description=f"The records of {pipeline.name}.",
            columns=tuple(Column(name, kind) for name, kind in types.items()),
            layer="raw",
        ),
        Topic(
            pipeline.prediction_topic,
            owner=f"{pipeline.name}: learn",
            description=f"The predictions of {pipeline.name}.",
            columns=(*repeated, *answers, *_STAMP),
            layer="answers",
        ),
    ]


def convert_type(kind: inspect.Type) -> str:
    """Return the type in Flink SQL for what msgspec knows of a field's; what SQL lacks is its text.

    >>> convert_type(inspect.type_info(list[float] | None))
    'ARRAY<DOUBLE>'
    """
    if isinstance(kind, inspect.UnionType):
        others = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        return _unite([convert_type(member) for member in others])
    if isinstance(kind, inspect.LiteralType):
        return "BIGINT" if all(isinstance(value, int) for value in kind.values) else "STRING"
    if isinstance(kind, inspect.ListType | inspect.SetType | inspect.FrozenSetType | inspect.VarTupleType):
        return f"ARRAY<{convert_type(kind.item_type)}>"
    if isinstance(kind, inspect.DictType):
        return f"MAP<STRING, {convert_type(kind.value_type)}>"
    if isinstance(kind, inspect.StructType):
        fields = (f"{quote_name(f.encode_name)} {convert_type(f.type)}" for f in kind.fields)
        return f"ROW<{', '.join(fields)}>"
    if isinstance(kind, inspect.Metadata):
        return convert_type(kind.type)
    return _PLAIN.get(type(kind), "STRING")


def _unite(kinds: list[str]) -> str:
    """Return the type that holds the values of all of these.

    >>> _unite(["BIGINT", "DOUBLE"]), _unite(["BIGINT", "STRING"])
    ('DOUBLE', 'STRING')
    """
    if len(set(kinds)) == 1:
        return kinds[0]
    return "DOUBLE" if set(kinds) == {"BIGINT", "DOUBLE"} else "STRING"
