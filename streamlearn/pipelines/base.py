"""What a pipeline is: its topics, the type of its records, and how it learns."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from streamlearn.datasets.base import DataSet
from streamlearn.datasets.table import Table
from streamlearn.errors import ConfigurationError
from streamlearn.learning.learner import Learner, Learning, OutputField, RecentIds
from streamlearn.pipelines import definition
from streamlearn.pipelines.display import Display
from streamlearn.stream.records import CONTROL_SUFFIX, DEAD_LETTER_SUFFIX, Codec

_ID_TYPES = (inspect.StrType, inspect.IntType, inspect.UUIDType, inspect.NoneType)
"""What an id can be: what is written in one way only."""


@dataclass(frozen=True)
class Pipeline:
    """One stream of records and what learns from it.

    Parameters
    ----------
    name
        What it is called everywhere: in Flink, in Redis, in the server's routes.
    topic
        Where its records come from; several pipelines may learn from one topic.
    prediction_topic
        Where its predictions go.
    record
        The msgspec struct that a record must fit; what does not is a dead letter.
    learning
        How it learns: `Tabular`, `Forecast`, or a kind of your own.
    parameters
        What the estimator is made with, the seed included; fixed with the lineage.
    passthrough_fields
        The fields of a record, by their names in JSON, that its prediction repeats.
    chunk_rows
        Most records in one predict-then-learn step; 1 makes results independent of how records arrive.
    trusted_types
        Types inside the learner's state that neither skops nor streamlearn knows, but may be loaded.
    dataset
        What `streamlearn replay` sends: a `DataSet`, or the `Table` of a file.
    key
        The field of a record, by its name in JSON, whose equal values stay in one partition of the topic:
        `"station"`. None: the key of the learning (`Forecast.key`); where it has none, a series stays in one,
        and other records are dealt out.
    identity
        The field of a record, as the struct calls it, whose value is its own: `"id"`. Of two records with one
        the second, which a producer has sent again, is a dead letter, and not learned. A record where it is
        null is always taken. None: records are not told apart.
    remembers
        How many ids are kept, in each partition: a record is recognised among the newest so many that had one
        and were answered. Each takes eight bytes of every snapshot.
    display
        How pages show it; nothing of it decides a prediction.
    revision
        Your own word for what decides predictions (record, features, label). With one, you promise that the
        same revision predicts the same, and their code may be rearranged; without, every edit of their code
        is noticed when a lineage goes on. See `streamlearn/pipelines/definition.py`.
    earlier
        What this pipeline was before, as pipelines of other parameters. A lineage that began with one of them
        goes on with it, its answers as they were; a new lineage begins with this one. Of an earlier pipeline
        only the learning, the parameters, the identity and the revision count.
    reference
        By what `load` finds it again, in any process; set by `load`.
    """

    name: str
    topic: str
    prediction_topic: str
    record: type[Any]
    learning: Learning
    parameters: Mapping[str, Any]
    passthrough_fields: tuple[str, ...] = ()
    chunk_rows: int | None = None
    trusted_types: tuple[str, ...] = ()
    dataset: DataSet | Table | None = None
    key: str | None = None
    identity: str | None = None
    remembers: int = 10_000
    display: Display = Display()
    revision: str | None = None
    earlier: tuple["Pipeline", ...] = ()
    reference: str = ""

    def __post_init__(self) -> None:
        """Check that the record type has the fields that are read, and earlier pipelines can be told apart.

        Raises
        ------
        ConfigurationError
            The record type lacks a field, or no id is remembered.
        ValueError
            An earlier pipeline could not be told from this one, or learners that are merged by key have none.
        """
        for name in self.learning.fields_read:
            if not hasattr(self.record, name):
                raise ConfigurationError(self._describe_missing_field(name))
        if self.identity is not None:
            self._check_identity(self.identity)
        parameters = [_plain(pipeline.parameters) for pipeline in (self, *self.earlier)]
        if any(values in parameters[:number] for number, values in enumerate(parameters)):
            raise ValueError(f"an earlier pipeline of {self.name} needs other parameters, to be told by them")
        if self.learning.merges_by_key and self.learning.key_field is None and self.key is None:
            raise ValueError(f'merging="key" asks the learner of a record\'s key: {self.name} needs a `key`')

    def _check_identity(self, name: str) -> None:
        if self.remembers < 1:
            raise ConfigurationError(f"{self.name}: remembers={self.remembers} ids; let it be at least one")
        described = inspect.type_info(self.record)
        kinds = {field.name: field.type for field in getattr(described, "fields", ())}
        if name not in kinds:
            raise ConfigurationError(self._describe_missing_field(name))
        kind = kinds[name]
        types = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
        if not all(isinstance(type_, _ID_TYPES) for type_ in types):
            raise ConfigurationError(
                f"{self.name}: identity {name!r} must be text or a whole number, or null"
            )

    def _describe_missing_field(self, name: str) -> str:
        fields = [field.name for field in msgspec.structs.fields(self.record)]
        similar = get_close_matches(name, fields, 1)
        hint = f"is it {similar[0]!r}?" if similar else f"its fields: {', '.join(fields)}"
        return f"{self.name}: {self.record.__name__} has no field {name!r}, which is to be read; {hint}"

    @property
    def dead_letter_topic(self) -> str:
        """Where records that cannot be taken are kept."""
        return self.topic + DEAD_LETTER_SUFFIX

    @property
    def control_topic(self) -> str:
        """Where control records that were obeyed are reported."""
        return self.topic + CONTROL_SUFFIX

    @cached_property
    def codec(self) -> Codec:
        """Reads this pipeline's records and writes its predictions."""
        late_label = self.learning.late_label(self.record)
        answered = self.learning.answered_record(self.record)
        return Codec(self.record, self.passthrough_fields, self.learning.answer_fields, late_label, answered)

    @property
    def label_name(self) -> str | None:
        """The name in JSON of the field that holds the label; None where no single field does."""
        return self._json_name(self.learning.label_field)

    @property
    def series_key(self) -> str | None:
        """The name in JSON of the field whose values are series of their own; None where there is none."""
        return self._json_name(self.learning.key_field)

    def _json_name(self, field_name: str | None) -> str | None:
        """Return the name in JSON of a field of the record; None where it has no such field."""
        names = {field.name: field.encode_name for field in msgspec.structs.fields(self.record)}
        return names.get(field_name or "")

    def take_fields(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the record's fields that an answer repeats, by names and of types as in the struct."""
        return {
            field.name: msgspec.convert(answer[field.encode_name], field.type)
            for field in msgspec.structs.fields(self.record)
            if field.encode_name in answer
        }

    @cached_property
    def output_fields(self) -> list[OutputField]:
        """The arrays that the learner's `outputs` returns."""
        return self.learning.output_fields(self.parameters)

    @property
    def definition(self) -> dict[str, Any]:
        """What is fixed with a lineage, by name: a learner that began with other values cannot go on."""
        described = definition.describe(self.learning, self.record, self.parameters, self.revision)
        if self.identity is not None:
            described["identity"] = {"field": self.identity, "remembers": self.remembers}
        return described

    def changes_since(self, before: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Return what is not as it was in the definition that a lineage began with: name → (before, now).

        Nothing, where it began with an earlier pipeline that it can go on with.
        """
        going_on = self.going_on_from(before)
        return definition.find_changes(before, going_on.definition, going_on.learning, self.record)

    def going_on_from(self, before: Mapping[str, Any]) -> "Pipeline":
        """Return the pipeline that a lineage of a definition goes on with: this one, or an earlier one."""
        for pipeline in (self, *self._past()):
            if not definition.find_changes(before, pipeline.definition, pipeline.learning, self.record):
                return pipeline
        return self

    def with_parameters(self, parameters: Mapping[str, Any]) -> "Pipeline":
        """Return the pipeline that has a lineage's parameters: an earlier one, or else this one."""
        plain = _plain(parameters) if self.earlier else {}
        return next((past for past in self._past() if _plain(past.parameters) == plain), self)

    def _past(self) -> list["Pipeline"]:
        """Return the earlier pipelines with everything else as it is now."""
        return [
            replace(
                self,
                learning=p.learning,
                parameters=p.parameters,
                revision=p.revision,
                identity=p.identity,
                remembers=p.remembers,
                earlier=(),
            )
            for p in self.earlier
        ]

    def read_file(self, file: Path) -> Table:
        """Return a file's rows as this pipeline's records, by the rules of its own table if it has one."""
        if isinstance(self.dataset, Table):
            return self.dataset.at(file)
        return Table(file.absolute(), self.record)

    def chunk_limit(self, limit: int) -> int:
        """Return how many records are predicted and learned in one step, if the settings allow `limit`."""
        return min(most for most in (limit, self.chunk_rows, self.learning.max_chunk_rows) if most)

    def new_learner(self, parameters: Mapping[str, Any] | None = None, version: int = 0) -> Learner:
        """Make a learner that has learned nothing; with a lineage's parameters, as it was when that began."""
        parameters = self.parameters if parameters is None else parameters
        pipeline = self.with_parameters(parameters)
        learner = pipeline.learning.new_learner(parameters, version)
        if pipeline.identity is not None:
            learner.recent_ids = RecentIds(pipeline.identity, pipeline.remembers)
        return learner


def _plain(parameters: Mapping[str, Any]) -> Any:
    """Return parameters as they stand in the register of lineages."""
    return msgspec.json.decode(msgspec.json.encode(dict(parameters)))
