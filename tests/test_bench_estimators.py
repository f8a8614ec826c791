"""The benchmarks of estimators and of drafts run, and the page shows what they have written."""

import json

from stacks import ROOT

from benchmarks.studies import drafts, estimators


def test_a_contender_is_measured_and_named() -> None:
    (perceptron,) = [contender for contender in estimators.CLASSIFIERS if "Perceptron" in contender.name]
    result = estimators.measure("digits", perceptron)
    assert result["score"] > 0.7
    assert (result["name"], result["failed"]) == ("Standardized(Perceptron)", [])
    lines = [*estimators.format_table({"digits": [result]})]
    assert lines[2].startswith(f"| Standardized(Perceptron) | {100 * result['score']:.1f} % | ")


def test_the_page_shows_the_results() -> None:
    page = (ROOT / "docs" / "estimators.md").read_text()
    results = json.loads(estimators.RESULTS.read_text())
    assert "\n".join(estimators.format_table(results)).strip() in page


def test_what_is_drafted_is_measured_beside_the_others() -> None:
    iris, diabetes = drafts.CLASSES["iris"](), drafts.NUMBERS["diabetes"]()
    for inner, least in (("PartlyLinearSoftmax", 0.8), ("SGDClassifier", 0.7)):
        result = drafts.measure(iris, inner, drafts.CLASSIFIERS[inner], is_classes=True)
        assert result["score"] > least
        assert result["cost_us"] > 0
    for inner in ("PartlyLinearLeastSquares", "SGDRegressor, constant"):
        result = drafts.measure(diabetes, inner, drafts.REGRESSORS[inner], is_classes=False)
        assert result["score"] < 0.8


def test_the_page_shows_what_drafts_are_worth_and_none_is_much_worse_than_the_linear_model() -> None:
    page = (ROOT / "docs" / "estimators.md").read_text()
    results = json.loads(drafts.RESULTS.read_text())
    for kind in ("classes", "numbers"):
        assert "\n".join(drafts.format_table(results[kind])).strip() in page
    gains = [
        row["PartlyLinearSoftmax"]["score"] - row["SGDClassifier"]["score"]
        for row in results["classes"].values()
    ]
    assert min(gains) > -0.02
    assert sum(gains) / len(gains) > 0.04
    shares = [
        row["PartlyLinearLeastSquares"]["score"] / row["RecursiveLeastSquares"]["score"]
        for row in results["numbers"].values()
    ]
    assert max(shares) < 1.07
    assert sum(shares) / len(shares) < 0.85
