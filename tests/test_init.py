"""From a file to a pipeline: what `streamlearn init` writes runs as it is, and learns."""

import csv
import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from helpers import MakeApp, put

from streamlearn.cli.main import main
from streamlearn.engine.evaluate import evaluate
from streamlearn.errors import FileError
from streamlearn.learning.learner import predict_then_learn
from streamlearn.learning.metrics import Accuracy, Errors
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.drafts.inference import infer
from streamlearn.pipelines.registry import load
from streamlearn.storage.store import Store
from streamlearn.stream.records import encode


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def draft(name: str, file: str, label: str, *options: str) -> Pipeline:
    """Draft a pipeline, let `check` try it, and load it."""
    done = invoke("init", name, "--from", file, "--label", label, *options)
    assert done.exit_code == 0, done.output
    done = invoke("check", name)
    assert done.exit_code == 0, done.output
    assert "✗" not in done.output
    assert "!" not in done.output
    return load(name)


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
    pipeline = draft("dwellings", "flats.csv", "miete €")
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


def write_flowers(folder: Path) -> None:
    """Three kinds of flowers, sorted by the kind, which is text."""
    rng = random.Random(2)
    kinds = {"none of these": 1.0, 'a "rose"': 3.0, "lily": 5.0}
    rows = [
        [rng.gauss(size, 0.5), rng.gauss(-size, 0.5), kind] for kind, size in kinds.items() for _ in range(60)
    ]
    write_csv(folder / "flowers.csv", ["Petal.Length", "depth", "Kind"], rows)


def test_a_classification_of_text_labels_learns_although_the_file_is_sorted_by_them(folder: Path) -> None:
    write_flowers(folder)
    pipeline = draft("flowers", "flowers.csv", "Kind")
    score = evaluate(pipeline, skip=60)
    assert isinstance(score, Accuracy)
    assert score.summary()["accuracy"] > 0.9  # type: ignore[operator]
    assert pipeline.learning.classes == ('a "rose"', "lily", "none of these")
    assert "shuffle=True" in (folder / "flowers.py").read_text()


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
    asked = {**json.loads(rows[200]), "Miete €": None}
    answer = client.post("/v1/models/lettings:predict", json={"instances": [asked]})
    assert answer.status_code == 200, answer.get_json()
    (expected,) = learner.answer([pipeline.codec.decode(rows[200])])
    assert answer.get_json()["predictions"] == [expected["predict_y"]]
    described = client.get("/v2/models/lettings").get_json()
    assert {tensor["name"]: tensor["datatype"] for tensor in described["inputs"]} == {
        "Wohnungs-ID": "BYTES", "Fläche (m²)": "FP64", "2nd": "BYTES", "PLZ": "BYTES", "Bemerkung": "BYTES",
        "Einzug": "BYTES",
    }  # fmt: skip
    assert client.get("/openapi.json").status_code == 200


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
    pipeline = draft("odd", "odd.csv", "''la bel")
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
    (column,) = infer(tmp_path / "rows.csv", "y").columns
    assert column.kind == kind


LABELS: dict[str, tuple[Callable[[int], Any], Any]] = {
    "words": (lambda n: "xyz"[n % 3], ("x", "y", "z")),
    "a class called none": (lambda n: ["none", "some"][n % 2], ("none", "some")),
    "whole numbers": (lambda n: n % 3, (0, 1, 2)),
    "whole numbers with a point": (lambda n: f"{n % 2}.0", (0, 1)),
    "booleans": (lambda n: ["True", "false"][n % 2], (False, True)),
    "spellings of booleans": (lambda n: ["Yes", "yes", "NO", "no"][n % 4], (False, True)),
    "some missing": (lambda n: ["a", "b", ""][n % 3], ("a", "b")),
    "numbers": (lambda n: n / 3, None),
    "many whole numbers": (lambda n: n % 11, None),
}


@pytest.mark.parametrize("name", list(LABELS))
def test_the_task_is_told_from_the_label(tmp_path: Path, name: str) -> None:
    make, classes = LABELS[name]
    write_csv(tmp_path / "rows.csv", ["x", "y"], [[n / 7, make(n)] for n in range(120)])
    inference = infer(tmp_path / "rows.csv", "y")
    assert inference.classes == classes
    assert inference.task == ("regression" if classes is None else "classification")
    assert [type(value) for value in inference.classes or ()] == [type(value) for value in classes or ()]


def test_the_task_can_be_said(folder: Path) -> None:
    write_csv(folder / "rows.csv", ["x", "y"], [[n / 7, n % 11] for n in range(120)])
    assert infer(Path("rows.csv"), "y", task="classification").classes == tuple(range(11))
    write_csv(folder / "rows.csv", ["x", "y"], [[n / 7, n % 2] for n in range(120)])
    assert draft("said", "rows.csv", "y", "--task", "regression").learning.classes is None


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,a,y\n1,2,3\n", {}, "several columns 'a': rename all but one"),
        ("a,b\n1,2\n", {}, "has no column 'y'; it has: a, b"),
        ("a,y\n1,x\n2,x\n", {}, "the label y has 1 classes"),
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
        infer(tmp_path / "rows.csv", **{"label": "y", **options})


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
    assert "has no column to predict y from" in done.stderr
