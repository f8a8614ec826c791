"""What is served of a topic of several partitions: one model, whose version names those it is made of."""

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from helpers import MakeApp, inputs

from serving.state.model_cache import ModelCache
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.learning.merging import merge_models
from streamlearn.pipelines import pm25
from streamlearn.pipelines.digits import pipeline
from streamlearn.storage import bundle, snapshot
from streamlearn.storage.store import Store
from streamlearn.storage.versions import VersionInfo

COUNTS = {0: 120, 1: 300, 3: 60}
"""Partition → how many digits its learner has learned; partition 2 has had none."""


def learner_after(count: int, seed: int) -> Learner:
    """Return a learner that has learned the first digits of a stream."""
    learner = pipeline.new_learner()
    for start in range(0, count, 30):
        rows = inputs(count, seed=seed)[start : start + 30]
        records = [pipeline.codec.decode(row.value or b"") for row in rows]
        predict_then_learn(learner, records, start + len(rows))
    return learner


def write(store: Store, partition: int, count: int, lineage: str = "aaaa", epoch: int = 1) -> None:
    """Store the version of a partition's learner, each of which has learned other digits."""
    learner = learner_after(count, seed=partition)
    data = snapshot.dumps(learner, pipeline, lineage)
    info = VersionInfo(snapshot.digest(data), learner.score.samples, learner.score.summary())
    writer = store.admit("digits", lineage, epoch).take_partition(partition, alone=False)
    writer.save(count, data, info)


PICTURE = [n % 17 / 40 for n in range(64)]
"""So faint that no probability is 0 or 1."""


@pytest.fixture
def client(make_app: MakeApp, store: Store) -> FlaskClient:
    for partition, count in COUNTS.items():
        write(store, partition, count)
    client = make_app().test_client()
    cache(client).refresh()
    return client


def cache(client: FlaskClient) -> ModelCache:
    caches: dict[str, ModelCache] = client.application.extensions["models"]
    return caches["digits"]


def infer(client: FlaskClient, version: str | None = None) -> dict[str, Any]:
    path = f"/v2/models/digits{'' if version is None else f'/versions/{version}'}/infer"
    tensor = {"name": "x", "shape": [1, 64], "datatype": "FP64", "data": PICTURE}
    answer = client.post(path, json={"inputs": [tensor]})
    assert answer.status_code == 200, answer.get_json()
    return dict(answer.get_json())


def probabilities(answer: dict[str, Any]) -> list[float]:
    return next(output["data"] for output in answer["outputs"] if output["name"] == "probabilities")


def test_one_model_of_all_partitions_is_served(client: FlaskClient) -> None:
    served = client.get("/v2/models/digits").get_json()
    assert served["versions"] == ["120.300.-.60"]
    assert served["parameters"]["version"] == "120.300.-.60"
    learners = [learner_after(count, seed=partition) for partition, count in COUNTS.items()]
    weights = [learner.score.samples for learner in learners]
    assert served["parameters"]["samples"] == sum(weights)
    merged = merge_models([learner.model for learner in learners], weights)
    answer = infer(client)
    assert answer["model_version"] == "120.300.-.60"
    x = np.array([PICTURE])
    assert probabilities(answer) == merged.predict_proba(x)[0].tolist()


def test_a_version_is_asked_again_by_the_name_of_its_parts(client: FlaskClient, store: Store) -> None:
    before = infer(client)
    write(store, 1, 400)
    write(store, 2, 50)
    cache(client).refresh()
    after = infer(client)
    assert after["model_version"] == "120.400.50.60"
    assert probabilities(after) != probabilities(before)
    again = infer(client, "120.300.-.60")
    assert (again["model_version"], probabilities(again)) == ("120.300.-.60", probabilities(before))
    assert probabilities(infer(client, "120")) != probabilities(before)
    for name in ("120.300.-.61", "-.-.-.-", "120.", "a.b", "120.300.--.60"):
        assert client.get(f"/v2/models/digits/versions/{name}").status_code == 404, name


def test_versions_are_listed_and_have_learned_by_partition(client: FlaskClient) -> None:
    listed = client.get("/v2/models/digits/versions").get_json()["versions"]
    assert [(v["partition"], v["version"], v["served"]) for v in listed] == [
        (0, 120, True),
        (1, 300, True),
        (3, 60, True),
    ]
    for partition, offset, learned in ((0, 119, True), (0, 120, False), (1, 299, True), (2, 0, False)):
        query = f"learned={offset}&partition={partition}"
        told = client.get(f"/v2/models/digits/versions?{query}").get_json()["learned"]
        assert (told["learned"], told["version"]) == (learned, "120.300.-.60" if learned else None)


def test_what_is_made_of_several_is_pinned_as_it_is(client: FlaskClient, store: Store) -> None:
    before = probabilities(infer(client))
    pinned = client.post("/v2/models/digits/versions/120.300.-.60/pin").get_json()
    assert (pinned["version"], pinned["pinned"]) == ("120.300.-.60", True)
    write(store, 1, 400)
    write(store, 2, 50)
    for told in (cache(client), ModelCache(store, pipeline, 60)):
        told.refresh()
        assert (told.current().head.name, told.current().head.pinned) == ("120.300.-.60", True)
        told.stop()
    assert probabilities(infer(client)) == before
    listed = client.get("/v2/models/digits/versions").get_json()["versions"]
    assert [(v["partition"], v["version"]) for v in listed if v["pinned"]] == [(0, 120), (1, 300), (3, 60)]
    assert [v["version"] for v in listed if not v["served"]] == [400, 50]
    assert client.delete("/v2/models/digits/pin").get_json()["version"] == "120.400.50.60"
    assert probabilities(infer(client)) != before


def test_the_page_of_versions_offers_those_that_were_served_together(
    client: FlaskClient, store: Store
) -> None:
    write(store, 1, 330)
    cache(client).refresh()
    page = client.get("/versions/digits?rows=1").text
    assert re.search(
        r'<tr data-served>\s*<th scope="row"><label><input type="radio"[^>]* value="120\.330\.-\.60"', page
    )
    assert client.post("/v2/models/digits/versions/120.330.-.60/pin").status_code == 200


def test_a_pin_of_several_partitions_needs_all_of_them(client: FlaskClient) -> None:
    assert client.post("/v2/models/digits/versions/120.300.-.61/pin").status_code == 404
    assert not cache(client).current().head.pinned


def test_what_is_made_of_several_is_downloaded_in_one_file(client: FlaskClient) -> None:
    path = "/v2/models/digits/versions/120.300.-.60/file"
    snapshots = bundle.unpack(client.get(path).data)
    versions = [part and snapshot.loads(part, pipeline, "aaaa").version for part in snapshots]
    assert versions == [120, 300, None, 60]


def test_a_model_stays_while_redis_is_emptied_and_a_new_lineage_begins(
    client: FlaskClient, store: Store
) -> None:
    store.clear("digits")
    cache(client).refresh()
    assert infer(client)["model_version"] == "120.300.-.60"
    write(store, 1, 70, "bbbb", epoch=2)
    cache(client).refresh()
    answer = infer(client)
    assert (answer["model_version"], answer["parameters"]["lineage"]) == ("-.70", "bbbb")


def test_a_part_that_cannot_be_read_leaves_the_others_served(client: FlaskClient, store: Store) -> None:
    writer = store.admit("digits", "aaaa", 1).take_partition(1, alone=False)
    writer.save(310, b"not a snapshot", VersionInfo("00", 0, {}))
    write(store, 3, 90)
    cache(client).refresh()
    assert "version 310 of partition 1 of digits is refused" in cache(client).trouble
    assert infer(client)["model_version"] == "120.300.-.90"


def test_a_part_that_cannot_be_read_is_read_once(
    client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = store.admit("digits", "aaaa", 1).take_partition(1, alone=False)
    writer.save(310, b"not a snapshot", VersionInfo("00", 0, {}))
    cache(client).refresh()
    read: list[bytes] = []
    load = snapshot.loads

    def load_and_note(data: bytes, *arguments: Any) -> Learner:
        read.append(data)
        return load(data, *arguments)

    monkeypatch.setattr(snapshot, "loads", load_and_note)
    cache(client).refresh()
    assert read == []
    assert "version 310 of partition 1 of digits is refused" in cache(client).trouble
    write(store, 1, 320)
    cache(client).refresh()
    assert (len(read), cache(client).trouble) == (1, "")
    assert infer(client)["model_version"] == "120.320.-.60"


def test_a_pin_is_noticed_without_reading_its_model(
    client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = store.newest("digits")
    data = store.snapshot("digits", "aaaa", 120)
    assert head is not None
    assert data is not None
    assert not store.is_pinned("digits")
    store.pin("digits", head, data)
    assert store.is_pinned("digits")
    cache(client).refresh()
    monkeypatch.setattr(Store, "pinned_snapshot", lambda *_: pytest.fail("the model was read"))
    cache(client).refresh()
    assert infer(client)["model_version"] == "120"
    store.unpin("digits")
    assert not store.is_pinned("digits")


def test_of_kinds_that_cannot_be_merged_the_learner_that_was_scored_most_answers() -> None:
    learners = [pm25.pipeline.new_learner() for _ in range(3)]
    for learner, samples in zip(learners, (5, 9, 9), strict=True):
        learner.score = SimpleNamespace(samples=samples)  # type: ignore[assignment]
    assert pm25.pipeline.learning.merge(learners) is learners[1]
