"""Many series in one stream: one model, a window for each key, and a rule for keys that are let go."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import air
import msgspec
import numpy as np
import plain_stations
import pytest
from click.testing import CliRunner
from helpers import KEY, LINEAGE, ListStream, Make, commit, read_snapshots
from hours import series

from serving.pages import views
from streamlearn.cli.main import main
from streamlearn.engine.answering import Answering
from streamlearn.engine.check import check
from streamlearn.engine.verify import verify
from streamlearn.errors import BadRecord, ConfigurationError
from streamlearn.learning import Forecast
from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines import pm25
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load
from streamlearn.pipelines.stations import Hour, pipeline
from streamlearn.reports import sources
from streamlearn.reports.forecasts import arrange_forecasts
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.stream.ports import Input

HOURS = 120
DATASET: Any = pipeline.dataset


def decode(records: list[dict[str, Any]], of: Pipeline = pipeline) -> list[Any]:
    return [of.codec.decode(msgspec.json.encode(record)) for record in records]


def learn(records: list[Any], of: Pipeline = pipeline, learner: Any = None) -> tuple[Any, list[Any]]:
    """Return a learner that has learned records one by one, and its answers."""
    learner, answers = learner or of.new_learner(), []
    for record in records:
        answers += predict_then_learn(learner, [record], learner.version + 1)
    return learner, answers


def keyed(most_keys: int) -> Pipeline:
    assert isinstance(pipeline.learning, Forecast)
    return replace(pipeline, learning=replace(pipeline.learning, most_keys=most_keys))


def check_forecasts(answers: list[Any], expected: list[Any]) -> None:
    ours, plain = (np.array([list(f.values()) for f in loop], dtype=float) for loop in (answers, expected))
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(plain))
    np.testing.assert_allclose(ours, plain, rtol=1e-8, atol=1e-7)


def test_the_files_become_records_in_order_of_time(tmp_path: Path) -> None:
    table = DATASET.at(air.write_files(tmp_path / "PRSA_Data", 50))
    assert (table.size, table.bad_rows) == (200, [])
    assert list(table.records(passes=1)) == air.make_records(50)


def test_it_forecasts_as_a_plain_loop_with_hours_of_its_own_for_each_station() -> None:
    records = air.make_records(HOURS)
    # A station that is silent for some hours, and one that begins later.
    del records[100:103], records[200:203]
    records = [record for n, record in enumerate(records) if n > 60 or record["station"] != "Wanliu"]
    learner, answers = learn(decode(records))
    check_forecasts([answer["forecast"] for answer in answers], plain_stations.replay(records))
    assert learner.score.horizons["1"].samples > 300
    assert [answer["ranges"]["1"] for answer in answers[-4:]].count(None) == 0


def test_a_key_that_was_not_seen_for_longest_is_let_go_and_begins_anew() -> None:
    of = keyed(2)
    hours = {name: air.make_records(60, (name,)) for name in air.NAMES[:3]}
    a, b, c = hours.values()
    # Of the first two, b is the one that was seen last when c comes; a comes again as if it were new.
    records = [r for n in range(40) for r in (a[n], b[n])] + [b[40], c[40], b[41], a[41], b[42], *a[42:60]]
    learner, answers = learn(decode(records), of)
    forecasts = [answer["forecast"] for answer in answers]
    check_forecasts(forecasts, plain_stations.replay(records, 2))
    assert learner.count_keys() == (2, 2)
    assert [key for key, _ in learner.series.items()] == [air.NAMES[1], air.NAMES[0]]
    with pytest.raises(AssertionError):
        check_forecasts(forecasts, plain_stations.replay(records, 3))
    with pytest.raises(ConfigurationError, match="at least one"):
        keyed(0)


SAME = ["stations", "every kind of state"]


def make_every_kind() -> tuple[Pipeline, list[Any]]:
    """Return pm25 with a key, since it has one estimator, ranges, lags and drivers; and records."""

    class Keyed(pm25.Hour):  # type: ignore[misc]
        place: int | None = None

    learning: Any = pm25.pipeline.learning
    of = replace(pm25.pipeline, record=Keyed, earlier=(), learning=replace(learning, key="place"))
    by_place = {place: series(45, seed) for seed, place in enumerate((7, None, 3))}
    records = [{**hours[n], "place": place} for n in range(45) for place, hours in by_place.items()]
    return of, decode(records, of)


@pytest.mark.parametrize("kind", SAME)
def test_a_snapshot_anywhere_goes_on_the_same(kind: str) -> None:
    of, records = (keyed(3), decode(air.make_records(40))) if kind == SAME[0] else make_every_kind()
    whole, resumed = of.new_learner(), of.new_learner()
    for number, record in enumerate(records):
        expected = predict_then_learn(whole, [record], number + 1)
        if number % 23 == 7:
            resumed = snapshot.loads(snapshot.dumps(resumed, of, "a"), of, "a")
        assert predict_then_learn(resumed, [record], number + 1) == expected
    assert snapshot.find_differences(whole, resumed) == []
    data = snapshot.dumps(whole, of, "a")
    assert data == snapshot.dumps(resumed, of, "a")
    assert snapshot.untrusted_types(whole, of) == []


def test_each_key_has_statistics_of_its_own_and_other_lags_are_those_of_all() -> None:
    of, records = make_every_kind()
    learner, answers = learn(records, of)
    steps = [series.correlations.steps for series in learner.series]
    assert steps == [45, 45, 45]
    assert learner.correlations.steps == 45
    assert learner.latest_of("7") == {"ts": records[-3].ts, **answers[-3]}
    assert learner.latest_of("8") is None
    assert learner.latest == {"ts": records[-1].ts, **answers[-1]}
    learner.change_setting("lags", {"pollution": [0, 1, 2]})
    again = snapshot.loads(snapshot.dumps(learner, of, "a"), of, "a")
    (answer,) = again.predict(records[:1])
    assert len(again.series) == 3
    assert answer == learner.predict(records[:1])[0]


def test_a_request_is_about_one_station_and_its_own_hours() -> None:
    records = decode(air.make_records(HOURS))
    learner, answers = learn(records)
    own = [record for record in records if record.station == "Dongsi"]
    before = snapshot.dumps(learner, pipeline, "a")
    (answer,) = learner.answer(own[-25:])
    assert answer["ranges"]["1"] is not None
    # A station that is not known has no ranges yet, and the same forecast.
    other = [msgspec.structs.replace(record, station="Elsewhere") for record in own[-25:]]
    assert learner.answer(other)[0]["forecast"] == answer["forecast"]
    assert set(learner.answer(other)[0]["ranges"].values()) == {None}
    assert learner.answer([])[0] == answers[-1]
    with pytest.raises(BadRecord, match="of 'Dongsi' and of 'Elsewhere': send those of one station"):
        learner.answer([own[-2], other[-1]])
    assert snapshot.dumps(learner, pipeline, "a") == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"station": ""}, "station"),
        ({"station": "1234"}, "station"),
        ({"station": None}, "station"),
        ({"station": "x" * 41}, "station"),
        ({"month": 13}, "month"),
        ({"month": 2, "day": 30}, "there is no day 2013-2-30"),
        ({"hour": 24}, "hour"),
        ({"year": "2013"}, "year"),
        ({"PM2.5": -1}, "PM2.5"),
        ({"wd": "NORTH"}, "wd"),
        ({"TEMP": 99}, "TEMP"),
    ],
)
def test_a_broken_record_is_a_dead_letter_with_the_reason(change: dict[str, Any], reason: str) -> None:
    (good,) = air.make_records(1, air.NAMES[:1])
    answering = Answering(pipeline, "a", "", lambda version: pytest.fail("nothing is rolled back"))
    values = [msgspec.json.encode(record) for record in ({**good, **change}, good, good)]
    learner, outputs = pipeline.new_learner(), []
    for offset, value in enumerate(values):
        learner, output = answering.answer(learner, [Input(0, offset, value)])
        outputs += output
    broken, taken, repeated = (json.loads(output.value) for output in outputs)
    assert reason in broken["reason"]
    assert taken["station"] == "Aotizhongxin"
    assert "time runs forward" in repeated["reason"]


def test_time_runs_forward_for_each_station_by_itself() -> None:
    a, b = (decode(air.make_records(30, (name,))) for name in air.NAMES[:2])
    learner, _ = learn([*a, *b[:2]])
    assert learner.rejection_reason(b[2]) is None
    assert "time runs forward" in learner.rejection_reason(b[1])
    assert "time runs forward" in learner.rejection_reason(a[29])


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline, as if no other test had read any files."""
    fresh = replace(pipeline, dataset=replace(DATASET))
    monkeypatch.setattr("streamlearn.pipelines.stations.pipeline", fresh)


@pytest.mark.usefixtures("unread")
def test_check_evaluate_and_a_file_with_a_broken_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = air.write_files(tmp_path / "PRSA_Data", 60)
    monkeypatch.setenv("STREAMLEARN_STATIONS_CSV", str(folder))
    of = load("stations")
    values = [msgspec.json.encode(record) for record in DATASET.at(folder).records(passes=1)]
    findings = list(check(of, values))
    assert [finding.what for finding in findings if not finding.passed] == []
    evaluated = CliRunner().invoke(main, ["evaluate", "stations", "--skip", "100"])
    assert evaluated.exit_code == 0, evaluated.output
    assert "24" in evaluated.output
    with (folder / "PRSA_Data_Dongsi_20130301-20170228.csv").open("a") as file:
        file.write("61,2013,2,31,0,1,1,1,1,1,1,1,1000,1,0,N,1,Dongsi\n")
    (bad,) = DATASET.at(folder).bad_rows
    assert bad.where == "PRSA_Data_Dongsi_20130301-20170228.csv, line 62"
    assert "there is no day 2013-2-31" in bad.reason


@pytest.mark.usefixtures("unread")
def test_without_files_it_says_where_to_put_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMLEARN_STATIONS_CSV", raising=False)
    monkeypatch.setenv("STREAMLEARN_HOME", str(tmp_path))
    done = CliRunner().invoke(main, ["evaluate", "stations"])
    assert done.exit_code == 1
    assert "STREAMLEARN_STATIONS_CSV" in done.output
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(main, ["replay", "stations", "--file", str(tmp_path / "empty")])
    assert done.exit_code == 1
    assert "has no file that ends with .csv" in done.output


def test_a_worker_that_dies_and_one_that_rebuilds_go_on_as_a_plain_loop(
    store: Store, make: Make, stream: ListStream
) -> None:
    """Keys are let go meanwhile; what is learned again from the journal lets go the same."""
    # Each time that Wanliu comes, the other three are let go, one for the other.
    rare = {n for n in range(240) if n // 4 % 20 != 19}
    of, hours = keyed(3), enumerate(air.make_records(60))
    records = [record for n, record in hours if record["station"] != "Wanliu" or n not in rare]
    lineage = msgspec.structs.replace(LINEAGE, pipeline="stations", parameters=dict(of.parameters))
    values = [msgspec.json.encode(record) for record in records]
    rows = [Input(0, offset, value) for offset, value in enumerate(values)]
    answers = commit(stream, make(pipeline=of, lineage=lineage), rows[:62], 13, 40)
    answers += commit(stream, make(pipeline=of, lineage=lineage), rows[62:130], 99)
    store.clear("stations")
    answers += commit(stream, make(pipeline=of, lineage=lineage), rows[130:], 131)
    check_forecasts([answer["forecast"] for answer in answers], plain_stations.replay(records, 3))
    assert answers[-1]["forecast"]["12"] is not None
    stored = read_snapshots(store, "stations")
    report = verify(of, lineage, stream, stored, key=KEY, wait_s=0)
    assert (report.differences, report.predictions, report.snapshots) == ([], len(records), len(stored))
    assert len(stored) > 1


def test_a_report_and_a_page_show_one_series(tmp_path: Path) -> None:
    of = replace(pipeline, dataset=DATASET.at(air.write_files(tmp_path / "PRSA_Data", 60)))
    answered = sources.answer_offline(of, passes=1, last=None, show_progress=lambda done, total: None)
    assert {record.station for record in answered.records} == {"Aotizhongxin"}
    assert answered.notes == ("They are those of one of 4 series: station Aotizhongxin",)
    forecasts = arrange_forecasts(answered)
    assert (forecasts.answer_count, len(forecasts.steps)) == (60, 60)
    _, answers = learn(decode(air.make_records(60)), of)
    stamped = [{**r, **answer} for r, answer in zip(air.make_records(60), answers, strict=True)]
    shown, key = views.select_one_series(stamped, of)
    assert (key, len(shown)) == ("Aotizhongxin", 60)
    series_spec = of.learning.series
    assert series_spec is not None
    run = views.select_newest_run(shown, of, series_spec)
    assert run is not None
    assert len(run.steps) == 60
    whole = views.select_newest_run(stamped, of, series_spec)
    assert whole is not None
    assert len(whole.steps) == 1, "of stations in turn no step comes after the other"


def test_it_predicts_what_its_revision_has_always_predicted() -> None:
    kept = json.loads((Path(__file__).parent / "golden" / "predictions.json").read_text())
    _, answers = learn(decode(air.make_records(80)))
    forecasts = [[float(f"{value:.9g}") for value in a["forecast"].values()] for a in answers[-5:]]
    assert forecasts == kept[f"stations {pipeline.revision}"]


def test_a_key_that_is_no_field_is_named() -> None:
    learning: Any = pipeline.learning
    with pytest.raises(ConfigurationError, match=r"no field 'statoin'.* is it 'station'"):
        replace(pipeline, learning=replace(learning, key="statoin"))
    assert pipeline.series_key == "station"
    assert Hour.__struct_encode_fields__[4] == "PM2.5"
