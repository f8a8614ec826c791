"""The digits' learning as anyone would write it with scikit-learn: nothing of streamlearn is imported here.

The predictions tell where to cut: a chunk is a run of predictions with the same model version.
"""

from itertools import groupby
from typing import Any

import numpy as np
from sklearn.linear_model import SGDClassifier


def replay(predictions: list[dict[str, Any]]) -> list[int | None]:
    """Predict every record again, learning chunk by chunk; return the `predict_y` to expect."""
    model = SGDClassifier(alpha=0.01, loss="log_loss", penalty="l1", shuffle=False)
    expected: list[int | None] = []
    fitted = False
    for _, run in groupby(predictions, key=lambda prediction: prediction["model_version"]):
        chunk = list(run)
        x = np.array([prediction["x"] for prediction in chunk], dtype=float)
        expected += [int(y) for y in model.predict(x)] if fitted else [None] * len(chunk)
        labelled = [row for row, prediction in enumerate(chunk) if prediction.get("actual_y") is not None]
        if labelled:
            y = np.array([chunk[row]["actual_y"] for row in labelled])
            model.partial_fit(x[labelled], y, classes=np.arange(10))
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
