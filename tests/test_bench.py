"""The offline benchmark runs, and its own stream verifies."""

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from helpers import inputs, records

from benchmarks import engine
from benchmarks.engine import summarize
from benchmarks.studies import partitions, stations
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.pipelines.digits import pipeline


def test_the_engines_benchmark_prints_and_writes_every_contender(tmp_path: Path) -> None:
    output = tmp_path / "engine.json"
    options = ["--quick", "--rounds", "1", "--pipeline", "digits", "--output", str(output)]
    done = CliRunner().invoke(engine.main, options, catch_exceptions=False)
    contenders = [row["name"] for row in json.loads(output.read_text())["rows"]]
    names = ("estimator", "json", "engine", "snapshots", "verify", "bare")
    assert {f"digits: {name}" for name in names} <= set(contenders)
    assert all(name in done.stdout for name in names)
    assert "<svg" in output.with_suffix(".svg").read_text()
    assert gc.get_freeze_count() > 1000


def test_the_least_that_it_can_cost_is_that_of_the_very_model_that_the_job_learns() -> None:
    rows = inputs(600)
    estimator: Any = engine.predict_and_learn(pipeline, rows)()
    *_, (learner, _) = engine.learn(pipeline, rows)
    assert type(estimator) is type(learner.model)
    assert estimator.coef_.tobytes() == learner.model.coef_.tobytes()


def test_a_ratio_is_one_of_the_same_round() -> None:
    times = {"estimator": [1.0, 10.0, 1.0], "json": [1.0, 10.0, 1.0], "engine": [3.0, 30.0, 5.0]}
    summary = {row.pop("name"): row for row in summarize(times)}
    assert summary["bare"] == {"median_us": 2.0, "lowest_us": 2.0, "highest_us": 20.0, "ratio": 1.0}
    assert summary["engine"]["ratio"] == 1.5


def test_one_learner_alone_is_its_own_average_and_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "_UNTIL", (800,))
    (accuracies,) = partitions.simulate(1).values()
    assert set(accuracies) == {"own", "average", "vote", "one"}
    assert len(set(accuracies.values())) == 1
    assert accuracies["own"] > 0.5


def test_several_learners_share_the_stream_and_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "_UNTIL", (800,))
    (accuracies,) = partitions.simulate(4).values()
    assert accuracies["own"] < accuracies["average"]
    assert len(set(accuracies.values())) > 1


def test_an_average_is_weighted_by_what_was_learned() -> None:
    small, large = learn_linear(100), learn_linear(300)
    merged = partitions.average([small, large])
    expected = (100 * small.model.coef_ + 300 * large.model.coef_) / 400
    np.testing.assert_allclose(merged.coef_, expected)


def learn_linear(count: int) -> Learner:
    learner = partitions.pipeline.new_learner()
    predict_then_learn(learner, records(count), count)
    return learner


def test_records_are_dealt_out_in_turn() -> None:
    block = next(iter(partitions.deal_out(4, 8)))
    (whole,) = next(iter(partitions.deal_out(1, 8)))
    dealt = [record for turn in zip(*block, strict=True) for record in turn]
    assert dealt[: len(whole)] == whole[: len(dealt)]


def test_stations_are_learned_by_one_learner_by_partition_or_each_by_its_own(pm25_csv: str) -> None:
    assert pm25_csv
    rows = {contender: stations.simulate(contender, 60)[0] for contender in ("one", "partitions", "each")}
    assert [row["learners"] for row in rows.values()] == [1, 4, 12]
    assert len({row["ratios"]["1"] for row in rows.values()}) == 3
    assert all(0.5 < row["ratios"]["1"] < 2 for row in rows.values())
