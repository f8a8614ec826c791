"""The digits' learning as anyone would write it with numpy: nothing of streamlearn is imported here.

The predictions tell where to cut: a chunk is a run of predictions with the same model version.
"""

from itertools import groupby
from typing import Any

import numpy as np
from plain_softmax import PlainSoftmax

MODEL = {"units": 256, "width": 28.0, "step": 1.5, "decay": 5e-5, "temperature_step": 0.03, "seed": 0}


def replay(predictions: list[dict[str, Any]]) -> list[int | None]:
    """Predict every record again, learning chunk by chunk; return the `predict_y` to expect."""
    model = PlainSoftmax(inputs=64, classes=10, **MODEL)  # type: ignore[arg-type]
    expected: list[int | None] = []
    fitted = False
    for _, run in groupby(predictions, key=lambda prediction: prediction["model_version"]):
        chunk = list(run)
        x = np.array([prediction["x"] for prediction in chunk], dtype=float)
        expected += model.predict(x) if fitted else [None] * len(chunk)
        labelled = [row for row, prediction in enumerate(chunk) if prediction.get("actual_y") is not None]
        if labelled:
            model.learn(x[labelled], [chunk[row]["actual_y"] for row in labelled])
            fitted = True
    return expected


def accuracy(predictions: list[dict[str, Any]]) -> float:
    """Return the share of right predictions among those that had both a prediction and a label."""
    scored = [
        p["predict_y"] == p["actual_y"]
        for p in predictions
        if p["predict_y"] is not None and p.get("actual_y") is not None
    ]
    return sum(scored) / len(scored)
