"""From a file to a pipeline: what `streamlearn init` writes runs as it is, and learns."""

import csv
import json
import math
import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from helpers import MakeApp, put

from serving.pages import views
from streamlearn.broker.placement import Placement
from streamlearn.cli.main import main
from streamlearn.engine.check import check, sample
from streamlearn.engine.evaluate import evaluate
from streamlearn.engine.offline import run_offline
from streamlearn.errors import BadRecord, FileError
from streamlearn.lags.readers import RawTable
from streamlearn.learning import Forecast
from streamlearn.learning.learner import predict_then_learn
from streamlearn.learning.metrics import Accuracy, Errors, HorizonErrors
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.drafts.inference import DraftOptions, Source, infer, infer_table
from streamlearn.pipelines.drafts.module_text import write_module
from streamlearn.pipelines.registry import load
from streamlearn.storage.store import Store
from streamlearn.stream.records import encode


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def draft(name: str, file: str, label: str, *options: str, on_worker: bool = False) -> Pipeline:
    """Draft a pipeline, let `check` try it, and load it.

    `on_worker`: by the command, which also starts a process that has what a worker of Flink has. Modules that
    are drafted alike run there alike.
    """
    done = invoke("init", name, "--from", file, "--label", label, *options)
    assert done.exit_code == 0, done.output
    pipeline = load(name)
    if on_worker:
        done = invoke("check", name)
        assert done.exit_code == 0, done.output
        assert "✗" not in done.output
        assert "!" not in done.output
    else:
        findings = list(check(pipeline, sample(pipeline, 500), on_worker=False))
        assert len(findings) > 10
        assert [finding for finding in findings if finding.noted or not finding.passed] == []
    return pipeline


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]], separator: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=separator).writerows([header, *rows])


def write_flats(folder: Path) -> None:
    """German flats: semicolons, decimal commas, a mark at the beginning, CRLF, and a row that is spoiled."""
    rng = random.Random(1)
    rows: list[list[Any]] = []
    for number in range(300):
        area, city, balcony = (
            rng.uniform(30, 160),
            rng.choice(["Ulm", "Köln"]),
            rng.choice(["ja", "nein", ""]),
        )
        rent = area * {"Ulm": 10, "Köln": 15}[city] + 100 * (balcony == "ja") + rng.gauss(0, 30)
        date = f"{rng.randint(1, 28)}.{rng.randint(1, 12)}.2024 {rng.randint(0, 23):02}:15"
        area_text, rent_text = (f"{value:.2f}".replace(".", ",") for value in (area, rent))
        year = "NA" if rng.random() < 0.1 else str(rng.randint(1900, 2020))
        remark = f"helle Wohnung {rng.choice(['am Park', 'im Zentrum'])}, Haus {number}"
        rows.append(
            [
                f"W{number}",
                area_text,
                year,
                balcony,
                city,
                f"0{rng.randint(1000, 1009)}",
                remark,
                date,
                rent_text,
            ]
        )
    rows.append(["W300", "12,0", "broken", "ja", "Ulm", "01000", "x", "1.1.2024", "120,0"])
    header = [
        "Wohnungs-ID",
        "Fläche (m²)",
        "class",
        "Balkon?",
        "2nd",
        "PLZ",
        "Bemerkung",
        "Einzug",
        "Miete €",
    ]
    write_csv(folder / "flats.csv", header, rows, ";")


def test_a_regression_from_a_file_in_german_beats_the_baseline(folder: Path) -> None:
    write_flats(folder)
    pipeline = draft("dwellings", "flats.csv", "miete €", on_worker=True)
    score = evaluate(pipeline, skip=100)
    assert isinstance(score, Errors)
    assert score.rmse is not None
    assert score.baseline_rmse is not None
    assert score.rmse < 0.5 * score.baseline_rmse
    assert pipeline.dataset is not None
    first = next(pipeline.dataset.records())
    assert first["Miete €"] == pytest.approx(first["Fläche (m²)"] * 13, rel=0.5)
    assert re.fullmatch(r"2024-\d\d-\d\dT\d\d:15:00", first["Einzug"])
    assert type(first["Balkon?"]) in (bool, type(None))
    assert first["PLZ"].startswith("010")
    assert pipeline.dataset.size == 300
    text = (folder / "dwellings.py").read_text()
    for part in (
        'wohnungs_id: str = msgspec.field(name="Wohnungs-ID")',
        'class_: Annotated[float, Meta(ge=0, le=100000)] | None = msgspec.field(name="class", default=None)',
        '"n_2nd": ("Köln", "Ulm")',
        'texts={"bemerkung": 128}',
        'times={"einzug": "iso"}',
        'passthrough_fields=("Wohnungs-ID", "Einzug", "Miete €")',
        'dataset=Table("flats.csv", Row, decimal=",")',
    ):
        assert part in text
    assert '"wohnungs_id"' not in text, "an identifier is no feature"


def test_numbers_with_a_percent_or_currency_sign_are_numbers(folder: Path) -> None:
    """Where all of a column have the sign: 12 % beside 0.12 stays text."""
    rng = random.Random(3)
    shares = [rng.randint(1, 99) for _ in range(300)]
    rows = [
        [
            f"{share} %",
            f"€ {rng.uniform(1, 5000):,.2f}",
            f"-{share}$",
            f"{share}%" if share % 2 else share / 100,
        ]
        for share in shares
    ]
    write_csv(folder / "rates.csv", ["Share", "Price", "Fee", "Mixed"], rows, ";")
    pipeline = draft("rates", "rates.csv", "Share")
    written = (folder / "rates.py").read_text()
    assert 'numbers=("price", "fee"),' in written
    assert 'hashed={"mixed": ' in written
    assert pipeline.dataset is not None
    records = list(pipeline.dataset.records(passes=1))
    assert sorted((record["Share"], record["Fee"]) for record in records) == sorted((s, -s) for s in shares)
    assert max(record["Price"] for record in records) > 1000


def test_records_of_one_key_stay_in_one_partition(folder: Path) -> None:
    write_flats(folder)
    draft("dwellings", "flats.csv", "miete €", "--key", "PLZ")
    pipeline = load("dwellings")
    assert pipeline.key == "PLZ"
    assert pipeline.dataset is not None
    placement, places = Placement(pipeline, 8), defaultdict[str, set[int]](set)
    for record in pipeline.dataset.records(passes=1):
        places[record["PLZ"]].add(placement.place(record))
    assert {len(partitions) for partitions in places.values()} == {1}
    assert len(set.union(*places.values())) > 1
    for key, message in (("Kilt", "has no column 'Kilt'"), ("miete €", "cannot be the label and the key")):
        done = invoke("init", "other", "--from", "flats.csv", "--label", "miete €", "--key", key)
        assert message in done.stderr


def write_flowers(folder: Path) -> None:
    """Three kinds of flowers, sorted by the kind, which is text."""
    rng = random.Random(2)
    kinds = {"none of these": 1.0, 'a "rose"': 3.0, "lily": 5.0}
    rows = [
        [rng.gauss(size, 0.5), rng.gauss((size - 3) ** 2, 0.5), kind]
        for kind, size in kinds.items()
        for _ in range(150)
    ]
    write_csv(folder / "flowers.csv", ["Petal.Length", "depth", "Kind"], rows)


def test_a_classification_of_text_labels_learns_although_the_file_is_sorted_by_them(folder: Path) -> None:
    write_flowers(folder)
    pipeline = draft("flowers", "flowers.csv", "Kind", on_worker=True)
    score = evaluate(pipeline, skip=150)
    assert isinstance(score, Accuracy)
    assert score.summary()["accuracy"] > 0.9  # type: ignore[operator]
    assert pipeline.learning.classes == ('a "rose"', "lily", "none of these")
    text = (folder / "flowers.py").read_text()
    assert "shuffle=True" in text
    assert '"estimator": "PartlyLinearSoftmax"' in text


def test_a_small_file_is_scored_from_a_quarter_on(folder: Path) -> None:
    """150 rows are fewer than a chunk, of which the first can never be scored."""
    rows = [[number % 7, number % 5, "ab"[number % 7 > 3]] for number in range(150)]
    write_csv(folder / "small.csv", ["x", "y", "kind"], rows)
    score = evaluate(draft("small", "small.csv", "kind"))
    assert isinstance(score, Accuracy)
    assert score.samples == 150 - 37


def test_a_file_of_json_lines_with_times_is_replayed_in_their_order(folder: Path) -> None:
    rng, lines = random.Random(3), []
    for number in rng.sample(range(200), 200):
        hour = number % 24
        lines.append(
            {
                "When": f"2026-01-{1 + number // 24:02}T{hour:02}:00:00+01:00",
                "epoch": 1767222000 + 3600 * number,
                "load": str(rng.gauss(5, 1)),
                "user": f"user {rng.randint(0, 60)}",
                "tags": ["a"],
                "constant": "always",
                "busy": hour >= 12,
            }
        )
    (folder / "hours.jsonl").write_text("\n".join(map(json.dumps, lines)))
    pipeline = draft("shifts", "hours.jsonl", "busy", "--time", "when")
    assert pipeline.dataset is not None
    assert pipeline.learning.classes == (False, True)
    assert [record["epoch"] for record in pipeline.dataset.records(passes=1)] == sorted(
        line["epoch"]
        for line in lines  # type: ignore[type-var]
    )
    text = (folder / "shifts.py").read_text()
    for part in (
        '# "tags" is left out: it holds lists or objects.',
        "# \"constant\" is left out: it is always 'always'.",
        'hashed={"user": 128}',
        'times={"when": "iso", "epoch": "s"}',
        'dataset=Table("hours.jsonl", Row, order="when")',
    ):
        assert part in text
    score = evaluate(pipeline, skip=100)
    assert score.summary()["accuracy"] > 0.8  # type: ignore[operator]


def write_load(folder: Path, hours: int = 700) -> None:
    """Hours of a load, out of order, which follows the time of day and the temperature, and some gaps."""
    rng, rows = random.Random(4), []
    for number in rng.sample(range(hours), hours):
        time = datetime(2025, 3, 1) + timedelta(hours=number)
        warmth = 10 * math.sin(number / 500) + rng.gauss(0, 1)
        load = 60 + 20 * math.sin(2 * math.pi * number / 24) + warmth + rng.gauss(0, 1)
        free = "free" if time.weekday() > 4 else "work"
        shown = "" if rng.random() < 0.02 else f"{load:.2f}".replace(".", ",")
        rows.append([f"{time:%d.%m.%Y %H:%M}", shown, f"{warmth:.1f}".replace(".", ","), free, f"u{number}"])
    write_csv(folder / "load.csv", ["ts", "Load (MW)", "warm", "day", "user"], rows, ";")


def test_a_forecast_from_a_file_beats_persistence(folder: Path) -> None:
    write_load(folder)
    pipeline = draft("consumption", "load.csv", "load (mw)", "--task", "forecast", on_worker=True)
    score = evaluate(pipeline, skip=300)
    assert isinstance(score, HorizonErrors)
    assert list(score.horizons) == ["1", "3", "6", "12", "24"]
    for errors in score.horizons.values():
        assert errors.samples > 300
        assert errors.rmse < 0.9 * errors.baseline_rmse  # type: ignore[operator]
    learner = pipeline.new_learner()
    assert pipeline.dataset is not None
    for number, record in enumerate(islice(pipeline.dataset.records(), 60), start=1):
        predict_then_learn(learner, [pipeline.codec.decode(encode(record))], number)
    assert learner.latest is not None
    assert learner.latest["ts"] == "2025-03-03 11:00:00"
    assert (
        "predicts Load (MW), 1, 3, 6, 12, 24 steps of 1 h ahead"
        in invoke(
            *("init", "consumption", "--from", "load.csv", "--label", "load (mw)", "--task", "forecast"),
            *("--time", "ts", "--force"),
        ).stdout
    )


@pytest.mark.parametrize(
    ("header", "message"),
    [("begin,end,kW", "begin and end hold times"), ("a,b,kW", "none seems to hold times")],
)
def test_the_times_of_a_forecast_are_found_or_asked_for(tmp_path: Path, header: str, message: str) -> None:
    day = datetime(2025, 3, 1)
    values = [f"{day + timedelta(hours=n)},{day + timedelta(hours=n + 1)}" for n in range(60)]
    values = values if "begin" in header else [f"{n % 7},{n % 5}" for n in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join([header, *(f"{v},{n % 9}" for n, v in enumerate(values))]))
    with pytest.raises(FileError, match=rf"\({message}\): name it with --time"):
        infer(tmp_path / "rows.csv", DraftOptions("kW", "forecast"))


def write_meters(folder: Path, hours: int = 300) -> None:
    """Hours of three meters, one of which began later, each drawing in its own measure."""
    rng = random.Random(5)
    rows = [
        [f"{datetime(2025, 3, 1) + timedelta(hours=hour):%Y-%m-%d %H:%M}", meter, f"{drawn:.2f}"]
        for hour in range(hours)
        for meter, size in ((17, 1.0), (204, 3.0), (9, 2.0))
        if meter != 9 or hour > 100
        for drawn in [size * (10 + 4 * math.sin(2 * math.pi * hour / 24) + rng.gauss(0, 0.3))]
    ]
    write_csv(folder / "meters.csv", ["hour", "meter", "kW"], rows)


def test_a_forecast_of_several_series_is_drafted_by_its_key(folder: Path) -> None:
    write_meters(folder)
    words = ("--task", "forecast", "--time", "hour")
    pipeline = draft("meters", "meters.csv", "kW", *words, "--key", "meter", on_worker=True)
    text = (folder / "meters.py").read_text()
    assert 'key="meter",' in text
    assert (
        "    # It tells the series apart: repeated by predictions, not learned from.\n    meter: int\n"
        in text
    )
    assert pipeline.passthrough_fields == ("hour", "meter", "kW")
    assert pipeline.series_key == "meter"
    score = evaluate(pipeline, skip=300)
    assert isinstance(score, HorizonErrors)
    for errors in score.horizons.values():
        assert errors.samples > 300
    assert score.horizons["6"].rmse < 0.5 * score.horizons["6"].baseline_rmse  # type: ignore[operator]
    refused = invoke("init", "mixed", "--from", "meters.csv", "--label", "kW", *words)
    assert (refused.exit_code, "tells them apart with --key" in refused.output) == (1, True)
    refused = invoke("init", "mixed", "--from", "meters.csv", "--label", "meter", *words, "--key", "kW")
    assert (refused.exit_code, "'kW' is neither text nor whole" in refused.output) == (1, True)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (write_flats, ["--from", "flats.csv", "--label", "Miete €"]),
        (write_load, ["--from", "load.csv", "--label", "Load (MW)", "--task", "forecast", "--time", "ts"]),
    ],
)
def test_pages_show_fields_that_have_other_names_in_the_module(
    folder: Path, write: Callable[[Path], None], words: list[str]
) -> None:
    write(folder)
    assert invoke("init", "renamed", *words).exit_code == 0
    pipeline = load("renamed")
    answers = [json.loads(output.value) for chunk in run_offline(pipeline) for output in chunk.outputs]
    if pipeline.learning.series is None:
        curve = views.make_label_curve(answers, pipeline)
        assert curve is not None
        assert curve.values[-1] is not None
    else:
        series = views.select_newest_run(answers, pipeline, pipeline.learning.series)
        assert series is not None
        assert (len(series.steps), int(np.isnan(series.values).sum()) > 0) == (700, True)
        assert np.nanmean(series.values) == pytest.approx(65, abs=10)


@pytest.mark.parametrize(
    ("seconds", "horizons", "length"),
    [(60, (1, 3, 6, 12, 24), 25), (900, (1, 3, 6, 12, 24), 97), (86_400, (1, 2, 3, 7), 15)],
)
def test_a_forecast_goes_as_far_as_its_steps_suggest(
    folder: Path, seconds: int, horizons: tuple[int, ...], length: int
) -> None:
    rows = [[1767225600 + seconds * number, number * 37 % 101] for number in range(200)]
    write_csv(folder / "steps.csv", ["epoch", "y"], rows)
    learning = draft("steps", "steps.csv", "y", "--task", "forecast", "--time", "epoch").learning
    assert isinstance(learning, Forecast)
    assert (learning.horizons, learning.length) == (horizons, length)
    assert learning.series.step(load("steps").record(epoch=1767225600.0 + seconds)) == 1 + (
        1767225600 // seconds
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t,y\n" + "2026-01-01,1\n2026-01-02,2\n" * 9, "16 of 18 rows repeat a time of t"),
        ("t,y\n2026-01-01,1\n2026-02-01,2\n2026-03-01,4\n", "the steps of t are 1 month"),
        (
            "t,y\n2026-01-01,1\n2026-01-02,2\n2026-01-02T07:00,2\n2026-01-03,3\n",
            "is off that grid; a forecast goes by steps of one length",
        ),
        ("t,y\n2026-01-01,a\n2026-01-02,b\n", "the label y is 'a', not a number"),
    ],
)
def test_a_file_that_is_no_series_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(FileError, match=re.escape(message)):
        infer(tmp_path / "rows.csv", DraftOptions("y", task="forecast", time="t"))


def test_a_topic_is_read_as_it_stands(folder: Path) -> None:
    """Numbers, booleans and times that are text there are read by properties; the label as well."""
    rng, rows = random.Random(5), []
    for number in range(200):
        size = rng.uniform(0, 9)
        row = {
            "Size": str(size).replace(".", ",") if number else "NA",
            "n": number % 7,
            "open?": "yes" if number % 2 else "no",
            "paid": bool(number % 3),
            "at": f"{1 + number % 28}.{1 + number % 12}.2025",
            "when": f"2026-01-{1 + number % 28:02}T10:00:00Z",
            "kind": f" {'abc'[number % 3]}",
            "Price": f"{3 * size + number % 7:.2f}".replace(".", ","),
        }
        rows.append(row if number % 5 else {name: row[name] for name in row if name != "n"})
    table = RawTable("topic sales", list(rows[1]), list(rows))
    inference = infer_table(table, Source("shop.sales", is_topic=True), DraftOptions("Price"))
    (folder / "sales.py").write_text(write_module("sales", "", inference))
    pipeline = load("sales")
    assert (pipeline.topic, pipeline.dataset) == ("shop.sales", None)
    records = [pipeline.codec.decode(encode(row)) for row in rows]
    record = records[1]
    assert record.size_value == float(rows[1]["Size"].replace(",", "."))
    assert records[0].size_value is None
    assert (record.open_value, record.paid, record.at_value) == (True, True, "2025-02-02T00:00:00")
    assert (record.when.hour, record.kind_value) == (10, "b")
    learner = pipeline.new_learner()
    for start in range(0, 200, 10):
        predict_then_learn(learner, records[start : start + 10], start + 10)
    assert learner.score.rmse < 0.7 * learner.score.baseline_rmse
    (folder / "rows.jsonl").write_bytes(b"\n".join(map(encode, rows)))
    done = invoke("check", "sales", "--records", "rows.jsonl")
    assert done.exit_code == 0, done.output


def test_a_topic_may_have_fields_called_as_what_a_class_uses(folder: Path) -> None:
    names = ("property", "__class__", "staticmethod", "msgspec", "row", "n", "to_number")
    rows = [{**dict.fromkeys(names, str(n % 9)), "y": n % 2} for n in range(60)]
    inference = infer_table(
        RawTable("topic t", list(rows[0]), list(rows)), Source("t", is_topic=True), DraftOptions("y")
    )
    (folder / "called.py").write_text(write_module("called", "", inference))
    pipeline = load("called")
    record = pipeline.codec.decode(encode(rows[7]))
    assert (record.property__value, record.class__value, record.to_number_value) == (7, 7, 7)


NESTED = [{"a": number, "y": "pq"[number % 2]} for number in range(30)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"before": None, "after": row, "op": "c"} for row in NESTED],
            "'y' is inside 'after': rows must be",
        ),
        ([{"schema": {}, "payload": row} for row in NESTED], "'y' is inside 'payload': rows must be flat"),
        (
            [{**row, "y": [row["y"]]} for row in NESTED],
            "the label y is ['p']; a label is a number, a text or",
        ),
        ([{**row, "y": {"is": row["y"]}} for row in NESTED], "the label y is {'is': 'p'}; a label is"),
    ],
)
def test_rows_that_are_not_flat_are_refused(folder: Path, rows: list[Any], message: str) -> None:
    (folder / "rows.jsonl").write_bytes(b"\n".join(map(encode, rows)))
    done = invoke("init", "nested", "--from", "rows.jsonl", "--label", "y")
    assert done.exit_code == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_record_of_another_kind_is_no_record_without_values(folder: Path) -> None:
    """Where any field may be missing, a change event would have none, and be predicted all the same."""
    rows = [{"a": n, "b": "uv"[n % 2], "y": "pq"[n % 2]} for n in range(60)]
    rows[3] |= {"a": None}
    rows[4] |= {"b": None}
    (folder / "rows.jsonl").write_bytes(b"\n".join(map(encode, rows)))
    pipeline = draft("sparse", "rows.jsonl", "y")
    assert "__post_init__" in (folder / "sparse.py").read_text()
    for other in ({"before": None, "after": rows[0], "op": "c"}, {}, {"A": 1}, {"a": None}):
        with pytest.raises(BadRecord, match="it has none of the fields"):
            pipeline.codec.decode(encode(other))
    for row in ({"a": 1}, {"y": "p"}, {"b": "u", "more": 1}):
        pipeline.codec.decode(encode(row))
    (folder / "rows.jsonl").write_bytes(b"\n".join(encode({**row, "b": "u"}) for row in rows))
    assert invoke("init", "whole", "--from", "rows.jsonl", "--label", "y").exit_code == 0


def test_dates_with_dots_are_no_decimals(tmp_path: Path) -> None:
    rows = [[f"{1 + number % 28}.1.2026", f"{number},5", number % 2] for number in range(60)]
    write_csv(tmp_path / "rows.csv", ["day", "x", "y"], rows, ";")
    inference = infer(tmp_path / "rows.csv", DraftOptions("y"))
    assert (inference.decimal, [column.kind for column in inference.columns]) == (",", ["time", "number"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from", "no-such.csv"], "there is no file no-such.csv"),
        (["--from", "."], ". is a folder: name a file in it"),
        (["--from", "topic", "--time", "at"], "--time puts the rows of a file in order"),
    ],
)
def test_what_init_cannot_do_it_says(folder: Path, words: list[str], message: str) -> None:
    done = invoke("init", "something", "--label", "y", *words)
    assert done.exit_code in (1, 2)
    assert message in done.stderr


def test_a_drafted_pipeline_is_served(folder: Path, store: Store, make_app: MakeApp) -> None:
    write_flats(folder)
    assert invoke("init", "lettings", "--from", "flats.csv", "--label", "Miete €").exit_code == 0
    pipeline = load("lettings")
    assert pipeline.dataset is not None
    rows = [encode(record) for record in pipeline.dataset.records(passes=1)]
    learner = pipeline.new_learner()
    predict_then_learn(learner, [pipeline.codec.decode(row) for row in rows[:200]], 200)
    put(store, pipeline, learner)
    client = make_app(pipelines="lettings").test_client()
    record = {**json.loads(rows[200]), "Miete €": None}
    answer = client.post("/v1/models/lettings:predict", json={"instances": [record]})
    assert answer.status_code == 200, answer.get_json()
    (expected,) = learner.answer([pipeline.codec.decode(rows[200])])
    assert answer.get_json()["predictions"] == [expected["predict_y"]]
    described = client.get("/v2/models/lettings").get_json()
    assert {tensor["name"]: tensor["datatype"] for tensor in described["inputs"]} == {
        "Wohnungs-ID": "BYTES", "Fläche (m²)": "FP64", "2nd": "BYTES", "PLZ": "BYTES", "Bemerkung": "BYTES",
        "Einzug": "BYTES",
    }  # fmt: skip
    optional = {tensor["name"] for tensor in described["parameters"]["optional_inputs"]}
    assert optional == {field.encode_name for field in msgspec.structs.fields(pipeline.record)} - {
        "Miete €", *(tensor["name"] for tensor in described["inputs"])
    }  # fmt: skip
    assert optional
    assert client.get("/openapi.json").status_code == 200


def test_a_drafted_forecast_names_the_time_it_is_made_at(
    folder: Path, store: Store, make_app: MakeApp
) -> None:
    write_load(folder)
    text = (folder / "load.csv").read_text(encoding="utf-8-sig")
    (folder / "load.csv").write_text(text.replace("ts;", "Uhrzeit;", 1))
    pipeline = draft("load", "load.csv", "Load (MW)", "--task", "forecast", "--time", "Uhrzeit")
    assert pipeline.dataset is not None
    rows = [encode(record) for record in islice(pipeline.dataset.records(passes=1), 60)]
    records, learner = [pipeline.codec.decode(row) for row in rows], pipeline.new_learner()
    for number, record in enumerate(records, start=1):
        predict_then_learn(learner, [record], number)
    put(store, pipeline, learner)
    client = make_app(pipelines="load").test_client()
    assert client.get("/v2/models/load/forecast").get_json()["ts"] == "2025-03-03 11:00:00"
    body = {"records": [json.loads(row) for row in rows[:30]]}
    answer = client.post("/v2/models/load/forecast", json=body)
    assert answer.get_json()["ts"] == str(records[29].uhrzeit)


def test_the_module_says_what_to_do_next_and_is_not_overwritten(folder: Path) -> None:
    write_flowers(folder)
    words = ("init", "flowers", "--from", "flowers.csv", "--label", "kind")
    done = invoke(*words)
    assert done.exit_code == 0, done.output
    assert [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")] == [
        "streamlearn check flowers",
        "streamlearn train flowers",
        "streamlearn replay flowers --file flowers.csv",
    ]
    (folder / "flowers.py").write_text("mine")
    done = invoke(*words)
    assert (done.exit_code, done.stderr) == (
        1,
        "streamlearn: flowers.py is there already; --force overwrites it\n",
    )
    assert (folder / "flowers.py").read_text() == "mine"
    assert invoke(*words, "--force").exit_code == 0
    assert (folder / "flowers.py").read_text() != "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my-flowers", "cannot be the name of a module"),
        ("class", "cannot be the name of a module"),
        ("../up", "cannot be the name of a module"),
        ("json", "Python has a module json already"),
        ("digits", "there is a pipeline digits already"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(folder: Path, name: str, message: str) -> None:
    write_flowers(folder)
    done = invoke("init", name, "--from", "flowers.csv", "--label", "Kind")
    assert done.exit_code == 1
    assert message in done.stderr
    assert [path.name for path in folder.iterdir()] == ["flowers.csv"]


def test_no_header_and_no_value_can_break_out_of_the_module(folder: Path) -> None:
    left_out = ['"""', "\\", "a\nb"]
    odd = ["import os", "é'", "#", "{x}", "None", "self", "日本", "float", "\u2028x"]
    rows = [[f'"""{value}\\\n{row % 2}' for value in [*odd, *left_out]] + [row % 2] for row in range(30)]
    write_csv(folder / "odd.csv", [*odd, *left_out, "''la bel"], rows)
    pipeline = draft("odd", "odd.csv", "''la bel", on_worker=True)
    assert pipeline.dataset is not None
    assert list(next(pipeline.dataset.records())) == [*(name.strip() for name in odd), "''la bel"]


COLUMNS: dict[str, tuple[Callable[[int], Any], str]] = {
    "numbers": (lambda n: n / 7, "number"),
    "numbers with one word": (lambda n: n if n else "broken", "number"),
    "grouped": (lambda n: f"{n + 1},{n % 10}00.5", "number"),
    "zero or one": (lambda n: n % 2, "number"),
    "yes or no": (lambda n: ["Yes", "no", "Y", "N"][n % 4], "boolean"),
    "postcodes": (lambda n: f"0{1000 + n % 30}", "hashed"),
    "row_id": (lambda n: n, "identifier"),
    "guid": (lambda n: f"x{n}", "identifier"),
    "few words": (lambda n: f"w{n % 20}", "category"),
    "many words": (lambda n: f"w{n % 30}", "hashed"),
    "sentences": (lambda n: f"this is row number {n}", "text"),
    "iso": (lambda n: f"2026-01-{n % 28 + 1:02}", "time"),
    "dotted": (lambda n: f"{n % 28 + 1}.1.2026", "time"),
    "american": (lambda n: f"1/{n % 28 + 1}/26 3:00 PM", "time"),
    "compact date": (lambda n: 20260101 + n % 28, "time"),
    "ts": (lambda n: 1767222000 + n, "epoch"),
    "year": (lambda n: 1990 + n % 30, "number"),
    "nothing": (lambda n: "NA", "left out"),
    "the same": (lambda n: "x", "left out"),
}


@pytest.mark.parametrize("name", list(COLUMNS))
def test_what_a_column_holds_is_told_from_its_values(tmp_path: Path, name: str) -> None:
    make, kind = COLUMNS[name]
    write_csv(tmp_path / "rows.csv", [name, "y"], [[make(n), "ab"[n % 2]] for n in range(120)])
    (column,) = infer(tmp_path / "rows.csv", DraftOptions("y")).columns
    assert column.kind == kind


LABELS: dict[str, tuple[Callable[[int], Any], Any]] = {
    "words": (lambda n: "xyz"[n % 3], ("x", "y", "z")),
    "a class called none": (lambda n: ["none", "some"][n % 2], ("none", "some")),
    "whole numbers": (lambda n: n % 3, (0, 1, 2)),
    "whole numbers with a point": (lambda n: f"{n % 2}.0", (0, 1)),
    "booleans": (lambda n: ["True", "false"][n % 2], (False, True)),
    "booleans and numbers": (lambda n: ["true", "1", "FALSE", "0"][n % 4], (False, True)),
    "spellings of booleans": (lambda n: ["Yes", "yes", "NO", "no"][n % 4], (False, True)),
    "some missing": (lambda n: ["a", "b", ""][n % 3], ("a", "b")),
    "numbers": (lambda n: n / 3, None),
    "many whole numbers": (lambda n: n % 11, None),
}


@pytest.mark.parametrize("name", list(LABELS))
def test_the_task_is_told_from_the_label(tmp_path: Path, name: str) -> None:
    make, classes = LABELS[name]
    write_csv(tmp_path / "rows.csv", ["x", "y"], [[n / 7, make(n)] for n in range(120)])
    inference = infer(tmp_path / "rows.csv", DraftOptions("y"))
    assert inference.classes == classes
    assert inference.task == ("regression" if classes is None else "classification")
    assert [type(value) for value in inference.classes or ()] == [type(value) for value in classes or ()]


def test_the_task_can_be_said(folder: Path) -> None:
    write_csv(folder / "rows.csv", ["x", "y"], [[n / 7, n % 11] for n in range(120)])
    assert infer(Path("rows.csv"), DraftOptions("y", task="classification")).classes == tuple(range(11))
    write_csv(folder / "rows.csv", ["x", "y"], [[n / 7, n % 2] for n in range(120)])
    assert draft("said", "rows.csv", "y", "--task", "regression").learning.classes is None


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,a,y\n1,2,3\n", {}, "several columns 'a': rename all but one"),
        ("a,b\n1,2\n", {}, "has no column 'y'; it has: a, b"),
        ("a,y\n1,x\n2,x\n", {}, "the label y is always 'x'; a classification needs rows of two classes"),
        (
            "a,y\n" + "".join(f"{n},{n}x\n" for n in range(201)),
            {},
            "the label y has 201 different values: is it an identifier?",
        ),
        (
            "a,y\n" + "".join(f"{n},{n}\n" for n in range(201)),
            {"task": "classification"},
            "--task regression predicts it as a number",
        ),
        (
            "a;y\n1;1,5\n2;3\n",
            {"task": "classification"},
            "has numbers with fractions, such as 1.5, which are no classes",
        ),
        ("a,y\n1,\n2,NA\n", {}, "the label y is empty"),
        ("a,y\n1,x\n2,z\n", {"task": "regression"}, "the label y is 'x', not a number"),
        ("a,y\n01/02/2026,1\n03/04/2026,2\n", {}, "say --time-format day or month"),
        ("a,y\nnoon,1\nnight,2\n", {"time": "a"}, "a is 'noon', not a time"),
        ("a,y\n1,2\n", {"time": "y"}, "cannot be the label and the time"),
        ("a;b;y\n1,5;1.5;1\n2,5;2.5;2\n", {}, "writes decimals in two ways"),
        ("y\n", {}, "has no rows"),
        ('a,"y"""\n1,2\n', {"label": 'y"'}, "rename the column without quotes"),
    ],
)
def test_a_file_that_cannot_be_told_is_refused(
    tmp_path: Path, text: str, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(FileError, match=re.escape(message)):
        infer(tmp_path / "rows.csv", DraftOptions(**{"label": "y", **options}))


def test_the_order_of_day_and_month_can_be_said(folder: Path) -> None:
    rows = [[f"0{n % 9 + 1}/0{n % 7 + 1}/2026", n * 37 % 101] for n in range(60)]
    write_csv(folder / "rows.csv", ["at", "y"], rows)
    pipeline = draft("months", "rows.csv", "y", "--time-format", "month")
    assert pipeline.dataset is not None
    months = {record["at"][5:7] for record in pipeline.dataset.records(passes=1)}
    assert len(months) == 9


def test_a_file_without_features_is_refused(folder: Path) -> None:
    write_csv(folder / "rows.csv", ["id", "y"], [[n, n % 2] for n in range(30)])
    done = invoke("init", "rows", "--from", "rows.csv", "--label", "y")
    assert done.exit_code == 1
    assert (
        "has no column to predict y from; the others are no features (id: an identifier, each" in done.stderr
    )


def test_what_is_no_table_says_what_to_make_of_it(tmp_path: Path) -> None:
    for name, text, message in (
        ("rows.xlsx", "PK", "is a spreadsheet: save its sheet as CSV"),
        ("rows.json", '[\n {"a": 1, "y": 2}]', "is one JSON array: write an object a line"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(FileError, match=message):
            infer(tmp_path / name, DraftOptions("y"))
    (tmp_path / "rows.json").write_text('{"a": 1, "y": true}\n{"a": 2, "y": false}\n')
    assert infer(tmp_path / "rows.json", DraftOptions("y")).rows == 2


def test_a_column_without_a_name_is_left_out_and_told(folder: Path) -> None:
    write_csv(folder / "rows.csv", ["", "a", "y"], [[n, n * 7 % 11, n % 2] for n in range(30)])
    draft("unnamed", "rows.csv", "y")
    assert '# "" is left out: it has no name.' in (folder / "unnamed.py").read_text()
