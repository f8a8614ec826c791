"""Standardised inputs: scikit-learn's contract, the exact statistics, and what a snapshot keeps of them."""

from typing import Annotated

import msgspec
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import SGDRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from streamlearn.estimators import Standardized
from streamlearn.learning import Columns, Tabular
from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines import Pipeline
from streamlearn.storage import snapshot

SGD = {"loss": "log_loss", "learning_rate": "constant", "eta0": 0.05, "random_state": 0}
STATISTICS = ("count_", "mean_", "squares_")


@parametrize_with_checks(
    [
        Standardized("SGDRegressor", {"random_state": 0}),
        Standardized("RecursiveLeastSquares"),
        Standardized("SGDClassifier", SGD),
        Standardized("GaussianNB"),
        Standardized("PartlyLinearSoftmax", {"units": 50}),
        Standardized("PartlyLinearLeastSquares", {"units": 50}),
    ]
)
@pytest.mark.filterwarnings("ignore")
def test_it_keeps_scikit_learns_contract(estimator, check) -> None:  # type: ignore[no-untyped-def]
    check(estimator)


def make_data(rows: int = 500, missing: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Features of very different sizes, some of them missing, and targets of another size again."""
    random = np.random.default_rng(3)
    x = random.normal(size=(rows, 3)) * [1e6, 1e-4, 1] + [3e6, 0, -7]
    y = x @ [1.0, 1e10, 1e6] + 1e8
    x[random.random(x.shape) < missing] = np.nan
    return x, y


@pytest.mark.parametrize("rows", [1, 7, 64, 500])
def test_mean_and_variance_are_those_of_the_rows_learned_however_they_are_cut(rows: int) -> None:
    x, y = make_data()
    model = Standardized()
    for start in range(0, len(x), rows):
        model.partial_fit(x[start : start + rows], y[start : start + rows])
    np.testing.assert_array_equal(model.count_, (~np.isnan(x)).sum(axis=0))
    np.testing.assert_allclose(model.mean_, np.nanmean(x, axis=0), rtol=1e-12)
    np.testing.assert_allclose(model.squares_ / model.count_, np.nanvar(x, axis=0), rtol=1e-12)
    np.testing.assert_allclose(model.target_[1], y.mean(), rtol=1e-12)


def test_a_prediction_changes_nothing_and_is_made_by_the_statistics_before_it() -> None:
    x, y = make_data()
    model = Standardized("RecursiveLeastSquares").partial_fit(x[:100], y[:100])
    before = [getattr(model, name).copy() for name in STATISTICS]
    first = model.predict(x[100:110])
    model.predict(x[100:] * 1e3)
    for name, values in zip(STATISTICS, before, strict=True):
        np.testing.assert_array_equal(getattr(model, name), values)
    np.testing.assert_array_equal(model.predict(x[100:110]), first)


def test_what_is_missing_or_never_varies_stands_at_zero() -> None:
    rows = np.array([[0.1, 1.0], [0.1, np.nan], [0.1, 3.0]] * 7)
    model = Standardized().partial_fit(rows, np.arange(21.0))
    standard = model._standardize(np.array([[0.1, np.nan], [0.1, 2.0], [0.1, 3.0], [0.1, 1e9]]))
    np.testing.assert_allclose(standard, [[0, 0], [0, 0], [0, 1], [0, 5]], atol=1e-12)


def test_gradient_descent_learns_what_it_cannot_without() -> None:
    x, y = make_data(3000, missing=0)
    model, plain = Standardized("SGDRegressor", {"random_state": 0}), SGDRegressor(random_state=0)
    for start in range(0, 2900, 100):
        model.partial_fit(x[start : start + 100], y[start : start + 100])
        with np.errstate(all="ignore"):
            plain.partial_fit(x[start : start + 100], y[start : start + 100])
    assert model.score(x[2900:], y[2900:]) > 0.99
    assert not plain.score(x[2900:], y[2900:]) > 0


@pytest.mark.parametrize(
    ("load", "estimator", "parameters", "least"),
    [
        (load_breast_cancer, "SGDClassifier", SGD, 0.95),
        (load_diabetes, "RecursiveLeastSquares", {}, 0.3),
    ],
)
def test_it_learns_real_data_in_one_pass(load, estimator, parameters, least) -> None:  # type: ignore[no-untyped-def]
    x, y = load(return_X_y=True)
    half = len(y) // 2
    model = Standardized(estimator, parameters).fit(x[:half], y[:half])
    assert model.score(x[half:], y[half:]) > least


def test_an_estimator_that_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'os\.system' is none of the estimators GaussianNB, "):
        Standardized("os.system").fit([[1.0]], [1.0])


class Flat(msgspec.Struct):
    """A flat, in a city that may not be known."""

    area: float | None = None
    city: str | None = None
    rent: Annotated[float, msgspec.Meta(ge=-1e300)] | None = None


FLATS = Pipeline(
    name="flats",
    topic="flats",
    prediction_topic="flats_predict",
    record=Flat,
    learning=Tabular(
        features=Columns(numbers=("area",), categories={"city": ("Ulm", "Köln")}),
        label="rent",
        estimator=Standardized,
    ),
    parameters={"estimator": "SGDRegressor", "parameters": {"random_state": 0}},
)


def make_flats(count: int) -> list[Flat]:
    random = np.random.default_rng(5)
    areas = random.uniform(20, 200, count).tolist()
    cities = random.choice(["Ulm", "Köln", "Bonn"], count).tolist()
    return [
        Flat(None if area < 30 else area, city, 12 * area) for area, city in zip(areas, cities, strict=True)
    ]


def test_a_snapshot_goes_on_byte_for_byte_and_needs_no_trust() -> None:
    flats, learner, resumed = make_flats(300), FLATS.new_learner(), FLATS.new_learner()
    for start in range(0, 300, 50):
        chunk = flats[start : start + 50]
        assert predict_then_learn(learner, chunk, start + 50) == predict_then_learn(
            resumed, chunk, start + 50
        )
        data = snapshot.dumps(resumed, FLATS, "lineage")
        assert data == snapshot.dumps(learner, FLATS, "lineage")
        assert snapshot.untrusted_types(resumed, FLATS) == []
        resumed = snapshot.loads(data, FLATS, "lineage")
    assert resumed.score.rmse < 0.9 * resumed.score.baseline_rmse  # type: ignore[attr-defined]


def test_a_model_that_is_not_finite_inside_is_told() -> None:
    learner = FLATS.new_learner()
    predict_then_learn(learner, make_flats(10), 10)
    assert learner.is_finite()
    learner.model.estimator_.coef_[0] = np.inf
    assert not learner.is_finite()
