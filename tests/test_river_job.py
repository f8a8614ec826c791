"""A tree of River on the real stack: as a plain loop, over `kill -9`, and served from its own snapshot."""

import json
import urllib.request
from itertools import groupby
from typing import Any

from helpers import KEY
from reading import Record
from river import tree
from stacks import Stack, Trial, open_topics, running_trial
from tumours_tree import MEASUREMENTS, TREE, list_biopsies

from streamlearn.local import chaos
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.stream.records import encode
from streamlearn.waiting import wait_until

COUNT = 2 * 569
HALF = COUNT // 2
ASKED = [record for _, record in zip(range(40), list_biopsies(seed=7), strict=False)]


def test_a_tree_is_learned_exactly_over_a_kill_and_served_as_it_is_stored(stack: Stack) -> None:
    with running_trial(stack, "tumours_tree:pipeline") as trial, open_topics(trial) as topics:
        trial.replay(HALF)
        wait_until(lambda: len(topics.predictions.read().values) >= HALF // 2, 300, "some answers")
        starts = trial.count_restores()
        assert chaos.kill(trial.settings, chaos.WORKER)
        trial.streamlearn("replay", "--rate", "0", "--skip", str(HALF), "--limit", str(COUNT - HALF))
        wait_until(lambda: trial.count_restores() > starts, 300, "another worker to go on")
        report = trial.verify()
        answers, sent = topics.predictions.read().json(), topics.records.read().json()
        assert report["records"] == len(sent) == COUNT
        assert [answer["offset"] for answer in answers] == list(range(COUNT))
        assert [answer["predict_y"] for answer in answers] == learn_plainly(answers, sent)
        check_served(trial)


def learn_plainly(answers: list[Record], records: list[Record]) -> list[str | None]:
    """Return what a tree of River predicts in a loop that learns the same chunks."""
    model = tree.HoeffdingTreeClassifier(**TREE)
    expected: list[str | None] = []
    start = 0
    for _, run in groupby(answers, key=lambda answer: answer["model_version"]):
        chunk = records[start : start + len(list(run))]
        rows = [read_features(record) for record in chunk]
        expected += [model.predict_one(row) for row in rows]
        for row, record in zip(rows, chunk, strict=True):
            if record.get("tumour") is not None:
                model.learn_one(row, record["tumour"])
        start += len(chunk)
    assert model.n_nodes > 5, "it is a tree by now"
    return expected


def read_features(record: Record) -> dict[int, float]:
    """Return each measurement that there is, and for each whether it is missing, by their places."""
    features = {}
    for number, name in enumerate(MEASUREMENTS):
        value = record.get(name)
        if value is not None:
            features[2 * number] = float(value)
        features[2 * number + 1] = float(value is None)
    return features


def check_served(trial: Trial) -> None:
    """The server answers by the newest version, exactly as the learner in that version's snapshot does."""
    name = trial.pipeline.name
    store = Store.of(trial.settings)
    head = store.newest(name)
    assert head is not None
    assert head.version == COUNT
    data = store.snapshot(name, head.lineage, head.version)
    assert data is not None
    store.close()
    learner = snapshot.loads(data, trial.pipeline, head.lineage, KEY)
    rows = [trial.pipeline.codec.decode(encode(record)) for record in ASKED]
    expected = learner.outputs(rows)
    wait_until(lambda: ask(trial)["model_version"] == str(COUNT), 60, "the server to have the newest version")
    outputs = {output["name"]: output for output in ask(trial)["outputs"]}
    assert outputs["predict_y"]["data"] == expected["predict_y"].tolist()
    assert outputs["probabilities"]["data"] == expected["probabilities"].ravel().tolist()
    assert set(outputs["predict_y"]["data"]) == {"benign", "malignant"}


def ask(trial: Trial) -> dict[str, Any]:
    """Predict by V2, a tensor for each measurement, null where it is missing."""
    tensors = [
        {
            "name": name,
            "shape": [len(ASKED)],
            "datatype": "FP64",
            "data": [record.get(name) for record in ASKED],
        }
        for name in MEASUREMENTS
    ]
    request = urllib.request.Request(
        f"{trial.stack.url}/v2/models/{trial.pipeline.name}/infer", json.dumps({"inputs": tensors}).encode()
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
        return answer
