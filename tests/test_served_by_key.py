"""What is served of a keyed pipeline: each key is answered by the learner of the partition it belongs to."""

from dataclasses import replace
from typing import Any

import air
import msgspec
import numpy as np
import pytest
from flask.testing import FlaskClient
from helpers import MakeApp

from serving.state.model_cache import ModelCache
from streamlearn.broker.placement import Placement, hash_key, make_partition_function
from streamlearn.errors import ConfigurationError, NoModel
from streamlearn.learning import Tabular
from streamlearn.learning.by_key import LearnersByKey
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.pipelines import digits
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.stations import pipeline
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.storage.versions import VersionInfo

PARTITIONS = 4
SILENT = "Wanliu"
"""The station of a partition that has learned nothing."""
HOURS = 60


def learn(partition: int, hours: int = HOURS) -> Learner:
    """Return the learner of a partition after the records that a replay places there."""
    placement, learner = Placement(pipeline, PARTITIONS), pipeline.new_learner()
    for record in air.make_records(hours):
        if placement.place(record) == partition and record["station"] != SILENT:
            decoded = pipeline.codec.decode(msgspec.json.encode(record))
            predict_then_learn(learner, [decoded], learner.version + 1)
    return learner


def write(store: Store, partition: int, learner: Learner) -> None:
    data = snapshot.dumps(learner, pipeline, "aaaa")
    info = VersionInfo(snapshot.digest(data), learner.score.samples, learner.score.summary())
    admission = store.admit("stations", "aaaa", 1)
    admission.announce_partitions(PARTITIONS)
    admission.take_partition(partition, alone=False).save(learner.version, data, info)


def place(station: str) -> int:
    return hash_key(station) % PARTITIONS


@pytest.fixture
def client(make_app: MakeApp, store: Store) -> FlaskClient:
    for partition in {place(station) for station in air.NAMES if station != SILENT}:
        write(store, partition, learn(partition))
    client = make_app(pipelines="streamlearn.pipelines.stations:pipeline").test_client()
    cache(client).refresh()
    return client


def cache(client: FlaskClient) -> ModelCache:
    caches: dict[str, ModelCache] = client.application.extensions["models"]
    return caches["stations"]


def window(station: str) -> list[dict[str, Any]]:
    return air.make_records(HOURS, (station,))[-25:]


def infer(client: FlaskClient, records: list[dict[str, Any]], version: str = "") -> Any:
    """Ask by tensors, one for each field; return the answer, whatever its status."""
    tensors = [
        {
            "name": name,
            "shape": [len(records)],
            "datatype": "BYTES" if name in ("station", "wd") else "INT64" if name in INTEGERS else "FP64",
            "data": [record[name] for record in records],
        }
        for name in records[0]
    ]
    path = f"/v2/models/stations{version and f'/versions/{version}'}/infer"
    return client.post(path, json={"inputs": tensors}).get_json()


INTEGERS = ("year", "month", "day", "hour")


def forecast(answer: Any) -> list[float]:
    return [output["data"][0] for output in answer["outputs"]]


def without_calm(station: str) -> list[dict[str, Any]]:
    """Tensors of texts have no null: hours whose wind is unknown are left out."""
    return [record for record in window(station) if record["wd"] is not None]


@pytest.mark.parametrize("station", [name for name in air.NAMES if name != SILENT])
def test_a_station_is_answered_by_the_learner_of_its_partition(client: FlaskClient, station: str) -> None:
    rows = without_calm(station)
    answer = infer(client, rows)
    records = [pipeline.codec.decode(msgspec.json.encode(record)) for record in rows]
    own = learn(place(station))
    expected = own.answer(records)[0]["forecast"]
    assert forecast(answer) == list(expected.values())
    others = {place(name) for name in air.NAMES} - {place(station), place(SILENT)}
    assert all(learn(other).answer(records)[0]["forecast"] != expected for other in others)
    latest = client.get(f"/v2/models/stations/forecast?key={station}").get_json()
    kept = own.latest_of(station)
    assert kept is not None
    assert (latest["ts"], latest["forecast"], latest["ranges"]) == (
        kept["ts"],
        kept["forecast"],
        kept["ranges"],
    )
    body = {"records": window(station)}
    own_hours = client.post("/v2/models/stations/forecast", json=body).get_json()
    assert own_hours["ts"] == kept["ts"]
    assert own_hours["ranges"]["1"] is not None


def test_the_version_names_every_partition_and_is_asked_again(client: FlaskClient, store: Store) -> None:
    partitions = {place(station): HOURS for station in air.NAMES if station != SILENT}
    name = ".".join(str(learn(k).version) if k in partitions else "-" for k in range(PARTITIONS))
    before = infer(client, without_calm("Dongsi"))
    assert before["model_version"] == name
    write(store, place("Dongsi"), learn(place("Dongsi"), HOURS - 9))
    cache(client).refresh()
    after = infer(client, without_calm("Dongsi"))
    assert (after["model_version"] != name, forecast(after) != forecast(before)) == (True, True)
    again = infer(client, without_calm("Dongsi"), name)
    assert (again["model_version"], forecast(again)) == (name, forecast(before))
    described = client.get("/v2/models/stations").get_json()["parameters"]
    assert (described["keys"], described["keys_let_go"]) == (3, 0)
    assert described["samples"] == sum(
        learn(k, HOURS - 9 * (k == place("Dongsi"))).score.samples for k in partitions
    )


def test_a_key_whose_partition_has_learned_nothing_and_mixed_keys_are_told_so(client: FlaskClient) -> None:
    assert (
        f"partition {place(SILENT)}, which this key belongs to" in infer(client, window(SILENT)[:1])["error"]
    )
    mixed = [*without_calm("Dongsi")[:2], *without_calm("Gucheng")[2:4]]
    assert "send those of one station at a time" in infer(client, mixed)["error"]
    silent = client.get(f"/v2/models/stations/forecast?key={SILENT}")
    assert (silent.status_code, "no record with the key" in silent.get_json()["error"]) == (400, True)


def keyed_digits() -> Pipeline:
    learning: Any = digits.pipeline.learning
    return replace(digits.pipeline, key="ts", learning=replace(learning, merging="key"))


def test_records_that_stand_for_themselves_are_shared_out_by_their_keys() -> None:
    of = keyed_digits()
    learners, records = {}, [of.codec.decode(msgspec.json.encode(r)) for r in _digits(300)]
    for partition in range(2):
        learners[partition] = of.new_learner()
        predict_then_learn(learners[partition], records[100 * partition : 100 * partition + 100], 100)
    partition_of = make_partition_function(of, 2)
    merged = LearnersByKey(learners, partition_of, lambda key: 0, is_windowed=False)
    unseen = records[200:]
    expected = [learners[partition_of(record)].answer([record])[0] for record in unseen]
    assert {partition_of(record) for record in unseen} == {0, 1}
    assert merged.answer(unseen) == expected
    assert merged.outputs(unseen)["predict_y"].tolist() == [answer["predict_y"] for answer in expected]
    shares = merged.outputs(unseen)["probabilities"]
    single = [learners[partition_of(record)].outputs([record])["probabilities"][0] for record in unseen]
    np.testing.assert_allclose(shares, single)
    assert merged.score.samples == sum(learner.score.samples for learner in learners.values())
    alone = LearnersByKey({0: learners[0]}, partition_of, lambda key: 0, is_windowed=False)
    with pytest.raises(NoModel, match="partition 1"):
        alone.answer(unseen)


def _digits(count: int) -> list[dict[str, Any]]:
    assert digits.pipeline.dataset is not None
    return [record for _, record in zip(range(count), digits.pipeline.dataset.records(seed=2), strict=False)]


def test_merging_by_key_needs_a_key_and_known_classes() -> None:
    with pytest.raises(ValueError, match="digits needs a `key`"):
        replace(keyed_digits(), key=None)
    with pytest.raises(ConfigurationError, match="name its field as `key`"):
        replace(pipeline.learning, key=None, merging="key")  # type: ignore[type-var]
    with pytest.raises(ConfigurationError, match="classes that are known"):
        Tabular(len, "y", dict, classes=(), max_classes=3, merging="key")  # type: ignore[arg-type]
