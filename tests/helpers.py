"""Records, learners and lineages for quick tests."""

from collections.abc import Iterable
from itertools import islice

import msgspec

from streamlearn.datasets import digits
from streamlearn.learner import Learner
from streamlearn.lineage import Lineage
from streamlearn.messages import encode
from streamlearn.pipelines.digits import Digit, pipeline
from streamlearn.worker import Input

LINEAGE = Lineage(
    pipeline="digits",
    reference="digits",
    id="aaaa",
    parameters=dict(pipeline.parameters),
    start=0,
    epoch=1,
)


def records(count: int, seed: int = 3) -> list[Digit]:
    return [msgspec.convert(record, Digit) for record in islice(digits.records(seed=seed), count)]


def inputs(count: int, seed: int = 3, start: int = 0) -> list[Input]:
    values = islice(digits.records(seed=seed), count)
    return [Input(0, start + number, encode(value)) for number, value in enumerate(values)]


def learner(count: int = 0, cuts: Iterable[int] = ()) -> Learner:
    """A learner that has learned `count` records in chunks that end at `cuts` and at the end."""
    new = pipeline.new_learner()
    start, found = 0, records(count)
    for end in [*cuts, count]:
        if end > start:
            new.test_then_train(found[start:end], end)
        start = end
    return new
