"""The 1,797 handwritten digits of scikit-learn (the test part of UCI's optical recognition set).

E. Alpaydin, C. Kaynak, https://doi.org/10.24432/C50P49, CC BY 4.0. Each digit was a 32×32 bitmap, cut into
blocks of 4×4. Each pixel of the 8×8 picture counts the black points in its block, 0–16.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
from sklearn.datasets import load_digits

from streamlearn.datasets.base import WireRecord

SIZE = 1797
_EPOCH = datetime(2026, 1, 1)


def records(*, seed: int = 0, passes: int | None = None) -> Iterator[WireRecord]:
    """Yield the digits as wire records, pass after pass, each pass in a new order; `seed` decides them all.

    `ts` counts one second a record from 2026-01-01 00:00:00. It does not come from the clock, so the same
    seed gives the same bytes. `passes=None` goes on for ever.

    >>> first = next(records(seed=1))
    >>> len(first["x"]), first["ts"]
    (64, '2026-01-01 00:00:00')
    """
    pictures, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(seed)
    sent = 0
    while passes is None or sent < passes * SIZE:
        for index in random.permutation(SIZE):
            yield {
                "ts": str(_EPOCH + timedelta(seconds=sent)),
                "x": [int(pixel) for pixel in pictures[index]],
                "actual_y": int(labels[index]),
            }
            sent += 1
