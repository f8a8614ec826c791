"""One model out of those of several partitions: exact sums, averages, committees."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import is_classifier
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeRegressor

from streamlearn.estimators.least_squares import RecursiveLeastSquares
from streamlearn.learning.merging import Committee, LikelyCommittee, Merging, merge_models

RNG = np.random.default_rng(7)
X = RNG.normal(size=(300, 4))
Y = (X @ [1.0, -2.0, 0.5, 0.0] > 0).astype(int)
PARTS = np.array_split(np.arange(300), 3)


def fit(model: Any, rows: Any) -> Any:
    options = {"classes": [0, 1]} if is_classifier(model) else {}
    return model.partial_fit(X[rows], Y[rows], **options)


def test_the_sum_of_least_squares_is_the_model_of_all_rows() -> None:
    parts = [fit(RecursiveLeastSquares(ridge=0.3), rows) for rows in PARTS]
    whole = fit(RecursiveLeastSquares(ridge=0.3), slice(None))
    before = [part.coef_.copy() for part in parts]
    merged = merge_models(parts, [100, 100, 100])
    np.testing.assert_allclose(merged.coef_, whole.coef_, rtol=1e-9)
    np.testing.assert_allclose(merged.covariance_, whole.covariance_, rtol=1e-9)
    # It goes on learning as the one would.
    np.testing.assert_allclose(fit(merged, PARTS[0]).coef_, fit(whole, PARTS[0]).coef_, rtol=1e-9)
    for part, coefficients in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part.coef_, coefficients)


def test_the_average_of_linear_models_weighs_by_what_was_scored() -> None:
    parts = [fit(SGDClassifier(loss="log_loss", random_state=0), rows) for rows in PARTS]
    merged = merge_models(parts, [10, 0, 30])
    np.testing.assert_allclose(merged.coef_, (10 * parts[0].coef_ + 30 * parts[2].coef_) / 40)
    np.testing.assert_allclose(merged.intercept_, (10 * parts[0].intercept_ + 30 * parts[2].intercept_) / 40)
    np.testing.assert_allclose(
        merge_models(parts, [0, 0, 0]).coef_, np.mean([p.coef_ for p in parts], axis=0)
    )
    assert merge_models(parts, [1, 5, 3], "best") is parts[1]
    assert merge_models(parts[:1], [0]) is parts[0]


@pytest.mark.parametrize(
    ("merging", "models", "kind"),
    [
        ("auto", [SGDRegressor(), RecursiveLeastSquares()], Committee),
        ("auto", [RecursiveLeastSquares(forgetting=0.9)] * 2, Committee),
        ("average", [RecursiveLeastSquares()] * 2, Committee),
        ("committee", [SGDClassifier(loss="log_loss")] * 2, LikelyCommittee),
        ("committee", [SGDClassifier()] * 2, Committee),
        ("auto", [GaussianNB(), GaussianNB()], LikelyCommittee),
    ],
)
def test_what_cannot_be_summed_or_averaged_is_a_committee(
    merging: Merging, models: list[Any], kind: type
) -> None:
    trained = [fit(model, rows) for model, rows in zip(models, PARTS, strict=False)]
    merged = merge_models(trained, [1, 1], merging)
    assert type(merged) is kind
    assert merged.predict(X).shape == (300,)


def test_a_committee_says_what_most_say_or_all_in_the_mean() -> None:
    naive = [fit(GaussianNB(), rows) for rows in PARTS]
    merged = merge_models(naive, [1, 1, 2])
    shares = merged.predict_proba(X)
    expected = (
        sum(weight * model.predict_proba(X) for weight, model in zip([1, 1, 2], naive, strict=True)) / 4
    )
    np.testing.assert_allclose(shares, expected)
    np.testing.assert_array_equal(merged.predict(X), shares.argmax(axis=1))
    hinge = [fit(SGDClassifier(random_state=seed), rows) for seed, rows in enumerate(PARTS)]
    votes = np.sum([model.predict(X) for model in hinge], axis=0)
    np.testing.assert_array_equal(merge_models(hinge, [1, 1, 1], "committee").predict(X), votes >= 2)
    two = np.sum([model.predict(X) for model in hinge[:2]], axis=0)
    # Of as many votes for each, the first class.
    np.testing.assert_array_equal(merge_models(hinge[:2], [1, 9], "committee").predict(X), two == 2)
    assert 0 < np.sum(two == 1) < 300
    trees = [DecisionTreeRegressor(max_depth=depth).fit(X, Y) for depth in (1, 2)]
    mean = (3 * trees[0].predict(X) + trees[1].predict(X)) / 4
    np.testing.assert_allclose(merge_models(trees, [3, 1]).predict(X), mean)
