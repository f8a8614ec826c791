"""What `streamlearn init` drafts, beside what else it could draft. `scripts/bench drafts`.

Classes and numbers from 24 tables, made with a seed or part of scikit-learn; each row is predicted, then
learned, in chunks of 16, as a quiet topic brings them, by the learner that a job runs. The features are
declared by `Columns`, as a drafted module does. The cost is the CPU time of all that.
"""

import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

from streamlearn.estimators import Standardized
from streamlearn.learning import Columns, Tabular
from streamlearn.learning.learner import predict_then_learn
from streamlearn.learning.process import pin_blas_threads
from streamlearn.pipelines import Pipeline

RESULTS = Path(__file__).parent.parent / "results" / "drafts.json"
_CHUNK_ROWS = 16
_ROWS = 2000
_Data = tuple[NDArray[Any], NDArray[Any]]

CLASSIFIERS: dict[str, dict[str, Any]] = {
    "PartlyLinearSoftmax": {"step": 0.25, "seed": 0},
    "SGDClassifier": {"loss": "log_loss", "learning_rate": "constant", "eta0": 0.05, "random_state": 0},
    "RandomFeatureSoftmax": {"width": 4.0, "step": 0.25, "decay": 4e-4},
    "GaussianNB": {},
}
REGRESSORS: dict[str, dict[str, Any]] = {
    "PartlyLinearLeastSquares": {"drift": 5e-5, "seed": 0},
    "RecursiveLeastSquares": {"ridge": 10.0},
    "SGDRegressor": {"random_state": 0},
    "SGDRegressor, constant": {"random_state": 0, "learning_rate": "constant", "eta0": 0.01},
}
"""What stands inside of `Standardized`; behind a comma what tells two of one name apart."""


def _shuffle(load: Callable[..., Any]) -> _Data:
    x, y = load(return_X_y=True)
    rows = np.random.RandomState(7).permutation(len(x))[:_ROWS]
    return x[rows], y[rows]


def _make_linear(columns: int) -> _Data:
    random = np.random.RandomState(1)
    x = random.normal(size=(_ROWS, columns))
    return x, (x @ random.normal(size=columns) + random.normal(size=_ROWS) > 0).astype(int)


def _make_letters() -> _Data:
    """Five columns of twelve letters each, as ones and zeros; each letter has its own effect."""
    random = np.random.RandomState(2)
    letters = random.randint(12, size=(_ROWS, 5))
    effects = random.normal(size=(5, 12))
    score = effects[np.arange(5), letters].sum(axis=1) + 0.5 * random.normal(size=_ROWS)
    return (letters[:, :, None] == np.arange(12)).reshape(_ROWS, 60).astype(float), (score > 0).astype(int)


def _make_words() -> _Data:
    """Texts of six words out of 256, counted."""
    random = np.random.RandomState(3)
    x = np.zeros((_ROWS, 256))
    for words in random.randint(256, size=(6, _ROWS)):
        x[np.arange(_ROWS), words] += 1
    return x, (x @ random.normal(size=256) > 0).astype(int)


def _make_drift() -> _Data:
    """A border that turns once around."""
    random = np.random.RandomState(4)
    x, angle = random.normal(size=(_ROWS, 8)), np.linspace(0, 2 * np.pi, _ROWS)
    side = x[:, 0] * np.cos(angle) + x[:, 1] * np.sin(angle) + 0.3 * random.normal(size=_ROWS)
    return x, (side > 0).astype(int)


def _make_sea() -> _Data:
    """SEA concepts (W. N. Street, Y. Kim, KDD 2001): a border that jumps, a tenth of the labels wrong."""
    random = np.random.RandomState(5)
    x = random.uniform(0, 10, size=(_ROWS, 3))
    y = (x[:, 0] + x[:, 1] <= np.repeat([8, 9, 7, 9.5], _ROWS // 4)).astype(int)
    return x, np.where(random.uniform(size=_ROWS) < 0.1, 1 - y, y)


def _make_rare() -> _Data:
    """One class in thirty rows."""
    random = np.random.RandomState(6)
    x = random.normal(size=(_ROWS, 15))
    score = x @ random.normal(size=15) / 4 + 0.3 * random.normal(size=_ROWS)
    return x, (score > np.quantile(score, 1 - 1 / 30)).astype(int)


def _make_line(columns: int) -> _Data:
    random = np.random.RandomState(8)
    x = random.normal(size=(_ROWS, columns))
    return x, x @ random.normal(size=columns) + random.normal(size=_ROWS)


def _make_letter_effects() -> _Data:
    x, _ = _make_letters()
    random = np.random.RandomState(9)
    return x, x @ random.normal(size=60) + 0.5 * random.normal(size=_ROWS)


def _make_wave() -> _Data:
    random = np.random.RandomState(10)
    x = random.uniform(-3, 3, size=(_ROWS, 2))
    return x, np.sin(2 * x[:, 0]) * x[:, 1] + 0.2 * random.normal(size=_ROWS)


def _make_jumps() -> _Data:
    """A linear model that is another one after each quarter."""
    random = np.random.RandomState(11)
    x, effects = random.normal(size=(_ROWS, 6)), random.normal(size=(4, 6))
    y = (x * np.repeat(effects, _ROWS // 4, axis=0)).sum(axis=1)
    return x, y + 0.5 * random.normal(size=_ROWS)


def _make_walk() -> _Data:
    """A linear model whose coefficients walk."""
    random = np.random.RandomState(12)
    x, effects = random.normal(size=(_ROWS, 5)), np.cumsum(0.02 * random.normal(size=(_ROWS, 5)), axis=0)
    return x, (x * effects).sum(axis=1) + 0.3 * random.normal(size=_ROWS)


CLASSES: dict[str, Callable[[], _Data]] = {
    "iris": lambda: _shuffle(datasets.load_iris),
    "wine": lambda: _shuffle(datasets.load_wine),
    "breast cancer": lambda: _shuffle(datasets.load_breast_cancer),
    "digits": lambda: _shuffle(datasets.load_digits),
    "moons": lambda: datasets.make_moons(_ROWS, noise=0.25, random_state=1),
    "circles": lambda: datasets.make_circles(_ROWS, noise=0.1, factor=0.5, random_state=1),
    "linear, 60 columns": lambda: _make_linear(60),
    "linear, 5 columns": lambda: _make_linear(5),
    "4 classes, 60 columns": lambda: datasets.make_classification(
        _ROWS, 60, n_informative=20, n_redundant=10, n_classes=4, random_state=3
    ),
    "3 classes, 10 columns": lambda: datasets.make_classification(
        _ROWS, 10, n_informative=6, n_classes=3, random_state=4
    ),
    "letters, one-hot": _make_letters,
    "words, counted": _make_words,
    "a border that turns": _make_drift,
    "SEA concepts": _make_sea,
    "a rare class": _make_rare,
}
NUMBERS: dict[str, Callable[[], _Data]] = {
    "diabetes": lambda: _shuffle(datasets.load_diabetes),
    "friedman1": lambda: datasets.make_friedman1(_ROWS, 10, noise=1.0, random_state=1),
    "friedman2": lambda: datasets.make_friedman2(_ROWS, noise=50.0, random_state=1),
    "friedman3": lambda: datasets.make_friedman3(_ROWS, noise=0.1, random_state=1),
    "linear, 30 columns": lambda: _make_line(30),
    "letters, one-hot": _make_letter_effects,
    "a wave": _make_wave,
    "effects that jump": _make_jumps,
    "effects that walk": _make_walk,
}


def make_pipeline(columns: int, classes: tuple[int, ...] | None, inner: str, parameters: Any) -> Pipeline:
    """Return a pipeline as it is drafted for so many columns of numbers."""
    names = [f"x{number}" for number in range(columns)]
    record = msgspec.defstruct("Row", [*((name, float) for name in names), ("y", float | int | None)])
    return Pipeline(
        name="draft",
        topic="draft",
        prediction_topic="draft_predict",
        record=record,
        learning=Tabular(Columns(numbers=tuple(names)), "y", Standardized, classes),
        parameters={"estimator": inner.partition(",")[0], "parameters": parameters},
        revision="1",
    )


def measure(data: _Data, inner: str, parameters: Any, *, is_classes: bool) -> dict[str, float]:
    """Return the accuracy, or the RMSE by the standard deviation of the labels; and the cost in µs a row."""
    x, y = data
    classes = tuple(np.unique(y).tolist()) if is_classes else None
    pipeline = make_pipeline(x.shape[1], classes, inner, parameters)
    records = [pipeline.record(*row, label) for row, label in zip(x.tolist(), y.tolist(), strict=True)]
    learner, start_s = pipeline.new_learner(), time.process_time()
    for start in range(0, len(records), _CHUNK_ROWS):
        predict_then_learn(learner, records[start : start + _CHUNK_ROWS], start + _CHUNK_ROWS)
    cost_us = 1e6 * (time.process_time() - start_s) / len(records)
    summary = learner.score.summary()
    score = summary["accuracy" if is_classes else "rmse"]
    assert score is not None
    score /= 1.0 if is_classes else float(np.std(y))
    return {"score": score, "cost_us": cost_us}


def format_table(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterator[str]:
    """Yield the lines of a table: a data set a row, score and cost of each estimator."""
    names = list(next(iter(results.values())))
    yield f"| | {' | '.join(names)} |"
    yield "|---" * (len(names) + 1) + "|"
    is_classes = "GaussianNB" in names
    for data, row in results.items():
        scores = [f"{100 * row[name]['score']:.1f} %" if is_classes else f"{row[name]['score']:.3f}"
                  for name in names]  # fmt: skip
        cells = [
            f"{score}, {row[name]['cost_us']:,.0f} µs" for score, name in zip(scores, names, strict=True)
        ]
        yield f"| {data} | {' | '.join(cells)} |"
    yield ""


@click.command()
@click.option("--write", is_flag=True, help="Write the results beside the others.")
@click.option("--quick", is_flag=True, help="A first look: two tables of each kind.")
def main(write: bool, quick: bool) -> None:
    """Try what is drafted for a file, beside what else could be."""
    pin_blas_threads()
    warnings.simplefilter("ignore")
    results: dict[str, Any] = {}
    for kind, tables, estimators in (("classes", CLASSES, CLASSIFIERS), ("numbers", NUMBERS, REGRESSORS)):
        results[kind] = {
            name: {
                inner: measure(make(), inner, parameters, is_classes=kind == "classes")
                for inner, parameters in estimators.items()
            }
            for name, make in list(tables.items())[: 2 if quick else None]
        }
        for line in format_table(results[kind]):
            click.echo(line)
    if write:
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
