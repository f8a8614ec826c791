"""Lags for a forecast, chosen from how its drivers have gone along with the value so far.

Of each driver the lag k counts at which it leads the value most clearly, pre-whitened, if that is more than
chance. To forecast h steps ahead from now, what leads by k must be looked up k − h steps ago; of what leads
by no more than h the newest is best. So the lags of a driver are max(0, k − h) for every horizon h, and 0.
The value's own past is taken whole: it says most.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from streamlearn.correlations import Correlations
from streamlearn.errors import BadLags
from streamlearn.forecast import Forecast, ForecastLearner
from streamlearn.lag_sets import LagSet, parsed
from streamlearn.learner import Learner
from streamlearn.pipeline import Pipeline


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


def chosen_lags(
    whitened: Mapping[str, Correlations], series: Sequence[str], horizons: Sequence[int], length: int
) -> dict[str, list[int]]:
    """Choose the lags of each series of a window of `length` steps, by their names.

    Raises
    ------
    BadLags
        Nothing is known of any driver yet.

    >>> leads_by_4 = Correlations(np.eye(13)[10] * 0.5, 1000)
    >>> chosen_lags({"wind": leads_by_4}, ["dust", "wind"], horizons=[1, 3, 6], length=6)
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


def choosing(pipeline: Pipeline) -> tuple[Forecast, LagSet]:
    """Return how a pipeline forecasts, and the lags that it begins with.

    Raises
    ------
    BadLags
        It does not choose its lags.
    """
    how = pipeline.learning
    if not isinstance(how, Forecast) or how.lags is None:
        raise BadLags(f"{pipeline.name} does not choose its lags")
    return how, how.lags


def by_correlations(pipeline: Pipeline, learner: Learner) -> dict[str, list[int]]:
    """Choose lags by how the drivers have gone along with the value so far.

    Raises
    ------
    BadLags
        The pipeline does not choose its lags, watches no driver, or too little has come yet.
    """
    if not isinstance(learner, ForecastLearner) or learner.correlations is None:
        raise BadLags(f"{pipeline.name} watches nothing that may drive its value")
    return by_whitened(pipeline, learner.correlations.prewhitened())


def by_whitened(pipeline: Pipeline, whitened: Sequence[Correlations]) -> dict[str, list[int]]:
    """Choose lags by the pre-whitened correlations of each driver; see `by_correlations`."""
    how, lags = choosing(pipeline)
    named = zip((one.name for one in how.drivers), whitened, strict=True)
    return chosen_lags(dict(named), lags.series, how.horizons, how.length)


def asked(pipeline: Pipeline, text: str, learner: Callable[[], Learner]) -> dict[str, list[int]]:
    """Return the lags that a text asks for: `chosen` by the correlations so far, the `default`, or a set.

    Raises
    ------
    BadLags
        The text cannot be understood; see also `by_correlations`.
    """
    _, lags = choosing(pipeline)
    if text == "chosen":
        return by_correlations(pipeline, learner())
    return lags.chosen if text == "default" else parsed(text, lags.series)
