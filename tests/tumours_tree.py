"""A pipeline of one's own that learns a tree of River: is this tumour benign, by ten measurements?"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import numpy as np
from sklearn.datasets import load_breast_cancer

from streamlearn.datasets import DataSet
from streamlearn.estimators import River
from streamlearn.learning import Columns, Tabular
from streamlearn.pipelines import Pipeline

MEASUREMENTS = tuple(f"m{number}" for number in range(10))
"""The data set's first ten, all above 0."""
TREE = {"grace_period": 20, "delta": 0.1, "tau": 0.2}
"""With these the tree splits several times within a pass."""

Biopsy = msgspec.defstruct(
    "Biopsy",
    [
        *((name, float | None, None) for name in MEASUREMENTS),
        ("number", int, 0),
        ("tumour", Literal["benign", "malignant"] | None, None),
    ],
    module=__name__,
)
"""A tenth of the measurements is missing, and so is every thirteenth diagnosis."""


def list_biopsies(*, seed: int = 0, passes: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the data set, in another order at each pass."""
    x, y = load_breast_cancer(return_X_y=True)
    random, done = np.random.default_rng(seed), 0
    while passes is None or done < passes:
        for number, row in enumerate(random.permutation(len(y)).tolist()):
            measured = {
                name: value
                for name, value in zip(MEASUREMENTS, x[row].tolist(), strict=False)
                if random.random() > 0.1
            }
            label = {} if number % 13 == 0 else {"tumour": ("malignant", "benign")[y[row]]}
            yield {**measured, "number": number, **label}
        done += 1


pipeline = Pipeline(
    name="tumours_tree",
    topic="tumours_tree",
    prediction_topic="tumours_tree_predict",
    record=Biopsy,
    learning=Tabular(
        features=Columns(numbers=MEASUREMENTS),
        label="tumour",
        estimator=River,
        classes=("malignant", "benign"),
    ),
    parameters={"model": "tree.HoeffdingTreeClassifier", "parameters": TREE},
    passthrough_fields=("number",),
    dataset=DataSet(list_biopsies, 569),
)
