"""The benchmark: the article's preparation, the rules, the frozen pipeline, the bootstrap, the nets.

Only what fits a net needs the extra `lstm`; it belongs to the tier *release*.
"""

import csv
import json
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from msgspec import structs

from benchmarks.pm25_lstm import (
    article,
    article_report,
    comparison_report,
    fair,
    figures,
    hours,
    lstm,
    online,
    rivals,
    rules,
)
from benchmarks.pm25_lstm.bootstrap import estimate_difference
from benchmarks.pm25_lstm.comparison import (
    ARIMA,
    ARTICLE,
    BOOSTING,
    CLIMATOLOGY,
    FAIR,
    NAMES,
    OURS,
    PAIRS,
    Comparison,
    Model,
    compare_models,
)
from benchmarks.pm25_lstm.hours import Floats, Hours
from benchmarks.pm25_lstm.rules import KNOWN, ZEROS
from streamlearn.cli.main import main
from streamlearn.datasets.base import DataSet
from streamlearn.engine.evaluate import evaluate
from streamlearn.errors import FileError
from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines.pm25 import pipeline

SLICE, PART = 1000, 700
"""Hours of a short run, and of its part that is learned."""

TINY, LEARNED = 140, 70
"""The same for nets: each of their parts is a single batch, for which Keras compiles once."""


@pytest.fixture(scope="module")
def data(pm25_csv: str) -> Hours:
    assert pm25_csv
    return hours.load()


@pytest.fixture(scope="module")
def few(data: Hours) -> Hours:
    """A run of hours in which some readings are missing."""
    return Hours(data.records[1000 : 1000 + SLICE])


@pytest.fixture(scope="module")
def tiny(data: Hours) -> Hours:
    """A shorter run in which some readings are missing."""
    run = Hours(data.records[40_500 : 40_500 + TINY])
    assert 0 < np.isnan(run.pollution).sum() < 30
    return run


def test_the_articles_preparation_is_what_a_plain_one_makes(data: Hours, pm25_csv: str) -> None:
    names = ("pm2.5", "DEWP", "TEMP", "PRES", "cbwd", "Iws", "Is", "Ir")
    with Path(pm25_csv).open(newline="") as file:
        raw = list(csv.DictReader(file))[24:]
    for row in raw:
        row["pm2.5"] = row["pm2.5"].replace("NA", "0")
        row["cbwd"] = str(["NE", "NW", "SE", "cv"].index(row["cbwd"]))
    columns = np.array([[float(row[name]) for name in names] for row in raw])
    low, high = columns.min(axis=0), columns.max(axis=0)
    scaled = (columns - low) / (high - low)
    examples = article.prepare(data, ZEROS.apply(data.pollution))
    assert examples.train.x.shape == (8760, 1, 8)
    assert examples.test.x.shape == (35_039, 1, 8)
    x, y = (
        np.concatenate([getattr(part, name) for part in (examples.train, examples.test)]) for name in "xy"
    )
    np.testing.assert_allclose(x[:, 0], scaled[:-1], atol=1e-5)
    np.testing.assert_allclose(y, scaled[1:, 0], atol=1e-6)
    np.testing.assert_allclose(examples.unscale(examples.test.y), columns[8761:, 0], atol=1e-3)
    assert np.array_equal(examples.validation.x, examples.test.x)


def test_persistence_is_what_both_rules_say(data: Hours) -> None:
    scores = {}
    for rule in rules.RULES:
        readings = rule.apply(data.pollution)
        forecasts = rules.forecast_by_persistence(readings)
        scores[rule.name] = article_report.score_forecasts(forecasts, readings)
    assert f"{scores['zeros']['rmse']:.3f}" == "26.559"
    assert f"{scores['known']['rmse']:.3f}" == "23.447"
    assert scores["zeros"]["rmse_hour_before"] == 0


def test_an_error_is_scored_where_the_hour_and_the_one_before_are_known() -> None:
    pollution = np.array([1.0, 2.0, np.nan, 4.0, 7.0, 9.0])
    forecasts = np.array([5.0, 5.0, 5.0, 5.0])
    nan = np.nan
    known, zeros = KNOWN.apply(pollution), ZEROS.apply(pollution)
    np.testing.assert_equal(rules.compute_residuals(forecasts, known, 1), [nan, nan, -2.0, -4.0])
    np.testing.assert_equal(rules.compute_residuals(forecasts, zeros, 1), [5.0, 1.0, -2.0, -4.0])
    np.testing.assert_equal(rules.forecast_by_persistence(zeros, 1), [2.0, 0.0, 4.0, 7.0])
    assert rules.fill_gaps(pollution).tolist() == [1.0, 2.0, 2.0, 4.0, 7.0, 9.0]


def test_a_fair_net_is_scaled_and_fitted_by_four_fifths_of_the_year_only(few: Hours) -> None:
    readings = KNOWN.apply(few.pollution)
    examples = fair.prepare(few, readings, PART)
    later = np.array(readings)
    later[round(0.8 * PART) :] *= 3
    changed = fair.prepare(few, later, PART)
    assert np.array_equal(examples.train.x, changed.train.x)
    assert np.array_equal(examples.train.y, changed.train.y)
    assert not np.array_equal(examples.validation.y, changed.validation.y)
    scored = rules.mark_scored(readings)
    assert len(examples.train.y) == scored[24 : round(0.8 * PART)].sum()
    assert len(examples.validation.y) == scored[round(0.8 * PART) : PART + 1].sum()
    assert len(examples.test.y) == SLICE - PART - 1


def test_a_fair_net_sees_the_day_before_and_says_the_change(few: Hours) -> None:
    readings = ZEROS.apply(few.pollution)
    examples, table = fair.prepare(few, readings, PART), fair.make_table(few, readings)
    cut = round(0.8 * PART)
    scaled = (table - table[:cut].mean(axis=0)) / np.maximum(table[:cut].std(axis=0), 1e-9)
    varies = table[:cut].std(axis=0) > 0
    first = PART + 1
    np.testing.assert_allclose(
        examples.test.x[0][:, varies], scaled[first - 24 : first][:, varies], rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(examples.unscale(examples.test.y), readings[first:], atol=1e-2)
    no_change = np.zeros_like(examples.test.y)
    persistence = rules.forecast_by_persistence(readings, PART)
    np.testing.assert_allclose(examples.unscale(no_change), persistence)
    assert examples.unscale(no_change - 1e3).min() == 0


def test_ours_is_the_pipeline_as_it_is_evaluated(few: Hours) -> None:
    readings = KNOWN.apply(few.pollution)
    forecasts = online.forecast(few, readings, PART - 1)
    residuals = rules.compute_residuals(forecasts, readings, PART - 1)
    records = [structs.asdict(hour) for hour in few.records]
    subject = replace(one_horizon(), dataset=DataSet(lambda **_: iter(records), SLICE))
    expected: Any = evaluate(subject, skip=PART)
    score = expected.horizons["1"]
    assert (~np.isnan(residuals)).sum() == score.samples > 100
    assert float(np.sqrt(np.nanmean(residuals**2))) == pytest.approx(score.rmse, rel=1e-12)
    persistence = rules.forecast_by_persistence(readings, PART - 1)
    baseline = rules.compute_residuals(persistence, readings, PART - 1)
    assert float(np.sqrt(np.nanmean(baseline**2))) == pytest.approx(score.baseline_rmse, rel=1e-12)


def one_horizon() -> Any:
    """Return the pipeline with its first horizon only, which takes a fifth of the time."""
    learning: Any = pipeline.learning
    return replace(pipeline, learning=replace(learning, horizons=(1,)))


def test_ours_frozen_learns_nothing_more(few: Hours) -> None:
    readings = KNOWN.apply(few.pollution)
    later = np.array(readings)
    later[PART + 150 :] = 3 * later[PART + 150 :] + 5
    forecasts = {
        frozen: [online.forecast(few, series, PART, frozen=frozen) for series in (readings, later)]
        for frozen in (True, False)
    }
    learning, frozen = forecasts[False][0], forecasts[True][0]
    assert learning[0] == frozen[0]
    assert not np.array_equal(learning[5:], frozen[5:])
    for original, changed in forecasts.values():
        assert np.array_equal(original[:149], changed[:149]), "a forecast saw what came after it"


def test_ours_frozen_answers_as_the_frozen_models_do(few: Hours) -> None:
    """Beside the same learner, whose models are put back after each hour."""
    readings = ZEROS.apply(few.pollution)[: PART + 60]
    short = Hours(few.records[: PART + 60])
    learner = one_horizon().learning.new_learner(pipeline.parameters, 0)
    expected, frozen_models = [], None
    for number, record in enumerate(online.make_records(short, readings)):
        expected.append(predict_then_learn(learner, [record], number + 1)[0]["forecast"]["1"])
        if number == PART:
            frozen_models = deepcopy(learner.state()["models"])
        elif number > PART:
            learner.restore({**learner.state(), "models": deepcopy(frozen_models)})
    forecasts = online.forecast(short, readings, PART, frozen=True)
    np.testing.assert_allclose(forecasts, expected[PART:-1], rtol=1e-12)


def make_noise(seed: int, scale: float, count: int = 8400) -> Floats:
    return np.random.default_rng(seed).normal(scale=scale, size=(1, count))


def test_the_bootstrap_finds_a_planted_difference() -> None:
    difference = estimate_difference(make_noise(1, 9.0), make_noise(2, 10.0))
    assert -1.3 < difference.low < difference.value < difference.high < -0.7
    assert not difference.holds_zero


def test_the_bootstrap_finds_none_where_there_is_none() -> None:
    differences = [
        estimate_difference(make_noise(n, 10.0), make_noise(n + 100, 10.0), 300) for n in range(40)
    ]
    assert sum(difference.holds_zero for difference in differences) >= 34


def test_the_bootstrap_repeats_exactly_and_its_seed_counts() -> None:
    residuals = make_noise(1, 9.0), make_noise(2, 10.0)
    assert estimate_difference(*residuals) == estimate_difference(*residuals)
    assert estimate_difference(*residuals, seed=1) != estimate_difference(*residuals)


def test_weeks_are_drawn_whole() -> None:
    """An error that lasts for a week widens the interval; drawn by hours it would be ten times narrower."""
    lasting = np.repeat(np.random.default_rng(5).normal(scale=10, size=50), 168)[None]
    wide = estimate_difference(lasting, make_noise(2, 10.0))
    narrow = estimate_difference(make_noise(1, 10.0), make_noise(2, 10.0))
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_both_models_are_drawn_the_same_weeks() -> None:
    """What both find equally hard says nothing of which is better."""
    hard = np.repeat(np.random.default_rng(5).normal(scale=50, size=50), 168)[None]
    difference = estimate_difference(hard + make_noise(1, 1.0), hard + make_noise(2, 5.0))
    assert difference.high - difference.low < 0.5
    assert not difference.holds_zero


def test_hours_without_a_score_and_several_seeds_count_as_they_should() -> None:
    residuals = np.array([[3.0, np.nan, 4.0], [6.0, np.nan, 8.0]])
    mean = (np.sqrt(12.5) + np.sqrt(50)) / 2
    difference = estimate_difference(residuals, np.array([[0.0, np.nan, 0.0]]))
    assert difference.value == pytest.approx(mean)
    assert difference.low == difference.high == pytest.approx(difference.value)


def test_the_interval_of_two_weeks_is_that_of_all_ways_to_draw_them() -> None:
    """Of two weeks both are the first in a quarter of the draws, both the second in another."""
    two_weeks = np.repeat([3.0, 4.0], 168)[None]
    difference = estimate_difference(two_weeks, np.zeros_like(two_weeks))
    assert (difference.low, difference.high) == (3.0, 4.0)
    assert difference.value == pytest.approx(np.sqrt(12.5))


def test_climatology_is_the_mean_of_what_came_before_of_the_month_and_hour(few: Hours) -> None:
    run = Hours(few.records[:60])
    assert len({hour.ts[:7] for hour in run.records}) == 1
    readings = np.arange(60.0)
    readings[25] = np.nan
    forecasts = rivals.forecast_by_climatology(run, readings, 47)
    expected = [np.nanmean([readings[n - 48], readings[n - 24]]) for n in range(48, 60)]
    np.testing.assert_allclose(forecasts, expected)
    assert expected[1] == readings[1], "what is missing does not count"


def test_climatology_of_a_month_that_is_new_is_the_mean_of_all(few: Hours) -> None:
    (start,) = rivals.find_months(few)
    run = Hours(few.records[start - 30 : start + 3])
    readings = np.arange(33.0)
    forecasts = rivals.forecast_by_climatology(run, readings, 29)
    np.testing.assert_allclose(forecasts, [readings[:30].mean(), readings[:31].mean(), readings[:32].mean()])


def test_arima_forecasts_a_course_of_the_day_to_its_noise(few: Hours) -> None:
    random, hours_of_day = np.random.default_rng(3), np.arange(SLICE)
    noise = np.zeros(SLICE)
    for n in range(1, SLICE):
        noise[n] = 0.8 * noise[n - 1] + random.normal()
    readings = 100 + 30 * np.sin(2 * np.pi * hours_of_day / 24) + noise
    readings[800:803] = np.nan
    forecasts = rivals.forecast_by_arima(few, readings, PART, (1, 0, 0))
    residuals = rules.compute_residuals(forecasts, readings, PART)
    assert 0.85 < rules.rmse(residuals) < 1.2
    assert rules.rmse(rules.compute_residuals(readings[PART:-1], readings, PART)) > 4


@pytest.mark.parametrize("name", ["climatology", "ARIMA", "boosting"])
def test_what_is_compared_does_not_look_ahead(name: str, few: Hours) -> None:
    forecast: Any = {
        "climatology": rivals.forecast_by_climatology,
        "ARIMA": lambda *run: rivals.forecast_by_arima(*run, (1, 1, 0)),
        "boosting": lambda *run: rivals.forecast_by_boosting(*run, parameters={"max_iter": 5}),
    }[name]
    readings = KNOWN.apply(few.pollution)
    later = np.array(readings)
    later[PART + 100 :] = 3 * later[PART + 100 :] + 5
    original, changed = (forecast(few, series, PART) for series in (readings, later))
    assert np.array_equal(original[:100], changed[:100])
    assert not np.array_equal(original[100:], changed[100:])


def test_boosting_learns_the_months_that_have_passed(few: Hours) -> None:
    """After a month in which an hour always brings 10 more, it says so; before, it knows nothing of it."""
    (month,) = rivals.find_months(few)
    assert 300 < month < 500
    readings = np.full(SLICE, 100.0)
    readings[200:] = 100 + 10 * np.arange(SLICE - 200)
    forecasts = rivals.forecast_by_boosting(few, readings, 190, parameters={"max_iter": 5})
    changes = forecasts - readings[190:-1]
    np.testing.assert_allclose(changes[: month - 191], 0.0)
    assert (changes[month - 191 :] > 1).all()


def test_a_comparison_is_drawn(tmp_path: Path) -> None:
    runs = {name: make_noise(number, 9.0 + number % 3, 1000) for number, name in enumerate(NAMES)}
    comparison = Comparison(KNOWN, {name: Model(name, residuals) for name, residuals in runs.items()})
    path = tmp_path / "differences.svg"
    summary = comparison_report.summarize([comparison, comparison], [0], 100, 0)
    figures.draw_comparison(summary, path)
    drawn = path.read_text()
    assert all(name in drawn for name in NAMES if name not in (OURS, CLIMATOLOGY))
    assert CLIMATOLOGY not in drawn


def shorten_recipes(*, epochs: int) -> list[lstm.Recipe]:
    return [replace(recipe, epochs=epochs) for recipe in lstm.RECIPES]


@pytest.mark.release
def test_the_comparison_scores_all_on_the_same_hours_and_repeats_exactly(tiny: Hours) -> None:
    progress: list[str] = []
    comparison = compare_models(tiny, KNOWN, [0, 0], progress.append, LEARNED, shorten_recipes(epochs=2))
    assert [line.split(", loss")[0] for line in progress[:3]] == [
        f"{ARIMA}: fitted",
        *(f"{ARTICLE}, seed 0: epoch {epoch}/2" for epoch in (1, 2)),
    ]
    assert len(progress) == 9
    readings = KNOWN.apply(tiny.pollution)
    scored = rules.mark_scored(readings)[LEARNED + 1 :]
    assert 0 < comparison.hours == scored.sum() < len(scored)
    assert tuple(comparison.models) == NAMES
    for model in comparison.models.values():
        for run in model.residuals:
            assert np.array_equal(~np.isnan(run), scored)
    for name in (ARTICLE, FAIR):
        first, again = comparison.models[name].residuals
        assert np.array_equal(again, first, equal_nan=True)
    recipe = shorten_recipes(epochs=2)[0]
    other = lstm.fit(recipe, recipe.prepare(tiny, readings, LEARNED), 1)
    residuals = rules.compute_residuals(other.forecasts, readings, LEARNED)
    assert not np.array_equal(residuals, comparison.models[ARTICLE].residuals[0], equal_nan=True)


def test_the_comparison_is_reported_as_it_is() -> None:
    runs = {name: make_noise(number, 9.0 + number % 3) for number, name in enumerate(NAMES)}
    runs[ARTICLE] = np.concatenate([runs[ARTICLE], make_noise(9, 14.0)])
    comparison = Comparison(KNOWN, {name: Model(name, residuals) for name, residuals in runs.items()})
    summary = comparison_report.summarize([comparison], [0, 1], 100, 0)
    (rule,) = summary["rules"]
    assert rule["hours"] == 8400
    assert [len(model["rmse"]) for model in rule["models"]] == [2 if n == ARTICLE else 1 for n in NAMES]
    assert [(row["first"], row["second"]) for row in rule["differences"]] == list(PAIRS)
    mean_rmse = {model["model"]: np.mean(model["rmse"]) for model in rule["models"]}
    for row in rule["differences"]:
        assert row["rmse"] == pytest.approx(mean_rmse[row["first"]] - mean_rmse[row["second"]])
        assert row["low"] < row["high"]
        assert row["holds_zero"] == (row["low"] <= 0 <= row["high"])
    lines = list(comparison_report.format_markdown(summary))
    assert any(line.startswith(f"| {ARTICLE} | 11.5") for line in lines)
    assert any("| the first is better: the interval does not hold zero |" in line for line in lines)
    assert len([line for line in lines if line.startswith("|")]) == 2 + len(NAMES) + 2 + len(PAIRS)


def run_baseline(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["baseline", *map(str, arguments)])


@pytest.mark.release
def test_the_command_prints_json_and_draws(
    tiny: Hours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hours, "load", lambda: tiny)
    monkeypatch.setattr(hours, "YEAR", LEARNED)
    folder = tmp_path / "a" / "folder"
    result = run_baseline("lstm", "--epochs", "1", "--seed", "5", "--json", "--figure", folder)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["hours"] == TINY - LEARNED - 1
    assert [run["seed"] for run in summary["runs"]] == [5]
    assert summary["rmse_mean"] == summary["runs"][0]["rmse"]
    assert "seed 5: epoch 1/1" in result.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["loss.png", "series.png"]


@pytest.mark.release
def test_the_comparison_runs_without_nets(
    tiny: Hours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hours, "load", lambda: tiny)
    monkeypatch.setattr(hours, "YEAR", LEARNED)
    monkeypatch.setitem(sys.modules, "jax", None)
    path = tmp_path / "a" / "differences.png"
    result = run_baseline("compare", "--no-nets", "--draws", "100", "--figure", path)
    assert result.exit_code == 0, result.output
    for name in NAMES:
        assert (f"\n| {name} |" in result.stdout) == (name not in (ARTICLE, FAIR))
    assert path.read_bytes().startswith(b"\x89PNG")
    assert BOOSTING in result.stdout


def test_figures_are_the_same_bytes_each_time(tiny: Hours, tmp_path: Path) -> None:
    nets = [lstm.Net(seed, np.zeros(3), [0.5, 0.3], [0.6, 0.4 + seed]) for seed in (0, 1)]
    readings = ZEROS.apply(tiny.pollution)
    runs = [figures.draw(tiny, readings, nets, figures.make_folder(tmp_path / run)) for run in "ab"]
    for first_path, second_path in zip(*runs, strict=True):
        first, second = first_path.read_bytes(), second_path.read_bytes()
        assert first.startswith(b"\x89PNG")
        assert first == second


def test_a_figure_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    nets = [lstm.Net(0, np.zeros(3), [0.5], [0.6])]
    with pytest.raises(FileError, match=r"none/loss\.png"):
        figures.draw_loss(nets, tmp_path / "none" / "loss.png")


def test_people_get_a_table_and_what_the_old_figure_was() -> None:
    readings = np.array([10.0, 20.0, 30.0, 50.0])
    nets = [lstm.Net(seed, np.array([22.0 + seed, 33.0 + seed]), [0.1], [0.1]) for seed in (0, 1)]
    text = "\n".join(article_report.format_markdown(article_report.summarize(nets, readings, 1)))
    rmse = [np.sqrt((8**2 + 17**2) / 2), np.sqrt((7**2 + 16**2) / 2)]
    before = np.sqrt((2**2 + 3**2) / 2)
    assert f"| LSTM, seed 0 | {rmse[0]:.3f} | 12.500 | {before:.3f} |" in text
    assert f"| persistence | {np.sqrt((10**2 + 20**2) / 2):.3f} | 15.000 | 0.000 |" in text
    assert f"Mean RMSE {np.mean(rmse):.3f}, from lowest to highest {rmse[0] - rmse[1]:.3f}." in text


def test_what_the_commands_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lstm, "import_keras", lambda: None)  # all of this is refused before a net is made
    assert run_baseline("lstm", "--epochs", "0").exit_code == 2
    assert run_baseline("compare", "--seeds", "0").exit_code == 2
    assert run_baseline("compare", "--seed", "-1").exit_code == 2
    file = tmp_path / "file"
    file.touch()
    refused = run_baseline("lstm", "--figure", file)
    assert (refused.exit_code, f"the folder {file} cannot be made" in refused.stderr) == (1, True)
    monkeypatch.setenv("STREAMLEARN_PM25_CSV", str(tmp_path / "none.csv"))
    refused = run_baseline("compare")
    assert (refused.exit_code, "the PM2.5 data cannot be read" in refused.stderr) == (1, True)


@pytest.mark.parametrize("missing", ["jax", "keras"])
def test_without_the_extra_it_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = SimpleNamespace(config=SimpleNamespace(update=lambda *_: None))
    monkeypatch.setitem(sys.modules, "jax", installed)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, missing, None)
    for command in ("lstm", "compare"):
        refused = run_baseline(command)
        assert refused.exit_code == 1
        assert (
            refused.stderr
            == f"streamlearn: this needs the package {missing}: pip install 'streamlearn[lstm]'\n"
        )


@pytest.mark.parametrize("command", ["lstm", "compare"])
def test_without_a_checkout_it_says_where_it_runs(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "benchmarks.pm25_lstm", None)
    refused = run_baseline(command)
    assert refused.exit_code == 1
    assert "not part of the installed package: run `streamlearn baseline` in a checkout" in refused.stderr
