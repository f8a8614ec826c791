"""Lags for a forecast, chosen by how each driver has been correlated with the value so far.

For each driver, k is the lag at which it leads the value most clearly, pre-whitened, if that is more than
chance. To forecast h steps ahead, a driver that leads by k is looked up k − h steps ago; one that leads by
less than h is best looked up now. So the lags of a driver are max(0, k − h) for every horizon h, and 0.
All lags of the value itself are taken: they tell most.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from streamlearn.errors import BadLags
from streamlearn.lags.correlations import Correlations


def leading_lag(correlations: Correlations) -> int | None:
    """Return the lag above 0 with the largest correlation; None where that is not more than chance.

    >>> leading_lag(Correlations(np.array([0.9, 0.0, 0.1, 0.5, 0.2]), 1000))
    1
    >>> leading_lag(Correlations(np.array([0.9, 0.0, 0.1, 0.01, 0.02]), 1000)) is None
    True
    """
    half = len(correlations.ccf) // 2
    ahead = np.abs(correlations.ccf[half + 1 :])
    if not correlations.n or np.isnan(ahead).all() or not np.nanmax(ahead) > correlations.threshold:
        return None
    return int(np.nanargmax(ahead)) + 1


def choose_lags(
    prewhitened: Mapping[str, Correlations], series: Sequence[str], horizons: Sequence[int], length: int
) -> dict[str, list[int]]:
    """Choose the lags of each series in a window of `length` steps; a driver that does not lead has none.

    `prewhitened` holds each driver's correlations with the value. The first of `series` is the value itself.

    Raises
    ------
    BadLags
        No driver has a correlation yet.

    >>> leads_by_4 = Correlations(np.eye(13)[10] * 0.5, 1000)
    >>> choose_lags({"wind": leads_by_4}, ["dust", "wind"], horizons=[1, 3, 6], length=6)
    {'dust': [0, 1, 2, 3, 4, 5], 'wind': [0, 1, 3]}
    """
    if all(np.isnan(correlations.ccf).all() for correlations in prewhitened.values()):
        raise BadLags("too little has come yet to choose lags by")
    chosen = {series[0]: list(range(length))}
    for name in series[1:]:
        lead = leading_lag(prewhitened[name]) if name in prewhitened else None
        if lead is not None:
            lags = {0, *(max(0, lead - horizon) for horizon in horizons)}
            chosen[name] = sorted(lag for lag in lags if lag < length)
    return chosen
