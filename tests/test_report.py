"""`streamlearn report`, offline: the figures' numbers against plain recomputation, and the page itself."""

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import ROOT
from reported import Page, answered, hours, made_up, small

from streamlearn.cli.main import main
from streamlearn.engine import evaluate
from streamlearn.errors import BrokerUnavailable, DataUnavailable
from streamlearn.learning import curves
from streamlearn.learning.drivers import Driver
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.display import Label
from streamlearn.pipelines.registry import load
from streamlearn.reports import breakdowns, calibration, page, sources
from streamlearn.reports.contents import contents
from streamlearn.reports.decisions import Decisions, decided, hardest
from streamlearn.reports.figures.style import inlined, svg
from streamlearn.reports.forecasts import arranged

COUNT = 24 * 40


@pytest.fixture(scope="module")
def dust() -> Pipeline:
    known = load("pm25").learning.drivers
    return small(hours(COUNT), drivers=(known[0], known[6], known[8]))


@pytest.fixture(scope="module")
def found(dust: Pipeline) -> sources.Answered:
    return answered(dust)


@pytest.fixture(scope="module")
def digits() -> sources.Answered:
    return answered(small(list(load("digits").dataset.records(passes=1))[:600], "digits"), passes=2)  # type: ignore[union-attr]


def rendered(found: sources.Answered, skip: int = 0) -> str:
    head, sections = contents(found, skip)
    return page.rendered(head, list(sections))


@pytest.mark.parametrize("skip", [0, 300])
def test_errors_are_those_of_the_learners_own_score(
    dust: Pipeline, found: sources.Answered, skip: int
) -> None:
    score: Any = evaluate.evaluate(dust, skip=skip)
    series = arranged(found, skip)
    for column, (name, errors) in enumerate(score.horizons.items()):
        assert str(series.horizons[column]) == name
        assert (~np.isnan(series.missed[:, column])).sum() == errors.samples > 0
        assert breakdowns.rms(series.missed)[column] == pytest.approx(errors.rmse)
        assert breakdowns.rms(series.persistence)[column] == pytest.approx(errors.baseline_rmse)


def test_errors_by_hour_and_wind_are_those_of_a_plain_loop(found: sources.Answered) -> None:
    series = arranged(found)
    column, horizon = 2, 6
    by_hour, by_wind = defaultdict(list), defaultdict(list)
    truth = {hour_of(record): record for record in found.records}
    for record, answer in zip(found.records, found.answers, strict=True):
        then = truth.get(hour_of(record) + horizon)
        said = answer["forecast"][str(horizon)]
        if None in (said, record.pollution) or then is None or then.pollution is None:
            continue
        by_hour[hour_of(then) % 24].append(said - then.pollution)
        by_wind[then.wnd_dir].append(said - then.pollution)
    for hour, one in enumerate(breakdowns.by_time_of_day(series)):
        assert one.name == f"{hour:02d}:00"
        assert one.counts[column] == len(by_hour[hour]) > 0
        assert one.rmse[column] == pytest.approx(np.sqrt(np.mean(np.square(by_hour[hour]))))
    winds = breakdowns.by_switch(series)
    assert [one.name for one in winds] == ["wind from NW", "wind from SE"]
    for one, wind in zip(winds, ("NW", "SE"), strict=True):
        assert one.rmse[column] == pytest.approx(np.sqrt(np.mean(np.square(by_wind[wind]))))
    assert [one.name for one in breakdowns.by_season(series)] == ["Mar–May"]


def hour_of(record: Any) -> int:
    return int(np.datetime64(record.ts, "h").astype(int))


def test_seasons_are_quarters_that_begin_in_december() -> None:
    days = 366
    series = made_up(np.zeros(24 * days), np.ones((24 * days, 2)))
    counts = {one.name: int(one.counts[0]) / 24 for one in breakdowns.by_season(series)}
    assert counts == pytest.approx({"Dec–Feb": 91, "Mar–May": 92, "Jun–Aug": 92, "Sep–Nov": 91}, abs=0.1)


def test_the_worst_day_is_where_it_was_planted() -> None:
    random = np.random.default_rng(3)
    values = random.normal(0, 1, 24 * 20)
    values[24 * 7 : 24 * 8] += 50
    values[24 * 12 : 24 * 13] += 20
    values[24 * 15 : 24 * 15 + 20] = np.nan
    values[24 * 15 + 20 : 24 * 16] += 500
    days = breakdowns.worst_days(made_up(values, np.zeros((len(values), 2))), 0, 2)
    assert [day.date for day in days] == ["1970-01-08", "1970-01-13"]
    assert days[0].rows == slice(24 * 7, 24 * 8)
    assert days[0].rmse == pytest.approx(np.sqrt(np.mean(values[24 * 7 : 24 * 8] ** 2)))


def test_intervals_hold_what_they_promise_where_errors_stay_the_same() -> None:
    random = np.random.default_rng(5)
    values = random.gamma(2.0, 10.0, 8000)
    series = made_up(values, np.zeros((8000, 2)))
    for nominal in calibration.NOMINAL:
        # Quantiles of 168 errors are a little inside of those of the distribution.
        np.testing.assert_allclose(calibration.coverage(series, nominal), nominal, atol=0.02)


def test_intervals_hold_less_where_errors_grow() -> None:
    random = np.random.default_rng(5)
    values = random.normal(0, np.exp(np.arange(2000) / 100))
    assert (calibration.coverage(made_up(values, np.zeros((2000, 2))), 0.9) < 0.8).all()


def test_an_interval_sees_nothing_that_comes_after_its_forecast() -> None:
    random, now = np.random.default_rng(7), 600
    values, forecasts = random.normal(size=1000), random.normal(size=(1000, 2))
    planted = values.copy()
    planted[now + 1 :] = 1e6
    before = calibration.intervals(made_up(values, forecasts), 0.8)
    after = calibration.intervals(made_up(planted, forecasts), 0.8)
    for column, horizon in enumerate((1, 3)):
        for one, other in zip(before, after, strict=True):
            known = slice(None, now + horizon + 1)
            np.testing.assert_array_equal(one[known, column], other[known, column])
            assert not np.isnan(one[now + horizon, column])
    assert not np.array_equal(before[1][now + 4 :], after[1][now + 4 :])


def test_an_interval_is_that_of_the_forecast_page(found: sources.Answered) -> None:
    series = arranged(found)
    low, high = calibration.intervals(series, 0.8)
    for now in (100, 500, 800):
        spread = curves.spread(series.missed[max(0, now - calibration.RECENT + 1) : now + 1])
        for column, horizon in enumerate(series.horizons):
            ends = np.maximum(series.forecasts[now, column] + spread[column], series.lowest)
            np.testing.assert_allclose([low[now + horizon, column], high[now + horizon, column]], ends)


def test_a_data_set_that_is_replayed_is_reported_from_its_newest_start(dust: Pipeline) -> None:
    twice = answered(dust, passes=2)
    series = arranged(twice)
    assert (series.answered, len(twice.answers)) == (COUNT - 1, 2 * (COUNT - 1))
    assert str(series.times[0]) == "2012-03-01T00:00:00"
    head, _ = contents(twice, 0)
    assert head.notes[0].startswith("Time jumps in these answers: the report is of the newest 959,")
    once = arranged(answered(dust, passes=2, last=COUNT - 1))
    np.testing.assert_array_equal(series.missed, once.missed)


def test_confusion_counts_are_those_of_a_plain_count(digits: sources.Answered) -> None:
    pairs = Counter(
        (answer["actual_y"], answer["predict_y"])
        for answer in digits.answers
        if answer["predict_y"] is not None
    )
    decisions = decided(digits)
    for (truth, guess), count in pairs.items():
        assert decisions.confusion[truth, guess] == count
    assert decisions.confusion.sum() == sum(pairs.values())
    assert decisions.right.sum() == digits.learner.score.right  # type: ignore[union-attr]
    found = sum(count for (truth, guess), count in pairs.items() if truth == guess == 8)
    assert decisions.recall[8] == found / sum(n for (truth, _), n in pairs.items() if truth == 8)
    assert decisions.precision[8] == found / sum(n for (_, guess), n in pairs.items() if guess == 8)


def test_the_hardest_are_the_most_often_wrong_and_equal_ones_are_one() -> None:
    rows = np.array([[0.0], [1.0], [2.0], [1.0], [0.0], [1.0], [2.0], [1.0]])
    truths = np.array([0, 1, 2, 1, 0, 1, 2, 1])
    guesses = np.array([0, 2, 0, 0, 0, 2, 2, 1])
    found = hardest(Decisions(("a", "b", "c"), truths, guesses, rows, None, None), 5)
    said = [(one.features[0], one.truth, one.guess, one.wrong, one.seen) for one in found]
    assert said == [(1.0, "b", "c", 3, 4), (2.0, "c", "a", 1, 2)]


@pytest.mark.parametrize("name", ["found", "digits"])
def test_a_page_is_whole_and_asks_for_nothing(name: str, request: pytest.FixtureRequest) -> None:
    text = rendered(request.getfixturevalue(name))
    found = Page(text)
    assert found.wrong == []
    assert len(found.ids) == len(set(found.ids))
    for _, named in found.tags:
        for attribute in ("src", "href", "xlink:href", "style"):
            assert not re.search(r"https?:|^//", named.get(attribute, ""))
    assert not found.having("script")
    assert not found.having("link")
    assert "url(http" not in text
    assert len(found.having("svg")) == len(found.having("figure")) > 4
    images = [named for named in found.having("div") if named.get("role") == "img"]
    assert len(images) == len(found.having("svg"))
    assert all(named["aria-label"] for named in images)
    targets = [named["href"] for named in found.having("a")]
    assert targets
    assert {target[1:] for target in targets} <= set(found.ids)
    used = {named["xlink:href"][1:] for named in found.having("use")} | set(
        re.findall(r"url\(#([^)]+)\)", text)
    )
    assert used
    assert used <= set(found.ids)


def test_what_comes_from_outside_is_escaped() -> None:
    hostile = '<script>alert("1")</script>&amp;</svg>$x^{'
    known = load("pm25")
    labels = {"dew": Label(hostile, hostile)}
    display = replace(known.display, title=hostile, unit=hostile, bands_source=hostile, drivers=labels)
    drivers = (Driver("dew", lambda hour: hour.dew), known.learning.drivers[6])
    text = rendered(
        answered(replace(small(hours(300), display=display, drivers=drivers, horizons=(1, 6)), name=hostile))
    )
    found = Page(text)
    assert found.wrong == []
    assert not found.having("script")
    assert "alert(&#34;1&#34;)" in text


def test_the_same_answers_give_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from reported import hours, small\n\npipeline = small(hours(300), drivers=(), horizons=(1, 6))\n"
    )
    subprocess.run(
        [sys.executable, "-m", "streamlearn", "report", "--pipeline", "mine:pipeline", "--offline"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
            "PYTHONHASHSEED": "7",
        },
        check=True,
        capture_output=True,
    )
    here = rendered(answered(small(hours(300), drivers=(), horizons=(1, 6))))
    assert (tmp_path / "pm25-report.html").read_text() == here


def test_the_command_says_where_the_page_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tumours.py").write_text(
        re.search(r"```python\n(.*?)```", (ROOT / "docs/your-own-pipeline.md").read_text(), re.DOTALL)[1]  # type: ignore[index]
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ["report", "--pipeline", "tumours:pipeline", "--offline", "--passes", "2", "--last", "900"]
    done = CliRunner().invoke(main, [*arguments, "-o", "mine.html"])
    assert done.exit_code == 0, done.output
    assert re.fullmatch(r"mine\.html: \d\.\d MB, 900 answers\n", done.stdout)
    assert "tumours: drawn: Accuracy over time" in done.stderr
    text = (tmp_path / "mine.html").read_text()
    assert Page(text).wrong == []
    assert "The hardest records" in text
    assert "What the model looks at" in text
    refused = CliRunner().invoke(main, [*arguments, "-o", "no-such-folder/mine.html"])
    assert (refused.exit_code, refused.stderr.splitlines()[-1]) == (
        1,
        "streamlearn: no-such-folder/mine.html cannot be written: No such file or directory",
    )


def test_without_a_stack_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise BrokerUnavailable("Kafka at localhost:1 does not answer")

    monkeypatch.setattr(sources.LineageRegister, "current", away)
    refused = CliRunner().invoke(main, ["report", "digits"])
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1), refused.output
    assert "`scripts/up`" in refused.stderr
    assert "`--offline`" in refused.stderr
    assert CliRunner().invoke(main, ["report", "digits", "--passes", "3"]).exit_code == 2


def test_a_pipeline_without_data_cannot_be_reported_offline() -> None:
    with pytest.raises(DataUnavailable, match="has no data set"):
        answered(replace(load("digits"), dataset=None))


@pytest.mark.parametrize("pollution", [None, 5.0])
def test_a_series_that_says_nothing_has_a_page_nevertheless(pollution: float | None) -> None:
    records = [{**record, "pollution": pollution} for record in hours(100)]
    text = rendered(answered(small(records, drivers=(), horizons=(1, 6))))
    assert Page(text).wrong == []
    assert "not to be compared with persistence" in text


def test_figures_of_one_page_do_not_share_their_names() -> None:
    drawn = svg(lambda axes: axes.plot([1, 2], [3, 4], marker="o"), (3, 2))
    one, other = inlined(drawn, "a-"), inlined(drawn, "b-")
    assert not set(Page(one).ids) & set(Page(other).ids)
    assert one.replace("a-", "b-") == other.replace("a-", "b-")
