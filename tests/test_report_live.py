"""`streamlearn report` from the real Kafka and Redis: what is read there is what an offline pass gives."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from reading import send
from reported import answer_data_set, build_hours, build_pipeline, encode_records

from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.broker.topics import ensure_topics
from streamlearn.errors import NothingToReport
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load
from streamlearn.reports import sources
from streamlearn.reports.decisions import arrange_decisions
from streamlearn.reports.forecasts import arrange_forecasts
from streamlearn.settings import Settings
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.storage.versions import VersionInfo
from streamlearn.stream.lineage import Lineage


def rename(pipeline: Pipeline) -> Pipeline:
    """Return the pipeline with a name and topics of its own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    return replace(pipeline, name=name, topic=name, prediction_topic=f"{name}-predictions")


def answer_live(broker: Settings, pipeline: Pipeline, records: Sequence[Any], begin: int = 0) -> Lineage:
    """Send records, the answers that a job would give to those from `begin` on, and the model."""
    ensure_topics(Broker(broker), pipeline)
    first = send(broker.kafka, pipeline.topic, encode_records(list(records)))
    lineage = LineageRegister(Broker(broker), pipeline).claim(fresh=True)
    expected = answer_data_set(pipeline)
    answers = [
        {**answer, "offset": answer["offset"] + first, "lineage": lineage.id}
        for answer in expected.answers[begin:]
    ]
    strays: list[bytes | None] = [b"no answer", json.dumps({"offset": 3}).encode()]
    send(broker.kafka, pipeline.prediction_topic, strays + encode_records(answers))
    save_model(broker, pipeline, lineage, expected.learner)
    return lineage


def save_model(broker: Settings, pipeline: Pipeline, lineage: Lineage, learner: Any) -> None:
    store = Store.of(broker)
    data = snapshot.dumps(learner, pipeline, lineage.id, broker.checkpoint_key)
    version_info = VersionInfo(snapshot.digest(data), learner.score.samples, learner.score.summary())
    store.admit(pipeline.name, lineage.id, lineage.epoch).save(learner.version, data, version_info)
    store.close()


def read_live(
    broker: Settings, pipeline: Pipeline, last: int | None = None, most: int | None = None
) -> sources.AnsweredRecords:
    return sources.read_live(broker, pipeline, last=last, show_progress=lambda at, end: None, most=most)


def test_forecasts_in_kafka_make_the_arrays_that_an_offline_pass_makes(broker: Settings) -> None:
    records = build_hours(400)
    pipeline = rename(build_pipeline(records))
    with pytest.raises(NothingToReport, match="no open lineage"):
        read_live(broker, pipeline)
    answer_live(broker, pipeline, records)
    lineage = answer_live(broker, pipeline, records, begin=10)
    answers = read_live(broker, pipeline)
    assert (answers.lineage, answers.notes) == (lineage.id, ())
    assert answers.offsets.tolist() == list(range(399 + 10, 399 + 399))
    expected, forecasts = arrange_forecasts(answer_data_set(pipeline, last=389)), arrange_forecasts(answers)
    for name in ("steps", "values", "forecasts", "residuals", "persistence_residuals"):
        np.testing.assert_array_equal(getattr(forecasts, name), getattr(expected, name))
    assert [driver.label for driver in forecasts.drivers] == [driver.label for driver in expected.drivers]
    for driver, expected_driver in zip(forecasts.drivers, expected.drivers, strict=True):
        np.testing.assert_array_equal(driver.values, expected_driver.values)
    assert answers.summaries == {}
    newest = read_live(broker, pipeline, last=50)
    assert newest.offsets.tolist() == list(range(399 + 349, 399 + 399))
    assert newest.records == answers.records[-50:]


def test_digits_in_kafka_make_the_arrays_that_an_offline_pass_makes(broker: Settings) -> None:
    records = list(load("digits").dataset.records(passes=1))[:500]  # type: ignore[union-attr]
    pipeline = rename(build_pipeline(records, "digits_sgd"))
    answer_live(broker, pipeline, records)
    decisions = arrange_decisions(read_live(broker, pipeline))
    expected = arrange_decisions(answer_data_set(pipeline))
    for name in ("truths", "predictions", "features", "weights"):
        np.testing.assert_array_equal(getattr(decisions, name), getattr(expected, name))


@pytest.mark.parametrize("whole", [True, False], ids=["answers hold their records", "joined"])
def test_of_a_long_history_so_many_answers_are_read_evenly_spread(broker: Settings, whole: bool) -> None:
    records = list(load("digits").dataset.records(passes=3))  # type: ignore[union-attr]
    pipeline = rename(build_pipeline(records, "digits"))
    if not whole:
        pipeline = replace(pipeline, passthrough_fields=("actual_y",))
    answer_live(broker, pipeline, records)
    everything = read_live(broker, pipeline)
    assert (len(everything.answers), everything.notes) == (len(records), ())
    sample = read_live(broker, pipeline, most=500)
    offsets, last = sample.offsets.tolist(), len(records) - 1
    committed = len(records) + 2  # the first two are no answers
    stretches = sources.spread_stretches(0, committed, 500)
    assert offsets == [place - 2 for start, end in stretches for place in range(max(start, 2), end)]
    assert len(offsets) == 498
    assert (offsets[0], offsets[-1]) == (0, last)
    assert max(np.diff(offsets)) <= len(records) / 49  # nowhere is a part of the history left out
    assert sample.records == [everything.records[offset] for offset in offsets]
    (note,) = sample.notes
    assert note.startswith(f"Of about {committed:,} answers 498 were read: 50 stretches of 10, evenly")
    assert "`--all`" in note
    assert len(read_live(broker, pipeline, last=700, most=500).answers) == 700


def test_of_a_long_series_the_newest_answers_are_read(broker: Settings) -> None:
    """A forecast is scored by what comes after it: in a stretch the last ones could not be."""
    records = build_hours(300)
    pipeline = rename(build_pipeline(records))
    answer_live(broker, pipeline, records)
    newest = read_live(broker, pipeline, most=100)
    assert newest.offsets.tolist() == list(range(199, 299))
    assert newest.notes == ("Of about 301 answers 100 were read: the newest; `--all` reads every one",)


def test_answers_whose_model_or_records_are_gone_say_so(broker: Settings) -> None:
    records = build_hours(100)
    pipeline = rename(build_pipeline(records))
    answer_live(broker, pipeline, records)
    Store.of(broker).clear(pipeline.name)
    answers = read_live(broker, pipeline)
    assert (answers.learner, len(answers.answers)) == (None, 99)
    assert answers.notes == ("Redis holds no model of this lineage",)
    LineageRegister(Broker(broker), pipeline).end()
    with pytest.raises(NothingToReport, match="no open lineage"):
        read_live(broker, pipeline)
