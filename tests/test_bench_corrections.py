"""The study of models that can be corrected runs, and the page shows what it has written."""

import json

import numpy as np
import pytest
from stacks import ROOT

from benchmarks.studies import corrections
from streamlearn.errors import DataUnavailable


def make_rows(count: int) -> corrections.Rows:
    rows = next(corrections.take_passes(5))
    return corrections.Rows(rows.x[:count], rows.y[:count])


def test_a_contender_is_measured_and_its_corrections_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "_WRONG_DRAWINGS", 3)
    turned = corrections.Rows(make_rows(40).x[:, ::-1], make_rows(40).y)
    make = corrections.CONTENDERS["RandomFeatureSoftmax"]
    result = corrections.measure(make, turned, None, passes=1, seed=1)
    assert result["first"]["accuracy"] > 0.9
    assert 1 <= result["tries"]["1"]["median"] <= result["tries"]["1"]["most"] <= 10
    assert "other" not in result
    assert [*corrections.format_table({"x": result})][2].startswith("| x | 9")


def test_ten_corrections_are_enough_after_ten_passes_and_probabilities_hold() -> None:
    results = json.loads(corrections.RESULTS.read_text())
    ours, tutorial = results["RandomFeatureSoftmax"], results["SGDClassifier, as in the tutorial"]
    assert ours["tries"]["10"]["most"] <= 10 < tutorial["tries"]["10"]["most"]
    assert ours["first"]["accuracy"] > tutorial["first"]["accuracy"]
    assert max(ours[data]["ece"] for data in ("first", "other", "drawn")) <= 0.04


def test_the_page_shows_the_results() -> None:
    page = (ROOT / "docs" / "digits.md").read_text()
    assert "\n".join(corrections.format_table(json.loads(corrections.RESULTS.read_text()))) in page


def test_other_digits_are_those_that_are_not_among_the_known(tmp_path) -> None:  # type: ignore[no-untyped-def]
    known, new = corrections.load_digits(return_X_y=True)[0][7], np.arange(64) % 16
    lines = [",".join(str(int(value)) for value in [*row, 3]) for row in (known, new)]
    (tmp_path / "some.dat").write_text("@relation digits\n" + "\n".join(lines))
    other = corrections.read_other(tmp_path / "some.dat")
    assert (other.x.tolist(), other.y.tolist()) == ([new.tolist()], [3])
    (tmp_path / "some.dat").write_text("1,2\n")
    with pytest.raises(DataUnavailable, match="not optdigits"):
        corrections.read_other(tmp_path / "some.dat")
