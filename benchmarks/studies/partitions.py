"""What it costs in accuracy that N learners share a stream, simulated without Kafka and Flink.

The digits, pass after pass, are dealt out to N partitions. Each learner is the linear model of `digits_sgd`,
and learns its own in chunks; every record is predicted before anybody has learned it, by four models.
`scripts/bench partitions`.

own      the learner of the record's partition, as the job answers
average  one linear model, its parameters averaged by how much each learner has learned
vote     what most learners predict; of several, the smallest class
one      a single learner that has the whole stream to itself
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import takes_output
from streamlearn.datasets import digits
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.learning.merging import Committee, merge_models
from streamlearn.learning.process import pin_blas_threads
from streamlearn.pipelines.digits import Digit
from streamlearn.pipelines.digits_sgd import pipeline

_CHUNK_ROWS = 256
_FIRST_LOOK = (1, 4)
_LEARNERS = (1, 2, 4, 8)
_MODELS = ("own", "average", "vote", "one")
_UNTIL = (10_000, 100_000)

Labels = NDArray[np.int64]


def average(learners: Sequence[Learner]) -> Any:
    """Return a linear model whose parameters are the mean of the learners', weighted by what they learned."""
    trained = [learner for learner in learners if learner.trained]
    weights = [sum(learner.score.counts().values()) for learner in trained]
    return merge_models([learner.model for learner in trained], weights, "average")


def vote(learners: Sequence[Learner], features: NDArray[Any]) -> Labels:
    """Return what most learners predict, shape (n_records,)."""
    models = [learner.model for learner in learners if learner.trained]
    return Committee(models, np.ones(len(models))).predict(features)


def simulate(count: int) -> dict[str, dict[str, float]]:
    """Return the accuracy of each model over the first records, for `count` learners.

    Records before a model has learned anything are left out, the same ones for all.
    """
    learners = [pipeline.new_learner() for _ in range(count)]
    alone = pipeline.new_learner()
    right = dict.fromkeys(_MODELS, 0)
    scored, results = 0, {}
    for number, block in enumerate(deal_out(count, max(_UNTIL))):
        records = [record for chunk in block for record in chunk]
        features = pipeline.learning.features_of(records)
        labels = np.array([record.actual_y for record in records])
        if number:
            assert features is not None
            edges = np.cumsum([len(chunk) for chunk in block])[:-1]
            pairs = zip(learners, np.split(features, edges), strict=True)
            predictions = {
                "own": np.concatenate([learner.model.predict(part) for learner, part in pairs]),
                "average": average(learners).predict(features),
                "vote": vote(learners, features),
                "one": alone.model.predict(features),
            }
            scored += len(records)
            for name, predicted in predictions.items():
                right[name] += int(np.sum(predicted == labels))
        for learner, chunk in zip(learners, block, strict=True):
            predict_then_learn(learner, chunk, learner.version + len(chunk))
            predict_then_learn(alone, chunk, alone.version + len(chunk))
        for limit in _UNTIL:
            if alone.version >= limit and str(limit) not in results:
                results[str(limit)] = {name: sum_ / max(1, scored) for name, sum_ in right.items()}
    return results


def deal_out(count: int, records: int) -> Iterator[list[list[Digit]]]:
    """Yield blocks of one chunk for each partition, the records dealt out in turn, until there are enough."""
    stream = digits.records(seed=0, passes=None)
    rows = max(1, min(_CHUNK_ROWS, _UNTIL[0] // (4 * count)))
    for _ in range(0, records + rows * count, rows * count):
        block = [msgspec.convert(record, Digit) for record in islice(stream, rows * count)]
        yield [block[partition::count] for partition in range(count)]


@click.command(help=__doc__.replace("\n\nown", "\n\n\b\nown"))
@click.option(
    "--learners",
    "counts",
    type=click.IntRange(min=1),
    multiple=True,
    default=_LEARNERS,
    show_default=True,
    help="How many learners share the stream; may be given several times.",
)
@click.option("--quick", is_flag=True, help="A first look: one learner and four.")
@takes_output("partitions", "the results are written as JSON")
def main(counts: tuple[int, ...], output: Path, quick: bool) -> None:
    """Simulate and print."""
    pin_blas_threads()
    results = {}
    click.echo(f"{'learners':>8} {'records':>9}" + "".join(f"{n:>9}" for n in _MODELS))
    for count in _FIRST_LOOK if quick else counts:
        results[str(count)] = simulate(count)
        for limit, accuracies in results[str(count)].items():
            click.echo(f"{count:8} {limit:>9}" + "".join(f"{value:9.4f}" for value in accuracies.values()))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=2) + "\n")
    click.echo(f"written to {output}")


if __name__ == "__main__":
    main()
