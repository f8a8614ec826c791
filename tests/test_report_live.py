"""`streamlearn report` from the real Kafka and Redis: what is read there is what an offline pass gives."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import Stack
from reading import send
from reported import answered, hours, small, wire

from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.broker.topics import ensure_topics
from streamlearn.errors import DataUnavailable
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load
from streamlearn.reports import sources
from streamlearn.reports.decisions import decided
from streamlearn.reports.forecasts import arranged
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.storage.versions import VersionInfo
from streamlearn.stream.lineage import Lineage


def own(pipeline: Pipeline) -> Pipeline:
    """The pipeline with a name and topics of its own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    return replace(pipeline, name=name, topic=name, prediction_topic=f"{name}-said")


def told(stack: Stack, pipeline: Pipeline, records: Sequence[Any], begin: int = 0) -> Lineage:
    """Send records, and for all from `begin` on the answers that a job would give, and the model."""
    ensure_topics(Broker(stack.settings), pipeline)
    first = send(stack.settings.kafka, pipeline.topic, wire(list(records)))
    lineage = LineageRegister(Broker(stack.settings), pipeline).claim(fresh=True)
    found = answered(pipeline)
    said = [
        {**answer, "offset": answer["offset"] + first, "lineage": lineage.id}
        for answer in found.answers[begin:]
    ]
    strange: list[bytes | None] = [b"no answer", json.dumps({"offset": 3}).encode()]
    send(stack.settings.kafka, pipeline.prediction_topic, strange + wire(said))
    put(stack, pipeline, lineage, found.learner)
    return lineage


def put(stack: Stack, pipeline: Pipeline, lineage: Lineage, learner: Any) -> None:
    store = Store.of(stack.settings)
    data = snapshot.dumps(learner, pipeline, lineage.id, stack.settings.checkpoint_key)
    about = VersionInfo(snapshot.digest(data), learner.score.samples, learner.score.summary())
    store.admit(pipeline.name, lineage.id, lineage.epoch).save(learner.version, data, about)
    store.close()


def live(stack: Stack, pipeline: Pipeline, last: int | None = None) -> sources.Answered:
    return sources.live(stack.settings, pipeline, last=last, show=lambda at, end: None)


def test_forecasts_in_kafka_make_the_arrays_that_an_offline_pass_makes(stack: Stack) -> None:
    records = hours(400)
    pipeline = own(small(records))
    with pytest.raises(DataUnavailable, match="no open lineage"):
        live(stack, pipeline)
    told(stack, pipeline, records)
    lineage = told(stack, pipeline, records, begin=10)
    found = live(stack, pipeline)
    assert (found.lineage, found.notes) == (lineage.id, ())
    assert found.offsets.tolist() == list(range(399 + 10, 399 + 399))
    expected, series = arranged(answered(pipeline, last=389)), arranged(found)
    for name in ("steps", "values", "forecasts", "missed", "persistence"):
        np.testing.assert_array_equal(getattr(series, name), getattr(expected, name))
    assert [one.label for one in series.drivers] == [one.label for one in expected.drivers]
    for one, other in zip(series.drivers, expected.drivers, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
    newest = live(stack, pipeline, last=50)
    assert newest.offsets.tolist() == list(range(399 + 349, 399 + 399))
    assert newest.records == found.records[-50:]


def test_digits_in_kafka_make_the_arrays_that_an_offline_pass_makes(stack: Stack) -> None:
    records = list(load("digits").dataset.records(passes=1))[:500]  # type: ignore[union-attr]
    pipeline = own(small(records, "digits"))
    told(stack, pipeline, records)
    found, expected = decided(live(stack, pipeline)), decided(answered(pipeline))
    for name in ("truths", "guesses", "features", "weights"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_answers_whose_model_or_records_are_gone_say_so(stack: Stack) -> None:
    records = hours(100)
    pipeline = own(small(records))
    told(stack, pipeline, records)
    Store.of(stack.settings).clear(pipeline.name)
    found = live(stack, pipeline)
    assert (found.learner, len(found.answers)) == (None, 99)
    assert found.notes == ("Redis holds no model of this lineage",)
    LineageRegister(Broker(stack.settings), pipeline).end()
    with pytest.raises(DataUnavailable, match="no open lineage"):
        live(stack, pipeline)
