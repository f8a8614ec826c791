"""The baselines: the article's preparation, the rules, ours frozen and not, the bootstrap, the nets."""

import csv
import json
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from msgspec import structs

from benchmarks.pm25_lstm import article, bootstrap, fair, figures, hours, lstm, online, report, rules
from benchmarks.pm25_lstm.comparison import ARTICLE, FAIR, NAMES, PAIRS, Compared, Model, compared
from benchmarks.pm25_lstm.comparison_report import as_data, lines
from benchmarks.pm25_lstm.hours import Floats, Hours
from benchmarks.pm25_lstm.rules import KNOWN, ZEROS
from streamlearn.cli.main import main
from streamlearn.datasets.base import DataSet
from streamlearn.engine.evaluate import evaluate
from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines.pm25 import pipeline

SLICE, PART = 1000, 700
"""Hours of a short run, and of its part that is learned."""


TINY, LEARNED = 140, 70
"""The same for nets: each of their parts is one batch, for which Keras compiles once."""


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
    """So many hours in which some readings are missing."""
    found = Hours(data.records[40_500 : 40_500 + TINY])
    assert 0 < np.isnan(found.pollution).sum() < 30
    return found


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
    found = article.prepared(data, ZEROS.readings(data.pollution))
    assert found.train.x.shape == (8760, 1, 8)
    assert found.test.x.shape == (35_039, 1, 8)
    x, y = (np.concatenate([getattr(part, name) for part in (found.train, found.test)]) for name in "xy")
    np.testing.assert_allclose(x[:, 0], scaled[:-1], atol=1e-5)
    np.testing.assert_allclose(y, scaled[1:, 0], atol=1e-6)
    np.testing.assert_allclose(found.forecasts(found.test.y), columns[8761:, 0], atol=1e-3)
    assert np.array_equal(found.validation.x, found.test.x)


def test_persistence_is_what_both_rules_say(data: Hours) -> None:
    figures = {}
    for rule in rules.RULES:
        readings = rule.readings(data.pollution)
        figures[rule.name] = report.figures(rules.persistence(readings), readings)
    assert f"{figures['zeros'].rmse:.3f}" == "26.559"
    assert f"{figures['known'].rmse:.3f}" == "23.447"
    assert figures["zeros"].rmse_hour_before == 0


def test_an_error_is_scored_where_the_hour_and_the_one_before_are_known() -> None:
    pollution = np.array([1.0, 2.0, np.nan, 4.0, 7.0, 9.0])
    forecasts = np.array([5.0, 5.0, 5.0, 5.0])
    nan = np.nan
    np.testing.assert_equal(rules.errors(forecasts, KNOWN.readings(pollution), 1), [nan, nan, -2.0, -4.0])
    np.testing.assert_equal(rules.errors(forecasts, ZEROS.readings(pollution), 1), [5.0, 1.0, -2.0, -4.0])
    np.testing.assert_equal(rules.persistence(ZEROS.readings(pollution), 1), [2.0, 0.0, 4.0, 7.0])
    assert rules.filled(pollution).tolist() == [1.0, 2.0, 2.0, 4.0, 7.0, 9.0]


def test_a_fair_net_is_scaled_and_fitted_by_four_fifths_of_the_year_only(few: Hours) -> None:
    readings = KNOWN.readings(few.pollution)
    found = fair.prepared(few, readings, PART)
    later = np.array(readings)
    later[round(0.8 * PART) :] *= 3
    changed = fair.prepared(few, later, PART)
    assert np.array_equal(found.train.x, changed.train.x)
    assert np.array_equal(found.train.y, changed.train.y)
    assert not np.array_equal(found.validation.y, changed.validation.y)
    known = rules.scored(readings)
    assert len(found.train.y) == known[24 : round(0.8 * PART)].sum()
    assert len(found.validation.y) == known[round(0.8 * PART) : PART + 1].sum()
    assert len(found.test.y) == SLICE - PART - 1


def test_a_fair_net_sees_the_day_before_and_says_the_change(few: Hours) -> None:
    readings = ZEROS.readings(few.pollution)
    found, table = fair.prepared(few, readings, PART), fair.table(few, readings)
    cut = round(0.8 * PART)
    scaled = (table - table[:cut].mean(axis=0)) / np.maximum(table[:cut].std(axis=0), 1e-9)
    moves = table[:cut].std(axis=0) > 0
    first = PART + 1
    np.testing.assert_allclose(
        found.test.x[0][:, moves], scaled[first - 24 : first][:, moves], rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(found.forecasts(found.test.y), readings[first:], atol=1e-2)
    nothing = np.zeros_like(found.test.y)
    np.testing.assert_allclose(found.forecasts(nothing), rules.persistence(readings, PART))
    assert found.forecasts(nothing - 1e3).min() == 0


def test_ours_is_the_pipeline_as_it_is_evaluated(few: Hours) -> None:
    readings = KNOWN.readings(few.pollution)
    errors = rules.errors(online.forecasts(few, readings, PART - 1), readings, PART - 1)
    records = [structs.asdict(hour) for hour in few.records]
    ours = replace(an_hour_ahead(), dataset=DataSet(lambda **_: iter(records), SLICE))
    expected: Any = evaluate(ours, skip=PART)
    score = expected.horizons["1"]
    assert (~np.isnan(errors)).sum() == score.samples > 100
    assert float(np.sqrt(np.nanmean(errors**2))) == pytest.approx(score.rmse, rel=1e-12)
    baseline = rules.errors(rules.persistence(readings, PART - 1), readings, PART - 1)
    assert float(np.sqrt(np.nanmean(baseline**2))) == pytest.approx(score.baseline_rmse, rel=1e-12)


def an_hour_ahead() -> Any:
    """The pipeline with its first horizon only: a fifth of the time."""
    how: Any = pipeline.learning
    return replace(pipeline, learning=replace(how, horizons=(1,)))


def test_ours_frozen_learns_nothing_more(few: Hours) -> None:
    readings = KNOWN.readings(few.pollution)
    later = np.array(readings)
    later[PART + 150 :] = 3 * later[PART + 150 :] + 5
    known = {
        frozen: [online.forecasts(few, told, PART, frozen=frozen) for told in (readings, later)]
        for frozen in (True, False)
    }
    learning, frozen = known[False][0], known[True][0]
    assert learning[0] == frozen[0]
    assert not np.array_equal(learning[5:], frozen[5:])
    for one, other in known.values():
        assert np.array_equal(one[:149], other[:149]), "a forecast saw what came after it"


def test_ours_frozen_answers_as_the_frozen_models_do(few: Hours) -> None:
    """Beside the same learner, whose models are put back after each hour."""
    readings = ZEROS.readings(few.pollution)[: PART + 60]
    short = Hours(few.records[: PART + 60])
    how: Any = an_hour_ahead().learning
    learner = how.new_learner(pipeline.parameters, 0)
    expected, kept = [], None
    for number, record in enumerate(online.records(short, readings)):
        expected.append(predict_then_learn(learner, [record], number + 1)[0]["forecast"]["1"])
        if number == PART:
            kept = deepcopy(learner.state()["models"])
        elif number > PART:
            learner.restore({**learner.state(), "models": deepcopy(kept)})
    found = online.forecasts(short, readings, PART, frozen=True)
    np.testing.assert_allclose(found, expected[PART:-1], rtol=1e-12)


def noise(seed: int, scale: float, count: int = 8400) -> Floats:
    return np.random.default_rng(seed).normal(scale=scale, size=(1, count))


def test_the_bootstrap_finds_a_planted_difference() -> None:
    found = bootstrap.difference(noise(1, 9.0), noise(2, 10.0))
    assert -1.3 < found.low < found.value < found.high < -0.7
    assert not found.holds_zero


def test_the_bootstrap_finds_none_where_there_is_none() -> None:
    held = [bootstrap.difference(noise(n, 10.0), noise(n + 100, 10.0), 300).holds_zero for n in range(40)]
    assert sum(held) >= 34


def test_the_bootstrap_repeats_exactly_and_its_seed_counts() -> None:
    one, other = noise(1, 9.0), noise(2, 10.0)
    assert bootstrap.difference(one, other) == bootstrap.difference(one, other)
    assert bootstrap.difference(one, other, seed=1) != bootstrap.difference(one, other)


def test_weeks_are_drawn_whole() -> None:
    """An error that lasts for a week widens the interval; drawn by hours it would be ten times narrower."""
    lasting = np.repeat(np.random.default_rng(5).normal(scale=10, size=50), 168)[None]
    wide = bootstrap.difference(lasting, noise(2, 10.0))
    narrow = bootstrap.difference(noise(1, 10.0), noise(2, 10.0))
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_both_models_are_drawn_the_same_weeks() -> None:
    """What both find equally hard says nothing of which is better."""
    hard = np.repeat(np.random.default_rng(5).normal(scale=50, size=50), 168)[None]
    found = bootstrap.difference(hard + noise(1, 1.0), hard + noise(2, 5.0))
    assert found.high - found.low < 0.5
    assert not found.holds_zero


def test_hours_without_a_score_and_several_seeds_count_as_they_should() -> None:
    errors = np.array([[3.0, np.nan, 4.0], [6.0, np.nan, 8.0]])
    mean = (np.sqrt(12.5) + np.sqrt(50)) / 2
    found = bootstrap.difference(errors, np.array([[0.0, np.nan, 0.0]]))
    assert found.value == pytest.approx(mean)
    assert found.low == found.high == pytest.approx(found.value)


def short(*, epochs: int) -> list[lstm.Recipe]:
    return [replace(recipe, epochs=epochs) for recipe in lstm.RECIPES]


def test_the_comparison_scores_all_on_the_same_hours_and_repeats_exactly(tiny: Hours) -> None:
    told: list[str] = []
    found = compared(tiny, KNOWN, [0, 0], told.append, LEARNED, short(epochs=2))
    assert [line.split(", loss")[0] for line in told[:2]] == [
        f"{ARTICLE}, seed 0: epoch {epoch}/2" for epoch in (1, 2)
    ]
    assert len(told) == 8
    readings = KNOWN.readings(tiny.pollution)
    counts = rules.scored(readings)[LEARNED + 1 :]
    assert 0 < found.hours == counts.sum() < len(counts)
    assert tuple(found.models) == NAMES
    for model in found.models.values():
        for run in model.errors:
            assert np.array_equal(~np.isnan(run), counts)
    for name in (ARTICLE, FAIR):
        first, again = found.models[name].errors
        assert np.array_equal(again, first, equal_nan=True)
    recipe = short(epochs=2)[0]
    other = lstm.fitted(recipe, recipe.prepared(tiny, readings, LEARNED), 1)
    errors = rules.errors(other.forecasts, readings, LEARNED)
    assert not np.array_equal(errors, found.models[ARTICLE].errors[0], equal_nan=True)


def test_the_comparison_is_reported_as_it_is() -> None:
    runs = {name: noise(number, 9.0 + number % 3) for number, name in enumerate(NAMES)}
    runs[ARTICLE] = np.concatenate([runs[ARTICLE], noise(9, 14.0)])
    found = Compared(KNOWN, {name: Model(name, errors) for name, errors in runs.items()})
    data = as_data([found], [0, 1], 100, 0)
    (rule,) = data["rules"]
    assert rule["hours"] == 8400
    assert [len(model["rmse"]) for model in rule["models"]] == [1, 2, 1, 1, 1]
    assert [(one["first"], one["second"]) for one in rule["differences"]] == list(PAIRS)
    figures = {model["model"]: np.mean(model["rmse"]) for model in rule["models"]}
    for one in rule["differences"]:
        assert one["rmse"] == pytest.approx(figures[one["first"]] - figures[one["second"]])
        assert one["low"] < one["high"]
        assert one["holds_zero"] == (one["low"] <= 0 <= one["high"])
    text = list(lines(data))
    assert f"| {ARTICLE} | 12.0" in text[5]
    assert any("| the first is better: the interval does not hold zero |" in line for line in text)
    assert len([line for line in text if line.startswith("|")]) == 2 + len(NAMES) + 2 + len(PAIRS)


def baseline(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["baseline", *map(str, arguments)])


def test_the_command_prints_json_and_draws(
    tiny: Hours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hours, "load", lambda: tiny)
    monkeypatch.setattr(hours, "YEAR", LEARNED)
    done = baseline("lstm", "--epochs", "1", "--seed", "5", "--json", "--figure", tmp_path / "a" / "folder")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["hours"] == TINY - LEARNED - 1
    assert [run["seed"] for run in found["runs"]] == [5]
    assert found["rmse_mean"] == found["runs"][0]["rmse"]
    assert "seed 5: epoch 1/1" in done.stderr
    drawn = sorted(path.name for path in (tmp_path / "a" / "folder").iterdir())
    assert drawn == ["loss.png", "series.png"]


def test_figures_are_the_same_bytes_each_time(tiny: Hours, tmp_path: Path) -> None:
    nets = [lstm.Net(seed, np.zeros(3), [0.5, 0.3], [0.6, 0.4 + seed]) for seed in (0, 1)]
    for name in ("one", "two"):
        figures.draw_loss(nets, tmp_path / f"{name}-loss.png")
        figures.draw_series(tiny, ZEROS.readings(tiny.pollution), tmp_path / f"{name}-series.png")
    for name in ("loss", "series"):
        first, second = ((tmp_path / f"{number}-{name}.png").read_bytes() for number in ("one", "two"))
        assert first.startswith(b"\x89PNG")
        assert first == second


def test_people_get_a_table_and_what_the_old_figure_was() -> None:
    readings = np.array([10.0, 20.0, 30.0, 50.0])
    nets = [lstm.Net(seed, np.array([22.0 + seed, 33.0 + seed]), [0.1], [0.1]) for seed in (0, 1)]
    data = report.as_data(nets, readings, 1)
    text = "\n".join(report.lines(data))
    rmse = [np.sqrt((8**2 + 17**2) / 2), np.sqrt((7**2 + 16**2) / 2)]
    before = np.sqrt((2**2 + 3**2) / 2)
    assert f"| LSTM, seed 0 | {rmse[0]:.3f} | 12.500 | {before:.3f} |" in text
    assert f"| persistence | {np.sqrt((10**2 + 20**2) / 2):.3f} | 15.000 | 0.000 |" in text
    assert f"Mean RMSE {np.mean(rmse):.3f}, from lowest to highest {rmse[0] - rmse[1]:.3f}." in text


def test_what_the_commands_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert baseline("lstm", "--epochs", "0").exit_code == 2
    assert baseline("compare", "--seeds", "0").exit_code == 2
    assert baseline("compare", "--seed", "-1").exit_code == 2
    file = tmp_path / "file"
    file.touch()
    refused = baseline("lstm", "--figure", file)
    assert (refused.exit_code, "cannot be made a folder" in refused.stderr) == (1, True)
    monkeypatch.setenv("STREAMLEARN_PM25_CSV", str(tmp_path / "none.csv"))
    refused = baseline("compare")
    assert (refused.exit_code, "the PM2.5 data cannot be read" in refused.stderr) == (1, True)


@pytest.mark.parametrize("missing", ["jax", "keras"])
def test_without_the_extra_it_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    for command in ("lstm", "compare"):
        refused = baseline(command)
        assert refused.exit_code == 1
        assert (
            refused.stderr
            == f"streamlearn: this needs the package {missing}: pip install 'streamlearn[lstm]'\n"
        )
