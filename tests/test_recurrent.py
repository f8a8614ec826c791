"""The recurrent network: gradients, memory, and going on from a snapshot bit for bit."""

import os
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest
from hours import decode, hour, series
from sklearn.linear_model import LinearRegression
from sklearn.utils.estimator_checks import parametrize_with_checks
from stacks import ROOT

from streamlearn.engine import check
from streamlearn.estimators.gru import GatedRecurrentUnit
from streamlearn.lags.windows import empty_window, push
from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines import pm25, pm25_gru
from streamlearn.pipelines.registry import load
from streamlearn.storage import snapshot

GRU = load("streamlearn.pipelines.pm25_gru:pipeline")
FIELDS, STEPS = 3, 6


@parametrize_with_checks([GatedRecurrentUnit()])
@pytest.mark.filterwarnings("ignore")
def test_it_keeps_scikit_learns_contract(estimator, check) -> None:  # type: ignore[no-untyped-def]
    check(estimator)


def draw_rows(count: int, seed: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, STEPS * FIELDS))


def make_network(**parameters: Any) -> GatedRecurrentUnit:
    """Return a network that has learned one row with the target 0, so it still predicts 0."""
    return GatedRecurrentUnit(**{"fields": FIELDS, "hidden": 5, **parameters}).partial_fit(
        draw_rows(1), [0.0]
    )


def test_its_gradient_is_that_of_finite_differences() -> None:
    model, x, target, step = make_network(scale=2.0), draw_rows(1, seed=8)[0], 1.5, 1e-6
    weights = model.weights_ + np.random.default_rng(9).normal(size=model.weights_.size) / 2
    model.weights_ = weights
    slope = model.gradient(x, target)
    losses = np.zeros((len(weights), 2))
    for number, side in np.ndindex(losses.shape):
        model.weights_ = weights.copy()
        model.weights_[number] += (step, -step)[side]
        losses[number, side] = ((model.predict_one(x) - target) / model.scale) ** 2 / 2
    np.testing.assert_allclose(slope, (losses[:, 0] - losses[:, 1]) / (2 * step), rtol=1e-6, atol=1e-8)
    assert (slope != 0).all(), "a gradient of nothing proves nothing"


def test_it_learns_what_only_a_memory_can_tell() -> None:
    """The target is what stood four steps back; a linear model of the last step has nothing to go by."""
    x = draw_rows(6000)
    y = x.reshape(-1, STEPS, FIELDS)[:, -5, 1]
    blind = LinearRegression().fit(x[:5000, -FIELDS:], y[:5000]).score(x[5000:, -FIELDS:], y[5000:])
    model = make_network(hidden=8, learning_rate=0.01).partial_fit(x[:5000], y[:5000])
    assert blind < 0.01
    assert model.score(x[5000:], y[5000:]) > 0.95


def test_it_begins_by_predicting_no_change() -> None:
    model = make_network()
    assert model.predict(draw_rows(3)).tolist() == [0.0, 0.0, 0.0]


def test_learning_one_by_one_is_learning_them_together() -> None:
    x = draw_rows(50)
    together, single = make_network().partial_fit(x, x[:, 0]), make_network()
    for row, target in zip(x, x[:, 0], strict=True):
        single.learn_one(row, target)
    np.testing.assert_array_equal(together.weights_, single.weights_)
    assert [single.predict_one(row) for row in x] == together.predict(x).tolist()


def test_fit_forgets_what_was_learned() -> None:
    x = draw_rows(30)
    again = make_network().fit(x, x[:, 1]).fit(x, x[:, 0])
    for name in ("weights_", "mean_", "square_"):
        once = GatedRecurrentUnit(fields=FIELDS, hidden=5).fit(x, x[:, 0])
        np.testing.assert_array_equal(getattr(again, name), getattr(once, name))
    assert again.rows_ == 30


def test_its_first_weights_are_those_of_its_seed() -> None:
    np.testing.assert_array_equal(make_network(seed=3).weights_, make_network(seed=3).weights_)
    assert (make_network(seed=3).weights_ != make_network(seed=4).weights_).any()


def test_a_wild_row_moves_it_by_no_more_than_the_clip() -> None:
    model = make_network(clip=0.5)
    before = model.mean_
    model.learn_one(draw_rows(1)[0], 1e9)
    assert np.linalg.norm(model.mean_ - 0.9 * before) == pytest.approx(0.1 * 0.5)


@pytest.mark.parametrize("wrong", [{"fields": 4}, {"fields": 0}, {"hidden": 0}])
def test_rows_that_are_no_sequences_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no sequence of steps"):
        make_network(**wrong)


def test_a_row_holds_every_hour_of_the_window_and_carries_on_what_is_missing() -> None:
    records = decode([hour(0, 50.0, temp=10), hour(2, None, temp=20)])
    gap = np.full((1, len(pm25.SERIES)), np.nan)
    window = push(empty_window(pm25.LAGS, len(pm25.SERIES)), pm25.reading(records[0])[None])
    window = push(window, np.concatenate([gap, pm25.reading(records[1])[None]]))
    now = 24 * 365
    row, base = pm25_gru.features(window, now)  # type: ignore[misc]
    hours = row.reshape(pm25.LAGS, pm25_gru.STEP_FIELDS)
    assert base == 50.0
    assert (hours[:, 0] == 0.5).all()
    assert hours[-4:, 2].tolist() == [1.0, 1.0, 1.0, 2.0]
    day = 2 * np.pi * np.arange(-24, 1) / 24
    np.testing.assert_allclose(hours[:, [-4, -2]], np.stack([np.sin(day), np.cos(day)], axis=1), atol=1e-9)
    window[:, 0] = np.nan
    assert pm25_gru.features(window, now) is None


@cache
def learn_and_dump(*, resume_at: int | None = None, forget: str = "", count: int = 120) -> bytes:
    """Return the snapshot after `count` hours; at `resume_at` it goes on from one that lacks `forget`."""
    learner = GRU.new_learner()
    for number, record in enumerate(decode(series(count))):
        if number == resume_at:
            learner = snapshot.loads(snapshot.dumps(learner, GRU, "aaaa"), GRU, "aaaa")
            for model in learner.state()["models"] if forget else ():
                setattr(model, forget, getattr(model, forget) * 0)
        predict_then_learn(learner, [record], number + 1)
    return snapshot.dumps(learner, GRU, "aaaa")


def test_it_goes_on_from_a_snapshot_as_if_never_interrupted() -> None:
    whole = learn_and_dump()
    assert learn_and_dump(resume_at=70) == whole


@pytest.mark.parametrize("part", ["weights_", "mean_", "square_", "rows_"])
def test_a_snapshot_that_forgets_a_part_goes_on_elsewhere(part: str) -> None:
    assert learn_and_dump(resume_at=70, forget=part) != learn_and_dump()


def test_another_process_learns_the_same_bytes() -> None:
    script = "import sys, test_recurrent; sys.stdout.buffer.write(test_recurrent.learn_and_dump())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
    )
    assert done.stdout == learn_and_dump(), done.stderr.decode()


def test_the_pipeline_passes_every_check(pm25_csv: str) -> None:
    findings = list(check.check(GRU, check.sample(GRU, 100)))
    assert [finding for finding in findings if not finding.passed] == []
    assert "results do not depend on how records arrive" in [finding.what for finding in findings]
