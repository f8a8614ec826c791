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
from reported import Page, answer_data_set, build_forecasts, build_hours, build_pipeline
from stacks import ROOT

from streamlearn.cli.main import main
from streamlearn.engine import evaluate
from streamlearn.errors import BrokerUnavailable, DataUnavailable
from streamlearn.learning import curves
from streamlearn.learning.drivers import Driver
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.display import Label
from streamlearn.pipelines.registry import load
from streamlearn.reports import breakdowns, calibration, page, sources
from streamlearn.reports.contents import build_contents
from streamlearn.reports.decisions import Decisions, arrange_decisions, find_hardest
from streamlearn.reports.figures.style import inline_svg, render_svg
from streamlearn.reports.forecasts import arrange_forecasts
from streamlearn.reports.sections.summaries import build_sections

COUNT = 24 * 40


@pytest.fixture(scope="module")
def dust() -> Pipeline:
    drivers = load("pm25").learning.drivers
    return build_pipeline(build_hours(COUNT), drivers=(drivers[0], drivers[6], drivers[8]))


@pytest.fixture(scope="module")
def dust_answers(dust: Pipeline) -> sources.AnsweredRecords:
    return answer_data_set(dust)


@pytest.fixture(scope="module")
def digit_answers() -> sources.AnsweredRecords:
    records = list(load("digits").dataset.records(passes=1))[:600]  # type: ignore[union-attr]
    return answer_data_set(build_pipeline(records, "digits_sgd"), passes=2)


def build_page(answered_records: sources.AnsweredRecords) -> str:
    head, sections = build_contents(answered_records, 0)
    return page.render_page(head, list(sections))


@pytest.mark.parametrize("skip", [0, 300])
def test_errors_are_those_of_the_learners_own_score(
    dust: Pipeline, dust_answers: sources.AnsweredRecords, skip: int
) -> None:
    score: Any = evaluate.evaluate(dust, skip=skip)
    forecasts = arrange_forecasts(dust_answers, skip)
    for column, (name, errors) in enumerate(score.horizons.items()):
        assert str(forecasts.horizons[column]) == name
        assert (~np.isnan(forecasts.residuals[:, column])).sum() == errors.samples > 0
        assert curves.rmse(forecasts.residuals)[column] == pytest.approx(errors.rmse)
        persistence_rmse = curves.rmse(forecasts.persistence_residuals)
        assert persistence_rmse[column] == pytest.approx(errors.baseline_rmse)


def test_errors_by_hour_and_wind_are_those_of_a_plain_loop(dust_answers: sources.AnsweredRecords) -> None:
    forecasts = arrange_forecasts(dust_answers)
    column, horizon = 2, 6
    by_hour, by_wind = defaultdict(list), defaultdict(list)
    record_at = {hour_number(record): record for record in dust_answers.records}
    for record, answer in zip(dust_answers.records, dust_answers.answers, strict=True):
        target = record_at.get(hour_number(record) + horizon)
        forecast = answer["forecast"][str(horizon)]
        if None in (forecast, record.pollution) or target is None or target.pollution is None:
            continue
        by_hour[hour_number(target) % 24].append(forecast - target.pollution)
        by_wind[target.wnd_dir].append(forecast - target.pollution)
    for hour, group in enumerate(breakdowns.group_by_time_of_day(forecasts)):
        assert group.name == f"{hour:02d}:00"
        assert group.counts[column] == len(by_hour[hour]) > 0
        assert group.rmse[column] == pytest.approx(np.sqrt(np.mean(np.square(by_hour[hour]))))
    winds = breakdowns.group_by_binary_driver(forecasts)
    assert [group.name for group in winds] == ["wind from NW", "wind from SE"]
    for group, wind in zip(winds, ("NW", "SE"), strict=True):
        assert group.rmse[column] == pytest.approx(np.sqrt(np.mean(np.square(by_wind[wind]))))
    assert [group.name for group in breakdowns.group_by_season(forecasts)] == ["Mar–May"]


def hour_number(record: Any) -> int:
    return int(np.datetime64(record.ts, "h").astype(int))


def test_seasons_are_quarters_that_begin_in_december() -> None:
    days = 366
    forecasts = build_forecasts(np.zeros(24 * days), np.ones((24 * days, 2)))
    counts = {group.name: int(group.counts[0]) / 24 for group in breakdowns.group_by_season(forecasts)}
    assert counts == pytest.approx({"Dec–Feb": 91, "Mar–May": 92, "Jun–Aug": 92, "Sep–Nov": 91}, abs=0.1)


def test_the_worst_day_is_where_it_was_planted() -> None:
    random = np.random.default_rng(3)
    values = random.normal(0, 1, 24 * 20)
    values[24 * 7 : 24 * 8] += 50
    values[24 * 12 : 24 * 13] += 20
    values[24 * 15 : 24 * 15 + 20] = np.nan
    values[24 * 15 + 20 : 24 * 16] += 500
    days = breakdowns.find_worst_days(build_forecasts(values, np.zeros((len(values), 2))), 0, 2)
    assert [day.date for day in days] == ["1970-01-08", "1970-01-13"]
    assert days[0].rows == slice(24 * 7, 24 * 8)
    assert days[0].rmse == pytest.approx(np.sqrt(np.mean(values[24 * 7 : 24 * 8] ** 2)))


def test_intervals_hold_what_they_promise_where_errors_stay_the_same() -> None:
    random = np.random.default_rng(5)
    values = random.gamma(2.0, 10.0, 8000)
    forecasts = build_forecasts(values, np.zeros((8000, 2)))
    for nominal in forecasts.ranges.shares:
        np.testing.assert_allclose(calibration.coverage(forecasts, nominal), nominal, atol=0.02)


def test_intervals_hold_most_of_what_they_promise_where_errors_grow() -> None:
    random = np.random.default_rng(5)
    values = random.normal(0, np.exp(np.arange(2000) / 100))
    coverage = calibration.coverage(build_forecasts(values, np.zeros((2000, 2))), 0.95)
    assert (coverage > 0.9).all()


def test_an_interval_sees_nothing_that_comes_after_its_forecast() -> None:
    random, now = np.random.default_rng(7), 600
    values, forecasts = random.normal(size=1000), random.normal(size=(1000, 2))
    planted = values.copy()
    planted[now + 1 :] = 1e6
    before = calibration.intervals(build_forecasts(values, forecasts), 0.8)
    after = calibration.intervals(build_forecasts(planted, forecasts), 0.8)
    for column, horizon in enumerate((1, 3)):
        for ends_before, ends_after in zip(before, after, strict=True):
            known = slice(None, now + horizon + 1)
            np.testing.assert_array_equal(ends_before[known, column], ends_after[known, column])
            assert not np.isnan(ends_before[now + horizon, column])
    assert not np.array_equal(before[1][now + 4 :], after[1][now + 4 :])


def test_an_interval_is_that_of_the_answers(dust_answers: sources.AnsweredRecords) -> None:
    forecasts = arrange_forecasts(dust_answers)
    low, high = calibration.intervals(forecasts, 0.8)
    ranged = [answer for answer in dust_answers.answers if answer["ranges"]["1"]]
    assert len(ranged) > 800
    answer = ranged[500]
    made = hour_number(dust_answers.records[dust_answers.answers.index(answer)]) - int(forecasts.steps[0])
    for column, horizon in enumerate(forecasts.horizons):
        ends = [low[made + horizon, column], high[made + horizon, column]]
        assert ends == answer["ranges"][str(horizon)]["80"]


def test_answers_without_ranges_get_them_by_the_same_rule(dust_answers: sources.AnsweredRecords) -> None:
    bare = [{name: part for name, part in a.items() if name != "ranges"} for a in dust_answers.answers]
    given = arrange_forecasts(dust_answers).ends
    repeated = arrange_forecasts(replace(dust_answers, answers=bare)).ends
    np.testing.assert_allclose(repeated, given, rtol=1e-9)


def test_coverage_by_quarter_and_level_is_that_of_a_plain_loop(dust_answers: sources.AnsweredRecords) -> None:
    forecasts = arrange_forecasts(dust_answers)
    column, horizon, share = 1, 3, "80"
    record_at = {hour_number(record): record for record in dust_answers.records}
    inside: dict[str, list[bool]] = defaultdict(list)
    for record, answer in zip(dust_answers.records, dust_answers.answers, strict=True):
        target, ranges = record_at.get(hour_number(record) + horizon), answer["ranges"][str(horizon)]
        if ranges is None or record.pollution is None or target is None or target.pollution is None:
            continue
        forecast, (low, high) = answer["forecast"][str(horizon)], ranges[share]
        level = "below 35" if forecast < 35 else "35 to 115" if forecast < 115 else "115 to 250"
        quarter = f"2012 Q{1 if target.ts < '2012-04' else 2}"
        for name in (quarter, f"{level if forecast < 250 else '250 and more'} µg/m³"):
            inside[name].append(low <= target.pollution <= high)
    groups = [*calibration.group_by_quarter(forecasts), *calibration.group_by_level(forecasts)]
    assert {group.name for group in groups} == set(inside)
    assert len(inside) >= 4
    for group in groups:
        assert group.counts[column] == len(inside[group.name]) > 0
        assert group.shares[1, column] == pytest.approx(np.mean(inside[group.name]))


def test_there_are_no_quarters_without_dates_and_no_levels_where_all_forecasts_are_alike() -> None:
    forecasts = build_forecasts(np.arange(200.0), np.zeros((200, 2)))
    assert [group.name for group in calibration.group_by_quarter(forecasts)] == ["1970 Q1"]
    undated = replace(forecasts, display=replace(forecasts.display, step_s=0), times=forecasts.steps)
    assert calibration.group_by_quarter(undated) == calibration.group_by_level(forecasts) == []


def test_a_data_set_that_is_replayed_is_reported_from_its_newest_start(dust: Pipeline) -> None:
    twice = answer_data_set(dust, passes=2)
    forecasts = arrange_forecasts(twice)
    assert (forecasts.answer_count, len(twice.answers)) == (COUNT - 1, 2 * (COUNT - 1))
    assert str(forecasts.times[0]) == "2012-03-01T00:00:00"
    head, _ = build_contents(twice, 0)
    assert head.notes[0].startswith("Time jumps in these answers: the report covers the newest 959,")
    once = arrange_forecasts(answer_data_set(dust, passes=2, last=COUNT - 1))
    np.testing.assert_array_equal(forecasts.residuals, once.residuals)


def test_confusion_counts_are_those_of_a_plain_count(digit_answers: sources.AnsweredRecords) -> None:
    pairs = Counter(
        (answer["actual_y"], answer["predict_y"])
        for answer in digit_answers.answers
        if answer["predict_y"] is not None
    )
    decisions = arrange_decisions(digit_answers)
    for (truth, prediction), count in pairs.items():
        assert decisions.confusion[truth, prediction] == count
    assert decisions.confusion.sum() == sum(pairs.values())
    assert decisions.correct.sum() == digit_answers.learner.score.right  # type: ignore[union-attr]
    correct = sum(count for (truth, prediction), count in pairs.items() if truth == prediction == 8)
    assert decisions.recall[8] == correct / sum(n for (truth, _), n in pairs.items() if truth == 8)
    assert decisions.precision[8] == correct / sum(
        n for (_, prediction), n in pairs.items() if prediction == 8
    )


def test_the_hardest_are_the_most_often_wrong_and_equal_ones_are_one() -> None:
    rows = np.array([[0.0], [1.0], [2.0], [1.0], [0.0], [1.0], [2.0], [1.0]])
    truths = np.array([0, 1, 2, 1, 0, 1, 2, 1])
    predictions = np.array([0, 2, 0, 0, 0, 2, 2, 1])
    records = find_hardest(Decisions(("a", "b", "c"), truths, predictions, rows, None, None, truths > 2), 5)
    assert [
        (record.features[0], record.truth, record.mistaken_for, record.wrong, record.seen)
        for record in records
    ] == [(1.0, "b", "c", 3, 4), (2.0, "c", "a", 1, 2)]


@pytest.mark.parametrize("fixture", ["dust_answers", "digit_answers"])
def test_a_page_is_whole_and_asks_for_nothing(fixture: str, request: pytest.FixtureRequest) -> None:
    refused = {"refused": [{"kind": "late", "records": 2, "example": "its time was answered already"}]}
    text = build_page(replace(request.getfixturevalue(fixture), summaries=refused))
    parsed = Page(text)
    assert parsed.faults == []
    assert "the-whole-stream" in parsed.ids
    assert len(parsed.ids) == len(set(parsed.ids))
    for _, attributes in parsed.tags:
        for attribute in ("src", "href", "xlink:href", "style"):
            assert not re.search(r"https?:|^//", attributes.get(attribute, ""))
    assert not parsed.find_attributes("script")
    assert not parsed.find_attributes("link")
    assert "url(http" not in text
    assert len(parsed.find_attributes("svg")) == len(parsed.find_attributes("figure")) > 4
    images = [attributes for attributes in parsed.find_attributes("div") if attributes.get("role") == "img"]
    assert len(images) == len(parsed.find_attributes("svg"))
    assert all(attributes["aria-label"] for attributes in images)
    targets = [attributes["href"] for attributes in parsed.find_attributes("a")]
    assert targets
    assert {target[1:] for target in targets} <= set(parsed.ids)
    used = {attributes["xlink:href"][1:] for attributes in parsed.find_attributes("use")} | set(
        re.findall(r"url\(#([^)]+)\)", text)
    )
    assert used
    assert used <= set(parsed.ids)


def list_errors(*days: tuple[str, int, int, int, float, float]) -> list[dict[str, Any]]:
    names = ("window_start", "horizon", "hour", "forecasts", "mae_ugm3", "persistence_mae_ugm3")
    return [dict(zip(names, day, strict=True)) for day in days]


def test_what_sql_jobs_have_counted_of_the_whole_stream_stands_in_tables() -> None:
    errors = list_errors(
        ("2010-01-01 00:00:00", 1, 5, 30, 10.0, 20.0),
        ("2010-02-01 00:00:00", 1, 5, 10, 14.0, 16.0),
        ("2010-02-01 00:00:00", 6, 7, 10, 30.0, 30.0),
    )
    confusion = [
        {"actual_y": 3, "predict_y": other, "digits": count} for other, count in ((3, 95), (5, 4), (8, 1))
    ]
    refused = [
        {"kind": "late", "records": 2, "example": "its time was"},
        {"kind": "late", "records": 1200, "example": "<b>"},
    ]
    summaries = {"horizon": errors, "hour": errors, "confusion": confusion, "refused": refused}
    (section,) = build_sections({**summaries, "day": [{"hours": 24}]})
    horizons, months, hours, classes, letters = section.tables
    assert [*horizons.rows] == [
        ("1\u00a0h ahead", "11.00", "19.00", "42.1\u00a0%", "40"),
        ("6\u00a0h ahead", "30.00", "30.00", "0.0\u00a0%", "10"),
    ]
    assert [*months.rows] == [
        ("2010-01", "50.0\u00a0%", "–\u00a0%"),
        ("2010-02", "12.5\u00a0%", "0.0\u00a0%"),
    ]
    assert [*hours.rows] == [("5", "42.1\u00a0%", "–\u00a0%"), ("7", "–\u00a0%", "0.0\u00a0%")]
    assert [*classes.rows] == [("3", "95.0\u00a0%", "5 (4)", "100")]
    assert [*letters.rows] == [("late", "1,202", "<b>")]
    head = page.PageHead("Title", [], [], None)
    assert "&lt;b&gt;" in page.render_page(head, [section])
    # A summary of the same name that a SQL file of one's own writes may have other columns.
    assert [*build_sections({"hour": [{"hours": 3}], "horizon": []})] == []


def test_what_comes_from_outside_is_escaped() -> None:
    hostile = '<script>alert("1")</script>&amp;</svg>$x^{'
    pm25 = load("pm25")
    labels = {"dew": Label(hostile, hostile)}
    display = replace(pm25.display, title=hostile, unit=hostile, bands_source=hostile, drivers=labels)
    drivers = (Driver("dew", lambda hour: hour.dew), pm25.learning.drivers[6])
    text = build_page(
        answer_data_set(
            replace(
                build_pipeline(build_hours(300), display=display, drivers=drivers, horizons=(1, 6)),
                name=hostile,
            )
        )
    )
    parsed = Page(text)
    assert parsed.faults == []
    assert not parsed.find_attributes("script")
    assert "alert(&#34;1&#34;)" in text


def test_the_same_answers_give_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from reported import build_hours, build_pipeline\n\n"
        "pipeline = build_pipeline(build_hours(300), drivers=(), horizons=(1, 6))\n"
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
    expected = build_page(answer_data_set(build_pipeline(build_hours(300), drivers=(), horizons=(1, 6))))
    assert (tmp_path / "pm25-report.html").read_text() == expected


def test_the_command_says_where_the_page_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/your-own-pipeline.md").read_text()
    module = re.search(r"```python\n(\"\"\"tumours.*?)```", page, re.DOTALL)
    assert module
    (tmp_path / "tumours.py").write_text(module[1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ["report", "--pipeline", "tumours:pipeline", "--offline", "--passes", "2", "--last", "900"]
    result = CliRunner().invoke(main, [*arguments, "-o", "mine.html"])
    assert result.exit_code == 0, result.output
    assert re.fullmatch(r"mine\.html: \d\.\d MB, 900 answers\n", result.stdout)
    assert "tumours: drawn: Accuracy over time" in result.stderr
    text = (tmp_path / "mine.html").read_text()
    assert Page(text).faults == []
    assert "The hardest records" in text
    assert "What the model looks at" in text
    refused = CliRunner().invoke(main, [*arguments, "-o", "no-such-folder/mine.html"])
    assert (refused.exit_code, refused.stderr.splitlines()[-1]) == (
        1,
        "streamlearn: no-such-folder/mine.html cannot be written: No such file or directory",
    )


def test_without_a_stack_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise BrokerUnavailable("Kafka at localhost:1 does not answer")

    monkeypatch.setattr(sources.LineageRegister, "current", refuse)
    refused = CliRunner().invoke(main, ["report", "digits"])
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1), refused.output
    assert "`scripts/up`" in refused.stderr
    assert "`--offline`" in refused.stderr
    assert CliRunner().invoke(main, ["report", "digits", "--passes", "3"]).exit_code == 2


def test_a_pipeline_without_data_cannot_be_reported_offline() -> None:
    with pytest.raises(DataUnavailable, match="has no data set"):
        answer_data_set(replace(load("digits"), dataset=None))


@pytest.mark.parametrize("pollution", [None, 5.0])
def test_a_series_that_says_nothing_has_a_page_nevertheless(pollution: float | None) -> None:
    records = [{**record, "pollution": pollution} for record in build_hours(100)]
    text = build_page(answer_data_set(build_pipeline(records, drivers=(), horizons=(1, 6))))
    assert Page(text).faults == []
    assert "not to be compared with persistence" in text


def test_figures_of_one_page_do_not_share_their_names() -> None:
    svg = render_svg(lambda axes: axes.plot([1, 2], [3, 4], marker="o"), (3, 2))
    first, second = inline_svg(svg, "a-"), inline_svg(svg, "b-")
    assert not set(Page(first).ids) & set(Page(second).ids)
    assert first.replace("a-", "b-") == second.replace("a-", "b-")
