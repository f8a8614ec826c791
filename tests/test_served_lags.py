"""The route for lags: which drivers lead the forecast value, by the served version's correlations."""

import numpy as np
import pytest
from flask.testing import FlaskClient
from helpers import MakeApp, put
from hours import PM25, learned, series

from streamlearn.lags.choice import leading_lag
from streamlearn.lags.lag_sets import format_lags
from streamlearn.operations.lag_choice import choose_by_correlations
from streamlearn.storage.store import Store
from streamlearn.waiting import wait_until


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app().test_client()


def test_the_correlations_of_the_served_version_are_told(client: FlaskClient, store: Store) -> None:
    records = series(600)
    # A random walk correlates with any other, until both are whitened.
    walk = np.cumsum(np.random.default_rng(2).normal(size=600)) / 10
    for record, temp in zip(records, walk.tolist(), strict=True):
        record["temp"] = temp
    learner, _ = learned(records)
    put(store, PM25, learner)
    wait_until(lambda: client.get("/v2/models/pm25/ready").status_code == 200, 5, "pm25", every_s=0.01)
    answer = client.get("/v2/models/pm25/lags").json
    assert answer is not None
    assert (answer["model_version"], answer["steps"], answer["lags"][0]) == (600, 600, -48)
    assert "dew=0,3" in answer["in_use"]
    assert answer["chosen"] == format_lags(choose_by_correlations(PM25, learner))
    drivers = answer["drivers"]
    assert [driver["driver"] for driver in drivers] == [driver.name for driver in PM25.learning.drivers]
    kinds = {"raw": learner.correlations.raw(), "prewhitened": learner.correlations.prewhitened()}
    for kind, correlations in kinds.items():
        for driver, expected in zip(drivers, correlations, strict=True):
            actual = driver[kind]
            r = np.array(actual["r"], dtype=float)
            np.testing.assert_allclose(r, expected.ccf.round(4), equal_nan=True)
            assert (actual["n"], actual["band"]) == (expected.n, expected.band if expected.n else 0)
            assert actual["best_lag"] == (None if np.isnan(expected.ccf).all() else expected.best_lag)
    assert leading_lag(kinds["raw"][1]) is not None
    assert drivers[1]["leads_by"] is None
    assert drivers[0]["raw"]["r"] == [None] * 97, "the dew point never changes in these hours"


def test_where_there_is_nothing_to_tell_it_says_so(client: FlaskClient) -> None:
    assert client.get("/v2/models/digits/lags").status_code == 404
    assert client.get("/v2/models/pm25/lags").status_code == 503
