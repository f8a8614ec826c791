"""Least squares of several outputs, random features, and shares of experts: their contracts and formulas."""

import copy
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from flats import FLATS
from hours import FIRST, hour, learned
from sklearn.utils.estimator_checks import parametrize_with_checks

from streamlearn.engine.check import check
from streamlearn.estimators.expert_weights import ExpertWeights
from streamlearn.estimators.least_squares import RecursiveLeastSquares
from streamlearn.estimators.random_feature_mixture import RandomFeatureMixture
from streamlearn.estimators.random_features import RandomFeatures
from streamlearn.estimators.shared_least_squares import SharedLeastSquares
from streamlearn.estimators.standardized import Standardized


@parametrize_with_checks([SharedLeastSquares(), RandomFeatureMixture()])
@pytest.mark.filterwarnings("ignore")
def test_they_keep_scikit_learns_contract(estimator, check) -> None:  # type: ignore[no-untyped-def]
    check(estimator)


LINEAR = {"units": 0, "width": 1.0, "scale": 1.0, "seed": 0, "inputs": (0, 1), "gate": None}
"""An expert without random features."""


@pytest.mark.parametrize(
    ("estimator", "parameters"),
    [
        (SharedLeastSquares, {"ridge": 2.0}),
        (RandomFeatureMixture, {}),
        (RandomFeatureMixture, {"experts": [LINEAR], "ridge": 2.0}),
        (Standardized, {"estimator": "SharedLeastSquares"}),
        (Standardized, {"estimator": "RandomFeatureMixture"}),
    ],
)
def test_a_pipeline_of_numbers_learns_with_each(estimator: Any, parameters: dict[str, Any]) -> None:
    """`streamlearn check` finds nothing: results repeat, and a snapshot goes on exactly."""
    learning: Any = FLATS.learning
    learning = replace(learning, estimator=estimator)
    flats = replace(FLATS, learning=learning, parameters=parameters, reference="")
    random = np.random.default_rng(8)
    values = [
        msgspec.json.encode(
            {
                "area": area,
                "rooms": 1 + n % 4,
                "street": "s" * (n % 9),
                "balcony": n % 3 == 0,
                "rent": 12 * area,
            }
        )
        for n, area in enumerate(random.uniform(20, 150, size=300).round(1).tolist())
    ]
    findings = list(check(flats, values))
    assert findings
    assert [finding for finding in findings if not finding.passed] == []


def test_a_forecast_of_all_horizons_may_be_least_squares_alone() -> None:
    first: Any = FIRST.learning
    parameters = {"experts": [LINEAR], "ridge": 10.0}
    joint = replace(
        FIRST,
        learning=replace(first, estimator=RandomFeatureMixture, joint=True),
        parameters=parameters,
        earlier=(),
    )
    records = [hour(n, float(100 + 40 * np.sin(n / 5) + n % 3)) for n in range(400)]
    learner, forecasts = learned(records, joint)
    _, separate = learned(records, FIRST)
    assert learner.is_finite()
    ours, theirs = (
        np.array([list(row.values()) for row in made[200:]], dtype=float) for made in (forecasts, separate)
    )
    # A row counts from its hour on, not from its label on, so the two differ a little.
    np.testing.assert_allclose(ours, theirs, atol=2.0)


def test_experts_without_random_features_are_least_squares() -> None:
    x, y = make_data()
    plain = SharedLeastSquares(ridge=2.0).partial_fit(x, y)
    mixture = RandomFeatureMixture([LINEAR], ridge=2.0).partial_fit(x, y)
    np.testing.assert_array_equal(mixture.predict(x), plain.predict(x))


def make_data(rows: int = 300, columns: int = 6) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    x = random.normal(size=(rows, columns))
    y = x @ random.normal(size=(columns, 3)) + random.normal(size=(rows, 3))
    return x, y


def test_each_output_is_the_ridge_solution_of_all_rows() -> None:
    x, y = make_data()
    model = SharedLeastSquares(ridge=2.0).partial_fit(x[:50], y[:50]).partial_fit(x[50:], y[50:])
    closed = np.linalg.solve(x.T @ x + 2 * np.eye(6), x.T @ y)
    np.testing.assert_allclose(model.coef_, closed.T, rtol=1e-9)
    np.testing.assert_allclose(model._unpack(), np.linalg.inv(x.T @ x + 2 * np.eye(6)), rtol=1e-8)


def test_a_row_of_weight_two_is_two_rows() -> None:
    x, y = make_data(rows=40)
    double, weighted = SharedLeastSquares(), SharedLeastSquares()
    for model in (double, weighted):
        model.begin(6, 3)
    for row, labels in zip(x, y, strict=True):
        gain = weighted.take(row, 2.0)
        for _ in range(2):
            once = double.take(row)
            for output in range(3):
                double.learn_label(output, row, once, labels[output])
        for output in range(3):
            weighted.learn_label(output, row, gain, labels[output])
    np.testing.assert_allclose(weighted.coef_, double.coef_, rtol=1e-9)


def test_labels_may_come_later_than_their_rows() -> None:
    x, y = make_data()
    at_once, later = SharedLeastSquares(), SharedLeastSquares()
    at_once.partial_fit(x, y)
    later.begin(6, 3)
    gains = [later.take(row) for row in x]
    for output, delay in enumerate((1, 5, 24)):
        for t in range(len(x) + delay):
            if 0 <= t - delay < len(x):
                later.learn_label(output, x[t - delay], gains[t - delay], y[t - delay, output])
    np.testing.assert_array_equal(later.coef_, at_once.coef_)


def test_one_output_is_recursive_least_squares() -> None:
    x, y = make_data()
    model, plain = SharedLeastSquares(ridge=3.0), RecursiveLeastSquares(ridge=3.0)
    np.testing.assert_allclose(
        model.fit(x, y[:, 0]).predict(x), plain.fit(x, y[:, 0]).predict(x), rtol=1e-9, atol=1e-12
    )


def test_taking_features_out_leaves_what_would_have_been_learned_without_them() -> None:
    x, y = make_data()
    x = x @ np.random.default_rng(3).normal(size=(6, 6))
    model = SharedLeastSquares(ridge=2.0).partial_fit(x, y)
    model.reselect([4, None, 0, 3])
    without = SharedLeastSquares(ridge=2.0).partial_fit(
        np.column_stack([x[:, 4], np.zeros(300), x[:, [0, 3]]]), y
    )
    np.testing.assert_allclose(model.coef_, without.coef_, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(model.packed_, without.packed_, rtol=1e-8, atol=1e-14)


def test_a_row_that_is_no_number_is_left_out() -> None:
    x, y = make_data()
    model = SharedLeastSquares().partial_fit(x, y)
    before = model.packed_.copy()
    gain = model.take(np.array([1.0, np.nan, 0.0, 0.0, 0.0, 0.0]))
    np.testing.assert_array_equal(gain, np.zeros(6))
    np.testing.assert_array_equal(model.packed_, before)


def test_a_covariance_that_rounding_has_spoiled_begins_again_and_coefficients_stay() -> None:
    x, y = make_data()
    model = SharedLeastSquares(ridge=2.0).partial_fit(x, y)
    coefficients = model.coef_.copy()
    model.packed_ = -model.packed_
    model.take(x[0])
    np.testing.assert_array_equal(model._unpack(), np.eye(6) / 2.0)
    np.testing.assert_array_equal(model.coef_, coefficients)
    model.packed_[:] = 0.0
    model.reselect([0, 2])
    np.testing.assert_array_equal(model._unpack(), np.eye(2) / 2.0)


@pytest.mark.no_cover
def test_very_many_rows_that_nearly_depend_on_each_other_keep_the_covariance_positive() -> None:
    random = np.random.default_rng(1)
    base = random.normal(size=(200_000, 5))
    x = np.column_stack([base, base @ random.normal(size=(5, 5)) + 1e-6 * random.normal(size=(200_000, 5))])
    model = SharedLeastSquares(ridge=33.0)
    model.begin(10, 1)
    for row in x:
        gain = model.take(row)
        model.learn_label(0, row, gain, float(row[0]))
    assert (np.linalg.eigvalsh(model._unpack()) > 0).all()
    exact = np.linalg.solve(x.T @ x + 33 * np.eye(10), x.T @ x[:, 0])
    np.testing.assert_allclose(x[:100] @ model.coef_[0], x[:100] @ exact, atol=1e-6)


def test_random_features_have_the_gaussian_kernel_for_their_product() -> None:
    features = RandomFeatures(inputs=3, units=20_000, width=2.0, scale=1.0, seed=4)
    a, b = np.array([0.5, -1.0, 0.2]), np.array([0.1, 0.3, -0.4])
    kernel = np.exp(-((a - b) @ (a - b)) / (2 * 2.0**2))
    assert abs(features.expand(a) @ features.expand(b) - kernel) < 0.02
    again = RandomFeatures(inputs=3, units=20_000, width=2.0, scale=1.0, seed=4)
    np.testing.assert_array_equal(again.expand(a), features.expand(a))


def test_the_better_expert_gets_the_larger_share_of_its_output_alone() -> None:
    random = np.random.default_rng(2)
    weights = ExpertWeights(outputs=2, experts=2, rate=0.01)
    for truth in random.normal(size=(500, 2)):
        predictions = truth + np.array([[0.1, 1.0], [1.0, 0.1]]) * random.normal(size=(2, 2))
        mixed = weights.mix(predictions)
        for output in range(2):
            weights.learn(output, predictions[:, output], mixed[output], truth[output])
    assert weights.shares[0, 0] > 0.8
    assert weights.shares[1, 1] > 0.8
    np.testing.assert_allclose(weights.shares.sum(axis=0), 1.0)


EXPERTS = [
    {"units": 10, "inputs": [1, 3], "gate": 0, "width": 1.0, "scale": 1.0, "seed": 1},
    {"units": 5, "inputs": [2, 3], "gate": None, "width": 1.0, "scale": 1.0, "seed": 2},
]


def make_mixture(**parameters: Any) -> RandomFeatureMixture:
    return RandomFeatureMixture(EXPERTS, context=3, rate=0.01, **parameters)


def test_experts_see_what_is_linear_and_random_features_of_their_own_part_of_the_context() -> None:
    x, y = make_data()
    model = make_mixture(level=0, noise=5.0).partial_fit(x, y)
    row = x[0]
    first, second = model.features_
    sight = model.look(row)
    expected = [row[:3], row[3] * first.expand(row[4:]), row[:3], second.expand(row[5:])]
    np.testing.assert_array_equal(sight.rows, np.concatenate(expected))
    assert sight.weight == 1 / (5.0 + row[3])
    np.testing.assert_array_equal(sight.mixed, model.predict(x[:1])[0])


@pytest.mark.parametrize("outputs", [[0, 1, 2], [0, 2], [2, 0, 1], [1]])
def test_labels_that_are_learned_at_once_are_those_learned_one_by_one(outputs: list[int]) -> None:
    x, y = make_data()
    model = make_mixture(level=0, noise=5.0).partial_fit(x[:100], y[:100])
    sights = [model.take(model.look(row)) for row in x[100 : 100 + len(outputs)]]
    coefficients = [expert.coef_.copy() for expert in model.experts_]
    slopes, counts = model.weights_.slopes.copy(), model.labels_.copy()
    for output, sight, target in zip(outputs, sights, y[100], strict=False):
        assert sight.gains is not None
        start = 0
        for coef in coefficients:
            part = slice(start, start := start + coef.shape[1])
            row, gain = sight.rows[part].copy(), sight.gains[part].copy()
            coef[output] += gain * (target - float(row @ coef[output]))
        slopes[:, output] += sight.weight * (sight.mixed[output] - target) * sight.predictions[:, output]
        counts[output] += 1
    model.learn_labels(outputs, sights, y[100, : len(outputs)].tolist())
    for expert, expected in zip(model.experts_, coefficients, strict=True):
        np.testing.assert_array_equal(expert.coef_, expected)
    np.testing.assert_array_equal(model.weights_.slopes, slopes)
    np.testing.assert_array_equal(model.labels_, counts)


def test_a_copy_of_a_mixture_goes_on_with_what_it_has_learned_alone() -> None:
    x, y = make_data()
    model = make_mixture().partial_fit(x[:200], y[:200])
    assert set(vars(model)) - set(model.__getstate__()) == {"_layout", "_joint"}
    copied = copy.deepcopy(model)
    np.testing.assert_array_equal(
        copied.partial_fit(x[200:], y[200:]).predict(x), model.partial_fit(x[200:], y[200:]).predict(x)
    )


def test_a_mixture_changes_what_is_linear_and_keeps_its_context() -> None:
    x, y = make_data()
    model = make_mixture().partial_fit(x, y)
    with pytest.raises(ValueError, match="context"):
        model.reselect([0, 1, 3, 4])
    model.reselect([2, 0, 3, 4, 5])
    assert model.is_finite()
    kept = x[:, [2, 0, 3, 4, 5]]
    without = make_mixture().partial_fit(kept, y)
    # The shares were learned with all of them.
    np.testing.assert_allclose(model.experts_[1].coef_, without.experts_[1].coef_, rtol=1e-8, atol=1e-12)
    assert model.predict(kept).shape == (300, 3)


def test_a_mixture_is_finite_as_long_as_what_labels_taught_it_is() -> None:
    x, y = make_data()
    model = make_mixture().partial_fit(x, y)
    assert model.is_finite()
    model.experts_[1].coef_[0, 0] = np.inf
    assert not model.is_finite()
