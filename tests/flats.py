"""A pipeline of one's own, as a user would write it: what a flat's rent will be."""

from typing import Any

import msgspec
import numpy as np
from sklearn.linear_model import SGDRegressor

from streamlearn.learning.tabular import Tabular
from streamlearn.pipelines.base import Pipeline


class Flat(msgspec.Struct):
    """A flat to let."""

    area: float
    rooms: int
    street: str
    balcony: bool
    rent: float | None = None


def _flat_features(records: Any) -> Any:
    return np.array([[flat.area, flat.rooms, len(flat.street), flat.balcony] for flat in records])


FLATS = Pipeline(
    name="flats",
    topic="flats",
    prediction_topic="flats_rent",
    record=Flat,
    learning=Tabular(features=_flat_features, label="rent", estimator=SGDRegressor),
    parameters={"random_state": 1, "learning_rate": "constant", "eta0": 1e-5},
    passthrough_fields=(),
    reference="flats:FLATS",
)
