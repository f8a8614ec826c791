"""What a lineage is fixed to: it survives a move of the code, and an edit is noticed."""

import json
from dataclasses import replace
from importlib import reload
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from sklearn.linear_model import Perceptron
from stacks import ROOT

from streamlearn.learning import Forecast, Tabular
from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines import Pipeline
from streamlearn.pipelines.definition import carry_on, is_edit
from streamlearn.pipelines.registry import load
from streamlearn.storage import snapshot
from streamlearn.stream.lineage import WHOLE_NUMBERS, Lineage
from streamlearn.stream.records import encode

GOLDEN = ROOT / "tests" / "golden"
BUILT_IN = ("digits", "pm25", "streamlearn.pipelines.pm25_gru:pipeline")

MODULE = """
import msgspec
import numpy as np
import scaling
from sklearn.linear_model import SGDClassifier
from streamlearn.learning import Tabular
from streamlearn.pipelines import Pipeline

TYPICAL = np.array([1.0, 2.0])

class Sample(msgspec.Struct):
    x: list[float]
    y: int | None = None

def features(records):
    return scaling.scale(np.array([record.x for record in records]), TYPICAL)

first, second = (lambda record: record.y), (lambda record: record.y and 1 - record.y)

pipeline = Pipeline(
    name="mine", topic="mine", prediction_topic="mine_predict", record=Sample,
    learning=Tabular(features=features, label=first, estimator=SGDClassifier, classes=(0, 1)),
    parameters={"random_state": 1},
)
"""
SCALING = "def scale(x, by):\n    return x / by\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a pipeline's module and one beside it; return what loads them again after an edit."""
    import importlib

    monkeypatch.syspath_prepend(tmp_path)

    def written(text: str = MODULE, scaling: str = SCALING) -> Pipeline:
        (tmp_path / "mine_defined.py").write_text(text)
        (tmp_path / "scaling.py").write_text(scaling)
        importlib.invalidate_caches()
        modules: list[ModuleType] = []
        for name in ("scaling", "mine_defined"):
            # Compiled files are told apart by the second and the size, which an edit may leave as they are.
            for cached in (tmp_path / "__pycache__").glob(f"{name}.*"):
                cached.unlink()
            modules.append(reload(importlib.import_module(name)))
        pipeline: Pipeline = modules[-1].pipeline
        return pipeline

    return written


@pytest.mark.parametrize("reference", BUILT_IN)
def test_a_lineage_from_before_definitions_named_no_modules_goes_on(reference: str) -> None:
    """The register's entries are those of a real stack."""
    pipeline = load(reference)
    entries = msgspec.json.decode((GOLDEN / "lineages-format1.json").read_bytes(), type=list[Lineage])
    lineage = next(entry for entry in entries if entry.pipeline == pipeline.name)
    assert "streamlearn." in lineage.definition["learning"]
    assert pipeline.changes_since(lineage.definition) == {}
    pipeline = pipeline.going_on_from(lineage.definition)
    for other, name in (
        (replace(pipeline, parameters={**pipeline.parameters, "alpha": 7}), "alpha"),
        (replace(pipeline, learning=replace(pipeline.learning, estimator=Perceptron)), "estimator"),  # type: ignore[type-var]
    ):
        assert set(other.changes_since(lineage.definition)) == {name}


def test_a_lineage_of_ones_own_from_before_goes_on_with_the_label_as_a_fields_name(module: Any) -> None:
    pipeline = module(MODULE.replace("label=first", 'label="y"'))
    before = {
        "learning": "streamlearn.learner.Rows",
        "record": "mine_defined.Sample",
        "random_state": 1,
        "features": "mine_defined.features",
        "label": "mine_defined.<lambda>",
        "estimator": "sklearn.linear_model._stochastic_gradient.SGDClassifier",
        "classes": [0, 1],
    }
    assert pipeline.changes_since(before) == {}
    assert set(pipeline.changes_since({**before, "classes": [0, 1, 2]})) == {"classes"}
    assert set(pipeline.changes_since({**before, "features": "mine_defined.others"})) == {"features"}


def test_a_lineage_that_began_without_whole_numbers_goes_on_without() -> None:
    pipeline = load("digits")
    before = {name: part for name, part in pipeline.definition.items() if name != WHOLE_NUMBERS}
    assert pipeline.definition[WHOLE_NUMBERS] is True
    assert pipeline.changes_since(before) == {}
    carried = carry_on(before, pipeline.definition)
    assert carried == {**pipeline.definition, WHOLE_NUMBERS: False}
    assert carry_on(carried, pipeline.definition) == carried
    assert carry_on(pipeline.definition, pipeline.definition) == pipeline.definition


def test_a_definition_names_no_module() -> None:
    for reference in BUILT_IN:
        assert "streamlearn." not in json.dumps(
            {k: v for k, v in load(reference).definition.items() if k != "estimator"}
        )
    assert load("pm25").definition["estimator"] == "streamlearn.RandomFeatureMixture"


@pytest.mark.parametrize("name", ["digits", "pm25"])
def test_a_lineage_of_an_earlier_pipeline_goes_on_with_it_and_a_new_one_with_this(name: str) -> None:
    pipeline = load(name)
    (first,) = pipeline.earlier
    assert pipeline.changes_since(first.definition) == {}
    assert pipeline.going_on_from(first.definition).definition == first.definition
    assert pipeline.going_on_from(pipeline.definition) is pipeline
    assert set(pipeline.changes_since({**first.definition, "record": "x"})) > {"record", "estimator"}
    stored = json.loads(msgspec.json.encode(first.parameters))
    assert type(pipeline.new_learner(stored)) is type(first.new_learner())
    assert pipeline.new_learner(stored)._spec is first.learning  # type: ignore[attr-defined]
    assert pipeline.new_learner()._spec is pipeline.learning  # type: ignore[attr-defined]
    assert pipeline.new_learner(stored).parameters == first.parameters
    assert pipeline.with_parameters(stored).learning is first.learning
    assert pipeline.with_parameters(pipeline.parameters) is pipeline


def test_the_tutorials_digits_are_learned_as_lineages_from_then_learn_on() -> None:
    tutorial, digits = load("digits_sgd"), load("digits")
    assert tutorial.definition == digits.earlier[0].definition
    assert (tutorial.topic, tutorial.earlier) == (digits.topic, ())
    assert tutorial.prediction_topic != digits.prediction_topic


def test_an_earlier_pipeline_is_told_by_its_parameters() -> None:
    pipeline = load("pm25")
    with pytest.raises(ValueError, match="needs other parameters"):
        replace(pipeline, parameters=pipeline.earlier[0].parameters)


UNCHANGED = {
    "a comment": MODULE.replace("def features", "# why\ndef features"),
    "a docstring": MODULE.replace("(records):", '(records):\n    """As they are."""'),
    "quotes and space": MODULE.replace("record.x for record in records", "record.x  for record in  records"),
    "a name": MODULE.replace("features(records)", "measurements(records)").replace(
        "features=features", "features=measurements"
    ),
    "what is shown": MODULE.replace('    parameters={"', '    passthrough_fields=("y",), parameters={"'),
}


@pytest.mark.parametrize("text", UNCHANGED.values(), ids=UNCHANGED)
def test_what_decides_nothing_changes_nothing(module: Any, text: str) -> None:
    before = module().definition
    assert module(text).changes_since(before) == {}


CHANGED = {
    "features": (MODULE.replace("np.array([record.x", "np.array([record.x[::-1]"), SCALING),
    "a function in a file beside it": (MODULE, SCALING.replace("x / by", "x / by - 1")),
    "a constant": (MODULE.replace("[1.0, 2.0]", "[1.0, 2.5]"), SCALING),
    "another lambda of the same line": (MODULE.replace("label=first", "label=second"), SCALING),
    "the record": (MODULE.replace("y: int | None = None", "y: float | None = None"), SCALING),
    "the estimator": (
        MODULE.replace("import SGDClassifier", "import Perceptron as SGDClassifier"),
        SCALING,
    ),
}


@pytest.mark.parametrize(("text", "scaling"), CHANGED.values(), ids=CHANGED)
def test_an_edit_of_what_decides_predictions_is_noticed(module: Any, text: str, scaling: str) -> None:
    before = module().definition
    assert len(module(text, scaling).changes_since(before)) == 1


def test_what_an_object_of_ones_own_holds_is_part_of_it(module: Any) -> None:
    scaling = (
        "class Scale:\n    def __init__(self, by):\n        self.by = by\n"
        "def scale(x, scale):\n    return x / scale.by\n"
    )
    third = MODULE.replace("np.array([1.0, 2.0])", "scaling.Scale(3)")
    before = module(third, scaling).definition
    assert module(third, scaling).changes_since(before) == {}
    assert set(module(third.replace("(3)", "(4)"), scaling).changes_since(before)) == {"features"}


def test_with_a_revision_that_alone_tells_of_an_edit(module: Any) -> None:
    def revised(text: str, revision: str) -> Pipeline:
        return replace(module(text), revision=revision)

    before = revised(MODULE, "1").definition
    edited = CHANGED["features"][0]
    assert revised(edited, "1").changes_since(before) == {}
    assert set(revised(edited, "2").changes_since(before)) == {"revision"}


def test_what_need_not_change_predictions_can_be_accepted_and_nothing_else(module: Any) -> None:
    def acceptable(now: Pipeline, before: dict[str, Any]) -> dict[str, bool]:
        return {part: is_edit(part, *change) for part, change in now.changes_since(before).items()}

    before = module().definition
    assert acceptable(module(CHANGED["features"][0]), before) == {"features": True}
    now = module()
    revised = replace(now, revision="1")
    assert acceptable(revised, before) == dict.fromkeys(("record", "features", "label", "revision"), True)
    assert acceptable(replace(revised, revision="2"), revised.definition) == {"revision": False}
    others = replace(now, parameters={"random_state": 2})
    assert acceptable(others, before) == {"parameter random_state": False}


def test_the_same_code_has_the_same_definition_in_another_module(module: Any, tmp_path: Path) -> None:
    import importlib

    before = module().definition
    (tmp_path / "moved_elsewhere.py").write_text(MODULE)
    importlib.invalidate_caches()
    moved = importlib.import_module("moved_elsewhere").pipeline
    assert moved.changes_since(before) == {}


@pytest.mark.parametrize("reference", BUILT_IN)
def test_a_snapshot_of_format_3_goes_on_and_names_no_module_any_more(reference: str, pm25_csv: str) -> None:
    """Snapshots of a real stack, made before the code was moved."""
    pipeline = load(reference)
    data = (GOLDEN / f"{pipeline.name}-format3.snapshot").read_bytes()
    lineage = snapshot.lineage_of(data)
    old = snapshot.loads(data, pipeline, lineage)
    again = snapshot.dumps(old, pipeline, lineage)
    new = snapshot.loads(again, pipeline, lineage)
    assert snapshot.find_differences(old, new) == []
    for module in (b"streamlearn.recursive", b"streamlearn.recurrent", b"streamlearn.estimators"):
        assert module not in again
    assert pipeline.dataset is not None
    wire = islice(pipeline.dataset.records(seed=3, passes=2), 9000, 9100)
    records = [pipeline.codec.decode(encode(record)) for record in wire]
    first = predict_then_learn(old, records, old.version + 100)
    assert first == predict_then_learn(new, records, old.version)
    assert snapshot.dumps(old, pipeline, lineage) == snapshot.dumps(new, pipeline, lineage)


def predictions(pipeline: Pipeline, count: int = 300) -> list[Any]:
    """The last five answers after so many records, numbers to nine digits."""
    learner, limit = pipeline.new_learner(), pipeline.chunk_limit(64)
    assert pipeline.dataset is not None
    records = [pipeline.codec.decode(encode(record)) for record in islice(pipeline.dataset.records(), count)]
    answers = []
    for start in range(0, count, limit):
        chunk = records[start : start + limit]
        answers += predict_then_learn(learner, chunk, start + len(chunk))
    return [
        answer["predict_y"]
        if "predict_y" in answer
        else [None if value is None else float(f"{value:.9g}") for value in answer["forecast"].values()]
        for answer in answers[-5:]
    ]


@pytest.mark.parametrize("reference", BUILT_IN)
def test_a_built_in_pipeline_predicts_what_its_revision_has_always_predicted(
    reference: str, pm25_csv: str
) -> None:
    """Where this fails, the edit changed predictions: either undo it, or raise the pipeline's `revision`."""
    pipeline = load(reference)
    kept = json.loads((GOLDEN / "predictions.json").read_text())
    for revision in (pipeline, *pipeline.earlier):
        assert isinstance(revision.learning, Tabular | Forecast)
        assert predictions(revision) == kept[f"{revision.name} {revision.revision}"]
