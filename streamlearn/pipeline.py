"""What a pipeline is, and the registry of those installed.

A pipeline names its topics, the type of its records, and how it learns. The built-in ones are in
`pipelines/`. One of your own is an object of this class in a module of your own; it is registered under the
entry-point group `streamlearn.pipelines`, or named as `package.module:object`
(`docs/your-own-pipeline.md`).
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

import msgspec

from streamlearn.drivers import Driver
from streamlearn.errors import UnknownPipeline
from streamlearn.learner import Learner
from streamlearn.messages import CONTROL_SUFFIX, DEAD_LETTER_SUFFIX, Codec
from streamlearn.settings import Settings

GROUP = "streamlearn.pipelines"


class Learning(Protocol):
    """How a pipeline learns: `Rows` in `learner.py`, `Forecast` in `forecast.py`, or one of your own."""

    @property
    def answers(self) -> Sequence[str]:
        """The fields that a prediction adds to its record."""
        ...

    @property
    def chunk_rows(self) -> int | None:
        """Most records that it can take in one step; 1 where one decides whether the next can be taken."""
        ...

    def new(self, parameters: Mapping[str, Any], version: int) -> Learner:
        """Make a learner that has learned nothing."""
        ...


@dataclass(frozen=True)
class DataSet:
    """Records to replay."""

    records: Callable[..., Iterator[dict[str, Any]]]
    """`records(seed=…, passes=…)` yields wire records; `passes=None` goes on for ever."""
    size: int
    """Records in one pass."""
    prepare: Callable[[], None] = lambda: None
    """Fetch what is needed; raises `DataUnavailable` where that cannot be."""


@dataclass(frozen=True)
class Band:
    """A range of values that people have a name for; it reaches up to the next band."""

    above: float
    name: str
    colour: str
    """As CSS names it, such as `#8bc34a`."""


@dataclass(frozen=True)
class Shown:
    """How pages show a pipeline. Nothing of this decides a prediction."""

    value: str = ""
    """The field of a record that is forecast; without it a forecast is shown without its past."""
    title: str = ""
    """What the value is, for people."""
    unit: str = ""
    step_s: int = 0
    """Seconds a step, where steps count from 1970; 0: steps are numbers."""
    step_unit: str = ""
    """What a step is called, such as `h`."""
    bands: tuple[Band, ...] = ()
    """Ranges of the value, ascending."""
    bands_source: str = ""
    """Where the bands come from."""
    picture: tuple[int, int] | None = None
    """Rows and columns, where a record's features are a picture, row by row from the top left."""


@dataclass(frozen=True)
class Pipeline:
    """One stream of records and what learns from it."""

    name: str
    topic: str
    prediction_topic: str
    record: type[Any]
    """The msgspec struct that a record must fit."""
    learning: Learning
    """How it learns."""
    parameters: Mapping[str, Any]
    """What the estimator is made with, the seed included; fixed with the lineage."""
    echo: tuple[str, ...]
    """The fields of a record that its prediction repeats."""
    chunk_rows: int | None = None
    """Most records in one predict-then-learn step; 1 makes results independent of how records arrive."""
    trusted_types: tuple[str, ...] = ()
    """Types inside the learner's state that skops does not know but may load."""
    data: DataSet | None = None
    """What `streamlearn replay` sends."""
    shown: Shown = Shown()
    """How pages show it."""
    reference: str = ""
    """By what `load` finds it again, in any process; set by `load`."""

    @property
    def drivers(self) -> tuple[Driver, ...]:
        """What may drive the value that is forecast, and by how many steps ahead: see `streamlearn lags`."""
        return getattr(self.learning, "drivers", ())

    @property
    def dead_letter_topic(self) -> str:
        """Where records that cannot be read are kept."""
        return self.topic + DEAD_LETTER_SUFFIX

    @property
    def control_topic(self) -> str:
        """Where control records that were obeyed are told of."""
        return self.topic + CONTROL_SUFFIX

    @cached_property
    def codec(self) -> Codec:
        """Reads this pipeline's records and writes its predictions."""
        return Codec(self.record, self.echo, self.learning.answers)

    @property
    def settled(self) -> dict[str, Any]:
        """What is fixed with a lineage, by name: a learner that began with other values cannot go on."""
        how = self.learning
        named: dict[str, Any] = (
            {f.name: getattr(how, f.name) for f in fields(how)} if is_dataclass(how) else {}
        )
        found = {"learning": _named(type(how)), "record": _named(self.record), **dict(self.parameters)}
        found |= {name: _named(value) if callable(value) else value for name, value in named.items()}
        # What a driver is called for people, and its unit, decide nothing.
        found |= {"drivers": [driver.name for driver in self.drivers]}
        unused = {"drivers", "longest_lag"} if not self.drivers else set()
        unused |= {"lags", "names"} if found.get("lags") is None else set()
        found = {name: value for name, value in found.items() if name not in unused}
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
        return plain

    def rows_a_step(self, most: int) -> int:
        """Return how many records are predicted and learned in one step, if the settings allow `most`."""
        return min(limit for limit in (most, self.chunk_rows, self.learning.chunk_rows) if limit)

    def new_learner(self, parameters: Mapping[str, Any] | None = None, version: int = 0) -> Learner:
        """Make a learner that has learned nothing."""
        return self.learning.new(self.parameters if parameters is None else parameters, version)


def _named(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"


def names() -> list[str]:
    """The registered pipelines, sorted."""
    return sorted(entry_points(group=GROUP).names)


def served(settings: Settings) -> list["Pipeline"]:
    """Every pipeline that the whole stack runs: those registered, and those that the settings name."""
    own = [reference.strip() for reference in settings.pipelines.split(",") if reference.strip()]
    return [load(reference) for reference in [*names(), *own]]


def load(reference: str) -> Pipeline:
    """Find a pipeline: a registered one by its name, any other as `package.module:object`.

    Modules are looked for where Python does and in the current folder.

    Raises
    ------
    UnknownPipeline
        There is none.
    """
    if ":" in reference:
        return _imported(reference)
    for entry in entry_points(group=GROUP, name=reference):
        return _checked(entry.load(), reference)
    raise UnknownPipeline(
        f"no pipeline is called {reference!r}; there are: {', '.join(names())}."
        " One of your own is named as package.module:object"
    )


def _imported(reference: str) -> Pipeline:
    module, _, attribute = reference.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        return _checked(getattr(import_module(module), attribute), reference)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownPipeline(f"{reference} cannot be loaded: {error}") from error


def _checked(found: object, reference: str) -> Pipeline:
    if not isinstance(found, Pipeline):
        raise UnknownPipeline(f"{reference} is a {type(found).__name__}, not a Pipeline")
    return replace(found, reference=reference)
