"""Lags for a forecast, chosen from how its drivers have gone along with the value so far.

Of each driver the lag k counts at which it leads the value most clearly, pre-whitened, if that is more than
chance. To forecast h steps ahead from now, what leads by k must be looked up k − h steps ago; of what leads
by no more than h the newest is best. So the lags of a driver are max(0, k − h) for every horizon h, and 0.
The value's own past is taken whole: it says most.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from streamlearn.errors import BadLags
from streamlearn.lags.correlations import Correlations


def leading_lag(found: Correlations) -> int | None:
    """The lag above 0 with the largest correlation; None where that is not more than chance.

    >>> leading_lag(Correlations(np.array([0.9, 0.0, 0.1, 0.5, 0.2]), 1000))
    1
    >>> leading_lag(Correlations(np.array([0.9, 0.0, 0.1, 0.01, 0.02]), 1000)) is None
    True
    """
    half = len(found.ccf) // 2
    ahead = np.abs(found.ccf[half + 1 :])
    if not found.n or np.isnan(ahead).all() or not np.nanmax(ahead) > found.threshold:
        return None
    return int(np.nanargmax(ahead)) + 1


def choose_lags(
    whitened: Mapping[str, Correlations], series: Sequence[str], horizons: Sequence[int], length: int
) -> dict[str, list[int]]:
    """Choose the lags of each series of a window of `length` steps, by their names.

    Raises
    ------
    BadLags
        Nothing is known of any driver yet.

    >>> leads_by_4 = Correlations(np.eye(13)[10] * 0.5, 1000)
    >>> choose_lags({"wind": leads_by_4}, ["dust", "wind"], horizons=[1, 3, 6], length=6)
    {'dust': [0, 1, 2, 3, 4, 5], 'wind': [0, 1, 3]}
    """
    if all(np.isnan(one.ccf).all() for one in whitened.values()):
        raise BadLags("too little has come yet to choose lags by")
    found = {series[0]: list(range(length))}
    for name in series[1:]:
        lead = leading_lag(whitened[name]) if name in whitened else None
        if lead is not None:
            lags = {0, *(max(0, lead - horizon) for horizon in horizons)}
            found[name] = sorted(lag for lag in lags if lag < length)
    return found
