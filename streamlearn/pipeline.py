"""What a pipeline is, and the registry of those installed.

A pipeline names its topics, the type of its records, how features and label come out of one, and the
estimator that learns. The built-in ones are in `pipelines/`; others register an object of this class under
the entry-point group `streamlearn.pipelines`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import UnknownPipeline
from streamlearn.messages import DEAD_LETTER_SUFFIX, Codec

GROUP = "streamlearn.pipelines"


@dataclass(frozen=True)
class Pipeline:
    """One stream of records and the model that learns from it."""

    name: str
    topic: str
    prediction_topic: str
    record: type[Any]
    """The msgspec struct that a record must fit."""
    features: Callable[[Sequence[Any]], NDArray[np.float64]]
    """n records → array (n, n_features); the same call serves training and predicting."""
    label: Callable[[Any], int | None]
    """One record → its class, or None where it has none."""
    classes: tuple[int, ...]
    """Every class that a label can have."""
    estimator: Callable[..., Any]
    """Parameters (those of the lineage) → a new classifier with `predict` and `partial_fit`."""
    parameters: Mapping[str, Any]
    """What `estimator` is called with, the seed included; fixed with the lineage."""
    echo: tuple[str, ...]
    """The fields of a record that its prediction repeats."""
    trusted_types: tuple[str, ...] = ()
    """Types inside the estimator's state that skops does not know but may load."""
    source: Callable[..., Iterator[dict[str, Any]]] | None = None
    """`source(seed=…, passes=…)` yields the records that `streamlearn replay` sends."""
    source_size: int = 0
    """Records in one pass of `source`."""

    @property
    def dead_letter_topic(self) -> str:
        """Where records that cannot be read are kept."""
        return self.topic + DEAD_LETTER_SUFFIX

    @cached_property
    def codec(self) -> Codec:
        """Reads this pipeline's records and writes its predictions."""
        return Codec(self.record, self.echo, ("predict_y",))


def names() -> list[str]:
    """The registered pipelines, sorted."""
    return sorted(entry_points(group=GROUP).names)


def load(name: str) -> Pipeline:
    """Find a registered pipeline.

    Raises
    ------
    UnknownPipeline
        None is registered under `name`; the message lists those that are.
    """
    for entry in entry_points(group=GROUP, name=name):
        pipeline = entry.load()
        assert isinstance(pipeline, Pipeline), f"{entry.value} is not a Pipeline"
        return pipeline
    raise UnknownPipeline(f"no pipeline is called {name!r}; there are: {', '.join(names())}")
