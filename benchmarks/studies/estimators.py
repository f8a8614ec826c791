"""What estimators are worth on two public streams: score, cost, snapshot. `scripts/bench estimators`.

digits  1,797 pictures that come with scikit-learn, shuffled once: accuracy
pm25    90 days of Beijing's hours, the pollution by weather, wind and time of day: RMSE in µg/m³

Each record is predicted, then learned, in chunks of 64, by the learner that a job runs. The cost is the CPU
time of that, the snapshot's size is that of the last. What `streamlearn check` finds wrong is told as well.
"""

import json
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor

from streamlearn.datasets import DataSet, pm25
from streamlearn.engine import check
from streamlearn.estimators import RecursiveLeastSquares, River, Standardized
from streamlearn.learning import Columns, Tabular
from streamlearn.learning.learner import EstimatorFactory, predict_then_learn
from streamlearn.learning.process import pin_blas_threads
from streamlearn.pipelines import Pipeline
from streamlearn.storage import snapshot
from streamlearn.stream.records import encode

RESULTS = Path(__file__).parent.parent / "results" / "estimators.json"
_CHUNK_ROWS = 64
_CHECKED_ROWS = 100
_HOURS = 90 * 24
_LINEAGE = "benchmark"
_PASSIVE_AGGRESSIVE = {"penalty": None, "learning_rate": "pa1", "eta0": 0.1, "random_state": 0}
_LOGISTIC = {"loss": "log_loss", "random_state": 0}
_TREE = {"grace_period": 50}
_SEEDED = {"seed": 0}
_SMALL_FOREST = {"n_models": 3, "seed": 0}
_MONDRIAN = {"n_estimators": 3, "seed": 0}
_SCALER = {"model": "preprocessing.StandardScaler"}
_TYPES_OF_NETWORKS = ("sklearn.neural_network._stochastic_optimizers.AdamOptimizer",)


@dataclass(frozen=True)
class Contender:
    """An estimator, and what it is made with."""

    name: str
    estimator: EstimatorFactory
    parameters: Mapping[str, Any]
    trusted_types: tuple[str, ...] = ()


def _make_network(estimator: Any) -> Contender:
    parameters = {"hidden_layer_sizes": [32], "random_state": 0}
    return Contender(estimator.__name__, estimator, parameters, _TYPES_OF_NETWORKS)


def _standardize(name: str, inner: str, parameters: Mapping[str, Any]) -> Contender:
    return Contender(f"Standardized({name})", Standardized, {"estimator": inner, "parameters": parameters})


def _take_river(model: str, parameters: Mapping[str, Any]) -> Contender:
    return Contender(f"River({model})", River, {"model": model, "parameters": parameters})


def _chain_river(model: str, parameters: Mapping[str, Any]) -> Contender:
    """Return a scaler of River's and a model behind it."""
    steps = [_SCALER, {"model": model, "parameters": parameters}]
    inner = parameters.get("classifier", {}).get("model", "")
    name = f"River(StandardScaler, {model}{f'({inner})' * bool(inner)})"
    return Contender(name, River, {"model": "compose.Pipeline", "steps": steps})


CLASSIFIERS = (
    Contender("SGDClassifier, logistic", SGDClassifier, _LOGISTIC),
    _standardize("SGDClassifier, logistic", "SGDClassifier", _LOGISTIC),
    _standardize("Perceptron", "Perceptron", {"random_state": 0}),
    _standardize("SGDClassifier, passive-aggressive", "SGDClassifier", _PASSIVE_AGGRESSIVE),
    Contender("GaussianNB", GaussianNB, {"var_smoothing": 1e-2}),
    Contender("MultinomialNB", MultinomialNB, {}),
    Contender("BernoulliNB", BernoulliNB, {"binarize": 8.0}),
    _make_network(MLPClassifier),
    _take_river("naive_bayes.GaussianNB", {}),
    _take_river("naive_bayes.MultinomialNB", {}),
    _take_river("naive_bayes.BernoulliNB", {"true_threshold": 8.0}),
    _take_river("linear_model.SoftmaxRegression", {}),
    _chain_river("linear_model.SoftmaxRegression", {}),
    _chain_river(
        "multiclass.OneVsRestClassifier", {"classifier": {"model": "linear_model.LogisticRegression"}}
    ),
    _chain_river("multiclass.OneVsRestClassifier", {"classifier": {"model": "linear_model.PAClassifier"}}),
    _take_river("tree.HoeffdingTreeClassifier", _TREE),
    _take_river("tree.HoeffdingAdaptiveTreeClassifier", {**_TREE, **_SEEDED}),
    _take_river("tree.ExtremelyFastDecisionTreeClassifier", _TREE),
    _take_river("forest.AMFClassifier", _MONDRIAN),
    _take_river("forest.ARFClassifier", _SMALL_FOREST),
    _take_river(
        "drift.DriftRetrainingClassifier",
        {"model": {"model": "naive_bayes.GaussianNB"}, "drift_detector": {"model": "drift.binary.DDM"}},
    ),
    _take_river("neighbors.KNNClassifier", {}),
)
REGRESSORS = (
    _standardize("SGDRegressor", "SGDRegressor", {"random_state": 0}),
    _standardize("RecursiveLeastSquares", "RecursiveLeastSquares", {}),
    Contender("RecursiveLeastSquares", RecursiveLeastSquares, {}),
    _standardize(
        "SGDRegressor, passive-aggressive",
        "SGDRegressor",
        {**_PASSIVE_AGGRESSIVE, "loss": "epsilon_insensitive"},
    ),
    _make_network(MLPRegressor),
    _standardize("River, linear_model.LinearRegression", "River", {"model": "linear_model.LinearRegression"}),
    _standardize("River, linear_model.PARegressor", "River", {"model": "linear_model.PARegressor"}),
    _standardize(
        "River, linear_model.BayesianLinearRegression",
        "River",
        {"model": "linear_model.BayesianLinearRegression"},
    ),
    _take_river("tree.HoeffdingTreeRegressor", _TREE),
    _take_river("tree.HoeffdingAdaptiveTreeRegressor", {**_TREE, **_SEEDED}),
    _take_river("forest.AMFRegressor", _MONDRIAN),
    _take_river("forest.ARFRegressor", _SMALL_FOREST),
)


class Digit(msgspec.Struct):
    """A picture of 8 × 8 pixels."""

    x: list[float]
    y: int


class Hour(msgspec.Struct):
    """The weather of an hour, and its pollution in µg/m³."""

    hour: float
    dew: float
    temp: float
    press: float
    wnd_spd: float
    wnd_dir: str
    pollution: float


def _list_digits(*, seed: int = 0, passes: int | None = None) -> Iterator[dict[str, Any]]:
    x, y = load_digits(return_X_y=True)
    for row in np.random.default_rng(seed).permutation(len(y)):
        yield {"x": x[row].tolist(), "y": int(y[row])}


def _list_hours(*, seed: int = 0, passes: int | None = None) -> Iterator[dict[str, Any]]:
    for record in islice(pm25.records(passes=1), _HOURS):
        if record["pollution"] is not None:
            yield {**record, "hour": int(record["ts"][11:13])}


def _read_pixels(records: Any) -> Any:
    return np.array([record.x for record in records])


def make_pipeline(stream: str, contender: Contender) -> Pipeline:
    """Return a pipeline that learns a stream with a contender."""
    if stream == "digits":
        learning = Tabular(_read_pixels, "y", contender.estimator, tuple(range(10)))
        record: type[Any] = Digit
        dataset = DataSet(_list_digits, 1797)
    else:
        columns = Columns(
            numbers=("hour", "dew", "temp", "press", "wnd_spd"),
            categories={"wnd_dir": ("NW", "NE", "SE", "cv")},
        )
        learning = Tabular(columns, "pollution", contender.estimator)
        record, dataset = Hour, DataSet(_list_hours, _HOURS, pm25.prepare)
    return Pipeline(
        name="contender",
        topic="contender",
        prediction_topic="contender_predict",
        record=record,
        learning=learning,
        parameters=contender.parameters,
        trusted_types=contender.trusted_types,
        dataset=dataset,
        revision="1",
    )


def measure(stream: str, contender: Contender) -> dict[str, Any]:
    """Return what a contender is worth on a stream."""
    pipeline = make_pipeline(stream, contender)
    values = check.sample(pipeline, _CHECKED_ROWS)
    failed = [finding.what for finding in check.check(pipeline, values) if not finding.passed]
    assert pipeline.dataset is not None
    records = [pipeline.codec.decode(encode(record)) for record in pipeline.dataset.records(passes=1)]
    learner, start_s = pipeline.new_learner(), time.process_time()
    for start in range(0, len(records), _CHUNK_ROWS):
        chunk = records[start : start + _CHUNK_ROWS]
        predict_then_learn(learner, chunk, start + len(chunk))
    cost_us = 1e6 * (time.process_time() - start_s) / len(records)
    summary = learner.score.summary()
    try:
        size = len(snapshot.dumps(learner, pipeline, _LINEAGE))
    except TypeError:
        size = 0
    return {
        "name": contender.name,
        "score": summary["accuracy"] if stream == "digits" else summary["rmse"],
        "cost_us": cost_us,
        "snapshot_bytes": size,
        "failed": failed,
    }


def format_table(results: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Yield the lines of a table for each stream."""
    for stream, rows in results.items():
        figure = "accuracy" if stream == "digits" else "RMSE"
        yield f"| {stream} | {figure} | µs a record | snapshot | fails |"
        yield "|---|---|---|---|---|"
        for row in rows:
            score = f"{100 * row['score']:.1f} %" if stream == "digits" else f"{row['score']:.1f}"
            size = f"{row['snapshot_bytes'] / 1000:,.0f} kB"
            failed = "; ".join(row["failed"]) or "–"
            yield f"| {row['name']} | {score} | {row['cost_us']:,.0f} | {size} | {failed} |"
        yield ""


@click.command()
@click.option("--write", is_flag=True, help="Write the results beside the others.")
@click.option("--only", default="", help="Only estimators whose names hold this.")
@click.option("--quick", is_flag=True, help="A first look: two estimators a stream.")
def main(write: bool, only: str, quick: bool) -> None:
    """Try estimators on two public streams."""
    pin_blas_threads()
    warnings.simplefilter("ignore")
    contenders = {"digits": CLASSIFIERS, "pm25": REGRESSORS}
    results: dict[str, list[dict[str, Any]]] = {}
    for stream, those in contenders.items():
        results[stream] = []
        for contender in those[:2] if quick else those:
            if only in contender.name:
                results[stream].append(measure(stream, contender))
                click.echo(json.dumps(results[stream][-1]), err=True)
    for line in format_table(results):
        click.echo(line)
    if write:
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
