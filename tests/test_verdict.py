"""How a pipeline fares, in words: every state, from what is known of it."""

import json
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stacks import free_port

from streamlearn.broker.tail import Seen
from streamlearn.datasets import pm25 as dataset
from streamlearn.learning.learner import predict_then_learn
from streamlearn.operations.flow import Flow
from streamlearn.operations.job_state import JobTrouble
from streamlearn.operations.looking import gather_facts
from streamlearn.operations.recent_score import RecentScore, find_recent_score
from streamlearn.operations.verdict import TEXTS, Facts, Serving, judge
from streamlearn.pipelines import digits, pm25
from streamlearn.settings import Settings

RIGHT = RecentScore("accuracy", 0.95, "the commonest label", 0.11)
WELL = Facts("digits", records=900, unanswered=0, rate=10.0, quiet_s=0.4, score=RIGHT, serving=Serving("900"))
STOPPED = {"unanswered": 7, "first_unanswered": (0, 193), "rate": 0.0, "quiet_s": 40.0}
REASON = "streamlearn.errors.PipelineFails: the label 2 is none of the classes: 0, 1"
RMSE = RecentScore("rmse", 24.28, "persistence", 31.0, 1)

STATES: dict[str, tuple[Facts, str, str]] = {
    "healthy": (WELL, "up", "healthy, 10/s, 95.0 % right lately, nothing waiting"),
    "a few wait": (replace(WELL, unanswered=9), "up", "healthy, 10/s, 95.0 % right lately, keeping up"),
    "quiet": (
        replace(WELL, rate=0.0, quiet_s=600.0),
        "up",
        "healthy, no record for 10 min, 95.0 % right lately, nothing waiting",
    ),
    "nothing scored yet": (replace(WELL, score=None), "up", "healthy, 10/s, nothing waiting"),
    "a forecast": (
        replace(WELL, score=RMSE, unit="µg/m³", step_unit="h"),
        "up",
        "healthy, 10/s, RMSE 24.3 µg/m³ lately (1 h ahead), nothing waiting",
    ),
    "behind": (
        replace(WELL, unanswered=12_000, rate=400.0, catching_up=300.0),
        "wait",
        "behind by 12,000 records, catching up, done in about 40 s, 400/s, 95.0 % right lately",
    ),
    "nearly there": (
        replace(WELL, unanswered=1_500, rate=400.0, catching_up=300.0),
        "wait",
        "behind by 1,500 records, catching up, 400/s, 95.0 % right lately",
    ),
    "further behind": (
        replace(WELL, unanswered=12_000, catching_up=-5.0, score=None),
        "wait",
        "behind by 12,000 records, falling further behind, 10/s",
    ),
    "behind, seen once": (
        replace(WELL, unanswered=12_000, score=None),
        "wait",
        "behind by 12,000 records, 10/s",
    ),
    "behind for long": (
        replace(WELL, unanswered=12_000, score=None, behind_s=7200.0),
        "wait",
        "behind by 12,000 records, the oldest waiting for 2 h, 10/s",
    ),
    "stalled": (
        replace(WELL, unanswered=300, rate=0.0, quiet_s=180.0),
        "down",
        "stalled: 300 records wait, and none was answered for 3 min",
    ),
    "a regression": (
        replace(WELL, score=RecentScore("rmse", 0.25, "the last value", 0.5)),
        "up",
        "healthy, 10/s, RMSE 0.25 lately, nothing waiting",
    ),
    "no record": (Facts("digits", serving=None), "wait", "no record yet"),
    "no answer": (Facts("digits", records=40), "wait", "40 records wait for the first answer"),
    "not looked": (Facts("digits", looked=False), "wait", "looking …"),
    "no job": (
        replace(WELL, job=JobTrouble("missing"), **STOPPED),
        "down",
        "not learning: Flink has no job of it",
    ),
    "cancelled": (
        replace(WELL, job=JobTrouble("ended_by_hand", "canceled"), **STOPPED),
        "down",
        "stopped by hand at offset 193",
    ),
    "cancelled, none waits": (
        replace(WELL, job=JobTrouble("ended_by_hand", "canceled")),
        "down",
        "stopped by hand",
    ),
    "starting": (
        replace(WELL, job=JobTrouble("not_started", "created")),
        "wait",
        "starting: the job is created",
    ),
    "restarts": (
        replace(WELL, job=JobTrouble("restarts", "restarting", REASON), **STOPPED),
        "down",
        "stopped at offset 193: the label 2 is none of the classes: 0, 1",
    ),
    "failed": (
        replace(
            WELL,
            job=JobTrouble("failed", "failed", "ValueError: no"),
            several_partitions=True,
            **{**STOPPED, "first_unanswered": (2, 1193)},
        ),
        "down",
        "stopped at offset 1,193 of partition 2: ValueError: no",
    ),
    "fails on the first": (
        Facts("digits", records=9, job=JobTrouble("restarts", "restarting", "ValueError: no")),
        "down",
        "stopped: ValueError: no",
    ),
    "restarted": (
        replace(WELL, job=JobTrouble("restarted", "running", "ValueError: no")),
        "wait",
        "running, restarted a moment ago: ValueError: no, 10/s, 95.0 % right lately, nothing waiting",
    ),
    "restarted, none answered": (
        Facts("digits", records=40, job=JobTrouble("restarted", "running", "ValueError: no")),
        "wait",
        "restarted a moment ago: ValueError: no, 40 records wait for the first answer",
    ),
    "recovering": (
        replace(WELL, progress="offset 100 of 900", unanswered=800),
        "wait",
        "learning again what the newest version lacks: offset 100 of 900",
    ),
    "Kafka away": (
        replace(WELL, away=("Kafka",)),
        "down",
        "Kafka: no answer; nothing is learned until it is back, version 900 goes on answering requests",
    ),
    "Kafka away, so the job restarts": (
        replace(WELL, away=("Kafka",), job=JobTrouble("restarts", "restarting", "TimeoutException")),
        "down",
        "Kafka: no answer; nothing is learned until it is back, version 900 goes on answering requests",
    ),
    "Redis and Flink away": (
        replace(WELL, away=("Redis", "Flink"), serving=None),
        "down",
        "Redis, Flink: no answer; nothing is learned until it is back",
    ),
    "Flink away": (
        replace(WELL, away=("Flink",), serving=None),
        "down",
        "Flink does not answer: whether the job runs cannot be told",
    ),
    "pinned": (
        replace(WELL, serving=Serving("120", pinned=True), score=None),
        "wait",
        "running, version 120 is pinned: what is learned since is not served, 10/s, nothing waiting",
    ),
    "pinned while others are scored": (
        replace(WELL, serving=Serving("120", pinned=True)),
        "wait",
        "running, version 120 is pinned: later ones, whose score this is, are not served, 10/s, 95.0 % right"
        " lately, nothing waiting",
    ),
    "refused": (
        replace(WELL, serving_trouble="version 900 of digits is refused: no signature", score=None),
        "wait",
        "running, the newest version is not served: version 900 of digits is refused: no signature, 10/s,"
        " nothing waiting",
    ),
    "no model": (
        replace(WELL, serving=None, score=None),
        "wait",
        "running, no model to serve yet, 10/s, nothing waiting",
    ),
    "worse": (
        replace(WELL, score=RecentScore("accuracy", 0.10, "the commonest label", 0.11)),
        "wait",
        "running, worse lately than the commonest label (11.0 %), 10/s, 10.0 % right lately, nothing waiting",
    ),
    "set aside": (
        replace(WELL, set_aside=(30, 200, "JSON is malformed"), score=None),
        "wait",
        "running, 30 of the newest 200 records set aside: JSON is malformed, 10/s, nothing waiting",
    ),
    "one set aside": (
        replace(WELL, set_aside=(2, 200, "JSON is malformed"), score=None),
        "up",
        "healthy, 10/s, nothing waiting",
    ),
}


@pytest.mark.parametrize("state", list(STATES))
def test_each_state_has_its_words(state: str) -> None:
    facts, level, words = STATES[state]
    verdict = judge(facts)
    assert (verdict.level, verdict.format()) == (level, words)


def test_what_can_be_done_is_told() -> None:
    def advise(facts: Facts) -> str | None:
        advice = judge(facts).advice
        return advice.format() if advice else None

    assert advise(replace(WELL, job=JobTrouble("missing"))) == "`streamlearn train digits` submits it"
    assert advise(Facts("digits", has_dataset=True)) == "`streamlearn replay digits` sends its data set"
    assert advise(Facts("digits")) is None
    assert "mend" in (advise(replace(WELL, job=JobTrouble("restarts", reason="x"))) or "")
    assert "streamlearn status" in (advise(replace(WELL, away=("Kafka",))) or "")


def test_every_text_is_used_by_some_state() -> None:
    texts = {*TEXTS.values()}
    formatted: set[str] = set()

    def note(text: str) -> str:
        formatted.add(text)
        return text

    for facts, _, _ in [*STATES.values(), (Facts("x", has_dataset=True), "", "")]:
        verdict = judge(facts)
        verdict.format(note)
        if verdict.advice:
            verdict.advice.format(note)
    assert texts - formatted == {"%(n)s days"}


def record(partition: int, at_s: float, **value: Any) -> Any:
    return SimpleNamespace(
        partition=partition,
        timestamp=int(1000 * at_s),
        value=json.dumps({"partition": partition, **value}).encode(),
    )


def see(
    flow: Flow, now_s: float, ends: list[int], predictions: Any = (), letters: Any = (), end: int = 0
) -> None:
    pipeline = flow.pipeline
    topics = dict.fromkeys(flow.look_back_by_topic, ())
    flow.add(
        Seen(
            {**topics, pipeline.prediction_topic: [*predictions], pipeline.dead_letter_topic: [*letters]},
            {**{topic: [end] for topic in flow.look_back_by_topic}, pipeline.topic: ends},
        ),
        now_s,
    )


def test_a_flow_counts_what_waits_and_how_fast_it_is_answered() -> None:
    flow = Flow(digits.pipeline)
    see(flow, 100.0, [])
    assert (flow.unanswered, flow.rate(100.0), flow.first_unanswered) == (None, None, None)
    see(flow, 101.0, [51, 100], [record(0, 91 + n / 5, offset=n, x=[0.0] * 64) for n in range(50)])
    assert flow.unanswered == 101
    assert flow.first_unanswered == (0, 50)
    assert flow.rate(101.0) == pytest.approx(5.0, rel=0.05)
    assert flow.rate(115.0) == 0
    assert flow.quiet_s(115.0) == pytest.approx(14.2, abs=0.01)
    assert flow.catching_up is None
    assert "x" not in flow.answers[-1]
    assert b'"x"' in (flow.values[-1] or b"")
    see(flow, 103.0, [51, 100], [record(1, 102, offset=n) for n in range(100)])
    assert (flow.unanswered, flow.first_unanswered) == (1, (0, 50))
    assert flow.catching_up == 50.0


def test_a_flow_tells_for_how_long_the_oldest_record_waits() -> None:
    flow = Flow(digits.pipeline)
    answers = [record(0, 90, offset=4), record(1, 90, offset=7)]
    seen = Seen(
        {topic: [] for topic in flow.look_back_by_topic}, {topic: [1, 1] for topic in flow.look_back_by_topic}
    )
    seen.records["digit_predict"] = answers
    seen.ends["handwritten_digit"] = [15, 30]
    asked = []

    def tell(topic: str, partition: int, offset: int) -> float:
        asked.append((topic, partition, offset))
        return {0: 96.5, 1: 91.0}[partition]

    tail: Any = SimpleNamespace(look=lambda: seen, written_at=tell)
    flow.look(tail)
    assert asked == [("handwritten_digit", 0, 5), ("handwritten_digit", 1, 8)]
    assert flow.behind_s(100.0) == 9.0
    seen.ends["handwritten_digit"] = [15, 8]
    flow.look(tail)
    assert flow.behind_s(100.0) is None, "few records wait for the next checkpoint"


@pytest.mark.parametrize("look_back", [10, 500, 5000])
def test_the_rate_does_not_depend_on_how_far_is_looked_back(look_back: int) -> None:
    flow = Flow(digits.pipeline, look_back)
    answers = [record(0, n / 100, offset=n) for n in range(3000)]
    letters = [record(0, 0.1, offset=5, reason="old")]
    see(flow, 30.0, [3000], answers[-look_back:], letters, end=3000)
    assert flow.rate(30.0) == pytest.approx(100, rel=0.01) or look_back == 10
    see(flow, 32.0, [3200], [record(0, 30 + n / 100, offset=3000 + n) for n in range(200)], end=3200)
    assert flow.rate(32.0) == pytest.approx(100, rel=0.01)


def test_a_flow_tells_how_many_of_the_newest_were_set_aside() -> None:
    flow = Flow(digits.pipeline)
    letters = [record(0, 5, offset=n, reason="JSON is malformed", value="YnJva2Vu") for n in (3, 950, 960)]
    see(flow, 9.0, [1000], [record(0, 5, offset=999)], letters)
    assert flow.newest_set_aside == (2, 200, "JSON is malformed")
    assert flow.dead_letters[0].value == "broken"


def test_the_recent_score_of_a_classification_is_over_the_newest_labelled() -> None:
    answers = [
        {"offset": n, "actual_y": None if n % 5 == 0 else 3, "predict_y": 3 if n < 300 or n % 2 else 4}
        for n in range(2000)
    ]
    score = find_recent_score(answers, digits.pipeline)
    assert score == RecentScore("accuracy", 0.5, "the commonest label", 1.0)
    assert score.is_worse_than_baseline
    assert find_recent_score(answers[:20], digits.pipeline) is None


def test_the_recent_score_of_a_forecast_is_that_of_its_shortest_horizon(pm25_csv: str) -> None:
    hours = islice(dataset.records(), 400)
    learner, answers = pm25.pipeline.new_learner(), []
    for number, hour in enumerate(hours):
        (answer,) = predict_then_learn(learner, [pm25.Hour(**hour)], number + 1)
        answers.append({"offset": number, **hour, **answer})
    score = find_recent_score(answers, pm25.pipeline)
    assert score is not None
    assert (score.figure, score.baseline, score.horizon) == ("rmse", "persistence", 1)
    pairs = [(answers[n]["forecast"]["1"], answers[n + 1]["pollution"]) for n in range(231, 399)]
    errors = [forecast - truth for forecast, truth in pairs if truth is not None]
    assert score.value == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    assert find_recent_score(answers[:20], pm25.pipeline) is None


def test_a_look_at_a_stack_that_is_away_raises_nothing() -> None:
    settings = Settings(
        kafka=f"localhost:{free_port()}",
        redis=f"redis://localhost:{free_port()}/0",
        flink=f"http://localhost:{free_port()}",
    )
    facts, other = gather_facts(settings, [digits.pipeline, pm25.pipeline])
    assert facts.away == other.away
    assert facts.away == ("Kafka", "Redis", "Flink")
    assert judge(facts).format().startswith("Kafka, Redis, Flink: no answer")
