"""Which model learns the digits best, and can be corrected? `scripts/bench corrections`.

UCI's 1,797 digits pass by, and each chunk of 256 is predicted, then learned. What is measured of each model:

first    accuracy on the first pass, where every record is new, once there is a model; and its ECE
ten      accuracy over ten passes
other    accuracy and ECE on UCI's 3,823 other digits after ten passes; they are never learned (--other)
drawn    accuracy and ECE on drawings after ten passes; how many wrong ones are given 90 % or more
tries    corrections until a wrong drawing is answered rightly, after 1, 10 and 200 passes: median, most
µs, kB   CPU time to predict and learn a record; the model's snapshot

ECE, the expected calibration error, is how far the largest probability is from the share that is right, in
ten bins of equal width, weighted by what is in them. The drawings are those that `tests/drawn.py` keeps for
measuring.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.naive_bayes import GaussianNB

from serving.drawing.drawing import make_picture
from streamlearn.datasets import digits as dataset
from streamlearn.errors import DataUnavailable
from streamlearn.estimators import RandomFeatureSoftmax, SharedLeastSquares
from streamlearn.learning.merging import LikelyCommittee
from streamlearn.learning.process import pin_blas_threads
from streamlearn.operations.quality.calibration import measure_calibration
from streamlearn.storage import archive

RESULTS = Path(__file__).parent.parent / "results" / "corrections.json"

_CHUNK_ROWS = 256
_CLASSES = np.arange(10)
_INK = 16.0
_MOST_TRIES = 1000
_DRAWINGS_EACH = 3
_TRIED_AFTER = (1, 10, 200)
"""Passes after which drawings are corrected."""
_WRONG_DRAWINGS = 12
"""The most wrong drawings of which each is corrected, from the same model."""

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Pictures, shape (n, 64), and their labels."""

    x: Floats
    y: Labels


class Scaled:
    """A classifier that sees pixels from 0 to 1; with a temperature, if wanted, that it learns as it goes."""

    def __init__(self, inner: Any, temperature_step: float = 0.0) -> None:
        self.inner, self.temperature_step, self.sharpness = inner, temperature_step, 1.0

    def partial_fit(self, x: Floats, y: Labels, classes: Any = None) -> None:
        """Let the temperature follow what is new, then learn it."""
        if self.temperature_step and hasattr(self.inner, "coef_"):
            scores = self.inner.decision_function(x / _INK)
            for row, label in zip(scores, y, strict=True):
                gradient = self.sharpness * (softmax(self.sharpness * row) @ row - row[label])
                self.sharpness *= np.exp(-np.clip(self.temperature_step * gradient, -0.1, 0.1))
        self.inner.partial_fit(x / _INK, y, classes=classes)

    def predict_proba(self, x: Floats) -> Floats:
        """Return the probabilities of the classes."""
        if not self.temperature_step:
            return np.asarray(self.inner.predict_proba(x / _INK))
        return np.asarray(softmax(self.sharpness * self.inner.decision_function(x / _INK), axis=1))


class LeastSquares:
    """Recursive least squares on 0 or 1 for each class; probabilities by a fixed softmax."""

    def __init__(self) -> None:
        self.inner = SharedLeastSquares(ridge=1.0)

    def partial_fit(self, x: Floats, y: Labels, classes: Any = None) -> None:
        """Learn rows, exactly."""
        self.inner.partial_fit(self._extend(x), np.eye(10)[y])

    def predict_proba(self, x: Floats) -> Floats:
        """Return the probabilities of the classes."""
        return np.asarray(softmax(6 * self.inner.predict(self._extend(x)), axis=1))

    def _extend(self, x: Floats) -> Floats:
        return np.hstack([x / _INK, np.ones((len(x), 1))])


class Two:
    """Two classifiers that learn the same and answer what they say in the mean."""

    classes_ = _CLASSES

    def __init__(self, *members: Any) -> None:
        self.members = members

    def partial_fit(self, x: Floats, y: Labels, classes: Any = None) -> None:
        """Let both learn."""
        for member in self.members:
            member.partial_fit(x, y, classes=classes)

    def predict_proba(self, x: Floats) -> Floats:
        """Return the mean of their probabilities."""
        return LikelyCommittee(self.members, [1, 1]).predict_proba(x)


def _descend(**parameters: Any) -> SGDClassifier:
    return SGDClassifier(**{"loss": "log_loss", "alpha": 1e-4, "shuffle": False, **parameters})


def _constant(eta0: float, **parameters: Any) -> SGDClassifier:
    return _descend(learning_rate="constant", eta0=eta0, **parameters)


def _expand(**parameters: Any) -> RandomFeatureSoftmax:
    return RandomFeatureSoftmax(**{"width": 28.0, "step": 1.5, "decay": 5e-5, **parameters})


CONTENDERS: Mapping[str, Callable[[], Any]] = {
    "SGDClassifier, as in the tutorial": lambda: _descend(penalty="l1", alpha=0.01),
    "SGDClassifier, optimal": lambda: Scaled(_descend()),
    "SGDClassifier, step 0.05": lambda: Scaled(_constant(0.05)),
    "SGDClassifier, step 0.2": lambda: Scaled(_constant(0.2)),
    "SGDClassifier, step 0.2, averaged": lambda: Scaled(_constant(0.2, average=True)),
    "SGDClassifier, step 0.2, temperature": lambda: Scaled(_constant(0.2), 0.03),
    "SGDClassifier, passive-aggressive, temperature": lambda: Scaled(
        SGDClassifier(penalty=None, learning_rate="pa1", eta0=0.1, random_state=0), 0.03
    ),
    "least squares": LeastSquares,
    "GaussianNB": lambda: GaussianNB(var_smoothing=1e-2),
    "GaussianNB and SGDClassifier, step 0.2": lambda: Two(
        GaussianNB(var_smoothing=1e-2), Scaled(_constant(0.2))
    ),
    "RandomFeatureSoftmax, 128 units": lambda: _expand(units=128),
    "RandomFeatureSoftmax, no temperature": lambda: _expand(temperature_step=0.0),
    "RandomFeatureSoftmax, step 0.5": lambda: _expand(step=0.5),
    "RandomFeatureSoftmax": _expand,
    "RandomFeatureSoftmax, 512 units": lambda: _expand(units=512),
}


def take_passes(seed: int) -> Iterator[Rows]:
    """Yield passes over the digits without end, each in a new order, as `streamlearn replay` sends them."""
    records = dataset.records(seed=seed)
    while True:
        one_pass = list(islice(records, dataset.SIZE))
        yield Rows(
            np.array([record["x"] for record in one_pass], dtype=np.float64),
            np.array([record["actual_y"] for record in one_pass]),
        )


def learn_pass(model: Any, rows: Rows, *, fitted: bool) -> tuple[Floats, float]:
    """Predict and learn a pass chunk by chunk; return the probabilities, and the CPU seconds."""
    probabilities = np.full((len(rows.y), 10), np.nan)
    start_s = time.process_time()
    for start in range(0, len(rows.y), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        if fitted or start:
            probabilities[chunk] = model.predict_proba(rows.x[chunk])
        model.partial_fit(rows.x[chunk], rows.y[chunk], classes=_CLASSES)
    return probabilities, time.process_time() - start_s


def score(probabilities: Floats, labels: Labels) -> dict[str, float]:
    """Return accuracy and ECE of the records that were predicted."""
    known = ~np.isnan(probabilities[:, 0])
    right = probabilities[known].argmax(axis=1) == labels[known]
    calibration = measure_calibration(probabilities[known], labels[known], range(10))
    return {"accuracy": float(right.mean()), "ece": calibration.ece}


def count_tries(model: Any, drawn: Rows) -> dict[str, float]:
    """Return how many corrections of a wrong drawing it takes, each from the same model: median and most."""
    wrong = np.flatnonzero(model.predict_proba(drawn.x).argmax(axis=1) != drawn.y)
    tries = []
    for row in wrong[:: max(1, -(-len(wrong) // _WRONG_DRAWINGS))]:
        corrected, x, y = deepcopy(model), drawn.x[row : row + 1], drawn.y[row : row + 1]
        count = 0
        while count < _MOST_TRIES and corrected.predict_proba(x).argmax() != y[0]:
            corrected.partial_fit(x, y)
            count += 1
        tries.append(count)
    return {"median": float(np.median(tries)), "most": float(max(tries))} if tries else {}


def measure(
    make: Callable[[], Any], drawn: Rows, other: Rows | None, passes: int, seed: int
) -> dict[str, Any]:
    """Return what a model is worth, as the module's docstring says."""
    model, right, records, spent_s = make(), 0, 0, 0.0
    result: dict[str, Any] = {"tries": {}}
    for number, rows in enumerate(islice(take_passes(seed), passes), start=1):
        probabilities, seconds = learn_pass(model, rows, fitted=number > 1)
        records, spent_s = records + len(rows.y), spent_s + seconds
        right += int((probabilities.argmax(axis=1) == rows.y)[_CHUNK_ROWS * (number == 1) :].sum())
        if number == 1:
            result["first"] = score(probabilities, rows.y)
        if number == 10:
            result["ten"] = right / (records - _CHUNK_ROWS)
            probabilities = model.predict_proba(drawn.x)
            sure = (probabilities.argmax(axis=1) != drawn.y) & (probabilities.max(axis=1) >= 0.9)
            result["drawn"] = {**score(probabilities, drawn.y), "sure_and_wrong": int(sure.sum())}
            if other is not None:
                result["other"] = score(model.predict_proba(other.x), other.y)
        if number in _TRIED_AFTER:
            result["tries"][str(number)] = count_tries(model, drawn)
    result["us"] = 1e6 * spent_s / records
    result["snapshot_bytes"] = _measure_snapshot(model)
    return result


def _measure_snapshot(model: Any) -> int:
    """Return the bytes of the estimators inside; what wraps them here holds next to nothing."""
    members = getattr(model, "members", [model])
    return sum(len(archive.dumps({"model": getattr(member, "inner", member)})) for member in members)


def draw_all(each: int) -> Rows:
    """Return the pictures of the drawings that are kept for measuring."""
    sys.path.append(str(Path(__file__).parents[2] / "tests"))
    drawings = list(import_module("drawn").make_drawings(odd=True, each=each))
    pictures = np.array([make_picture(drawing.svg) for drawing in drawings])
    return Rows(pictures, np.array([drawing.digit for drawing in drawings]))


def read_other(path: Path) -> Rows:
    """Return the digits of a file of UCI's (64 pixels and a label a line) that are not among the 1,797.

    Raises
    ------
    DataUnavailable
        The file holds something else.
    """
    lines = [line for line in path.read_text().splitlines() if line and line[0] != "@"]
    try:
        table = np.array([[int(value) for value in line.split(",")] for line in lines])
        rows = Rows(table[:, :64].astype(np.float64), table[:, 64])
    except (ValueError, IndexError) as error:
        raise DataUnavailable(f"{path} is not optdigits, 64 pixels and a label a line: {error}") from error
    known = {picture.tobytes() for picture in load_digits(return_X_y=True)[0]}
    new = np.array([picture.tobytes() not in known for picture in rows.x])
    return Rows(rows.x[new], rows.y[new])


def format_table(results: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| digits | first | ten | other | drawn | sure and wrong | tries after 1 | 10 | 200 | µs | kB |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for name, row in results.items():
        tries = [
            f"{t['median']:.0f}, {t['most']:.0f}" if (t := row["tries"].get(n)) else "–"
            for n in map(str, _TRIED_AFTER)
        ]
        cells = [
            _format_score(row["first"]),
            f"{100 * row['ten']:.1f} %" if "ten" in row else "–",
            _format_score(row.get("other")),
            _format_score(row.get("drawn")),
            str(row["drawn"]["sure_and_wrong"]) if "drawn" in row else "–",
            *tries,
            f"{row['us']:.0f}",
            f"{row['snapshot_bytes'] / 1000:.0f}",
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def _format_score(scored: Mapping[str, float] | None) -> str:
    return "–" if scored is None else f"{100 * scored['accuracy']:.1f} %, {scored['ece']:.3f}"


@click.command(help=__doc__.replace("\n\nfirst", "\n\n\b\nfirst"))
@click.option(
    "--other",
    "other_path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file of UCI's optdigits (or KEEL's, with all 5,620).",
)
@click.option("--only", default="", help="Only models whose names hold this.")
@click.option("--seed", default=1, show_default=True, help="The order of the digits.")
@click.option("--write", is_flag=True, help="Write the results beside the others.")
@click.option("--passes", default=200, show_default=True, help="How often the digits pass by; at least 10.")
@click.option("--quick", is_flag=True, help="A first look: ten passes, a drawing of each shape.")
def main(other_path: Path | None, only: str, seed: int, write: bool, passes: int, quick: bool) -> None:
    """Measure and print."""
    pin_blas_threads()
    warnings.simplefilter("ignore")
    other = None if other_path is None else read_other(other_path)
    drawn = draw_all(each=1 if quick else _DRAWINGS_EACH)
    results = {}
    for name, make in CONTENDERS.items():
        if only in name:
            results[name] = measure(make, drawn, other, 10 if quick else passes, seed)
            click.echo(json.dumps({name: results[name]}), err=True)
    for line in format_table(results):
        click.echo(line)
    if write:
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
