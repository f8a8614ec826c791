"""A running server takes up the pipelines that it is told of, and lets them go again."""

import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from flask.testing import FlaskClient
from helpers import KEY, MakeApp, put

from streamlearn.pipelines import user_code
from streamlearn.pipelines.announced import announce, list_announced, load_announced, load_known, withdraw
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.waiting import wait_until
from streamlearn.warehouse.catalogue import load_stack_catalogue

MODULE = """
import msgspec
import numpy as np
from sklearn.linear_model import SGDClassifier
from streamlearn.learning.tabular import Tabular
from streamlearn.pipelines.base import Pipeline
import {sibling}

class Coin(msgspec.Struct):
    weight: float
    fake: bool | None = None

pipeline = Pipeline(
    name="coins", topic="coins", prediction_topic="coins_predict", record=Coin,
    parameters=dict(loss="log_loss"),
    learning=Tabular(
        features=lambda records: np.array([[record.weight * {sibling}.FACTOR] for record in records]),
        label="fake", estimator=SGDClassifier, classes=(False, True),
    ),
)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings of a server whose home is empty."""
    return Settings(home=tmp_path)


def write_module(folder: Path, factor: int) -> Pipeline:
    (folder / "coins.py").write_text(MODULE.format(sibling="coin_scale"))
    (folder / "coin_scale.py").write_text(f"FACTOR = {factor}\n")
    return load("coins")


def store_model(store: Store, pipeline: Pipeline) -> None:
    learner = pipeline.new_learner()
    records = [pipeline.record(weight, weight > 2) for weight in (1.0, 3.0, 2.0, 4.0)]
    learner.learn(records, learner.predict(records))
    learner.version = 4
    put(store, pipeline, learner, key=KEY)


def is_served(client: FlaskClient, name: str = "coins") -> bool:
    return client.get(f"/v2/models/{name}/ready").status_code == 200


def look(client: FlaskClient) -> None:
    client.application.extensions["arrivals"].look()


def test_a_server_takes_up_a_pipeline_and_lets_it_go(
    make_app: MakeApp, store: Store, settings: Settings, folder: Path
) -> None:
    client = make_app(checkpoint_key=KEY).test_client()
    pipeline = write_module(folder, 1)
    assert client.get("/v2/models/coins").status_code == 404
    announce(settings, pipeline)
    wait_until(lambda: client.get("/v2/models/coins").status_code == 200, 10, "the server to look by itself")
    assert not is_served(client)
    store_model(store, pipeline)
    wait_until(lambda: is_served(client), 10, "its model to be loaded")
    tensor = {"name": "weight", "shape": [1], "datatype": "FP64", "data": [4.0]}
    assert client.post("/v2/models/coins/infer", json={"inputs": [tensor]}).status_code == 200
    assert client.get("/pipelines/coins").status_code == 200
    assert client.get("/live/coins?once=1").get_json()["pipeline"] == "coins"
    assert "coins" in client.get("/v2/health/ready").get_json()["serving"]
    withdraw(settings, pipeline)
    look(client)
    assert client.get("/v2/models/coins").status_code == 404
    assert client.post("/v2/models/coins/infer", json={"inputs": [tensor]}).status_code == 404
    assert client.get("/v2/models/digits").status_code == 200


def test_edited_code_is_loaded_anew_with_what_it_imports(settings: Settings, folder: Path) -> None:
    pipeline = write_module(folder, 1)
    announce(settings, pipeline)
    (first,) = list_announced(settings).values()
    assert [Path(file).name for file in first.files] == ["coins.py", "coin_scale.py"]
    (folder / "coin_scale.py").write_text("FACTOR = 10\n")
    announce(settings, pipeline)
    (second,) = list_announced(settings).values()
    assert second.digest != first.digest
    features = load_announced(second).learning.features_of([pipeline.record(2.0)])
    assert features is not None
    assert features.tolist() == [[20.0]]


def test_the_programs_own_modules_are_never_loaded_anew(settings: Settings, folder: Path) -> None:
    """Not even if an announcement names them, as those of a module in the checkout once did."""
    announce(settings, write_module(folder, 1))
    (told,) = list_announced(settings).values()
    everything = msgspec.structs.replace(told, files=(*told.files, str(Path(user_code.__file__).parents[1])))
    assert isinstance(load_announced(everything), Pipeline)
    assert sys.modules[Pipeline.__module__].Pipeline is Pipeline


def test_commands_know_what_the_stack_was_told_of(settings: Settings, folder: Path) -> None:
    """`status`, `topics` and `sql` among them; what cannot be loaded is left out."""
    announce(settings, write_module(folder, 1))
    assert "coins" in [pipeline.name for pipeline in load_known(settings)]
    assert "coins" in [topic.name for topic in load_stack_catalogue(settings)]
    (folder / "coins.py").write_text("raise ValueError")
    assert sorted(pipeline.name for pipeline in load_known(settings)) == ["digits", "pm25"]


def test_what_is_installed_is_not_announced(settings: Settings) -> None:
    announce(settings, load("digits"))
    announce(settings, load("streamlearn.pipelines.pm25_gru:pipeline"))
    assert list_announced(settings) == {}


@pytest.mark.parametrize(
    "damage", ["broken code", "another name", "no json", "gone", "a name that is served"]
)
def test_what_cannot_be_taken_up_harms_nobody(
    make_app: MakeApp, settings: Settings, folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = write_module(folder, 1)
    announce(settings, pipeline)
    (announcement,) = list_announced(settings).values()
    home, file = settings.home / "pipelines", "coins.json"
    if damage == "broken code":
        (folder / "coins.py").write_text("raise RuntimeError('no coins today')")
    elif damage == "another name":
        (home / file).rename(home / "other.json")
    elif damage == "no json":
        (home / file).write_text("{")
    elif damage == "gone":
        (folder / "coins.py").unlink()
    else:
        text = msgspec.json.encode(announcement).decode().replace("coins:pipeline", "coins:nothing")
        (home / file).rename(home / "digits.json")
        (home / "digits.json").write_text(text)
    client = make_app().test_client()
    look(client)
    assert client.get("/v2/models/coins").status_code == 404
    assert client.get("/v2/models/digits").status_code == 200
    told = [record.message for record in caplog.records if "is not served" in record.message]
    assert len(told) == (1 if damage in ("broken code", "gone") else 0)
    if damage == "broken code":
        assert "coins cannot be loaded: no coins today" in told[0] or "no coins today" in told[0]


def test_a_pipeline_of_the_settings_stays(make_app: MakeApp, settings: Settings, folder: Path) -> None:
    pipeline = replace(write_module(folder, 1))
    client = make_app(pipelines="coins:pipeline").test_client()
    announce(settings, pipeline)
    look(client)
    withdraw(settings, pipeline)
    look(client)
    assert client.get("/v2/models/coins").status_code == 200
