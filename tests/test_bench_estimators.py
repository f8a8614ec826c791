"""The benchmark of estimators runs, and the page shows what it has written."""

import json

from stacks import ROOT

from benchmarks.studies import estimators


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
