"""pm25_gru: the forecasts of pm25 once more, by a recurrent network that reads the last 25 hours.

It answers the records of the topic `pm25` in a topic of its own, beside pm25 or without it. The stack runs it
only where it is named: `streamlearn.pipelines.pm25_gru:pipeline`.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamlearn.estimators.gru import GatedRecurrentUnit
from streamlearn.lags.windows import Window, carry_forward
from streamlearn.learning.forecasting import Forecast
from streamlearn.pipelines import pm25

STEP_FIELDS = len(pm25.SERIES) + 4
"""Numbers that the network sees of an hour."""


def features(window: Window, step: int) -> tuple[NDArray[np.float64], float] | None:
    """Each hour of the window, the oldest first: pollution, weather, time of day and of year, of about one.

    What is missing is as it was last known. The second value is the last known pollution in µg/m³, which is
    what persistence forecasts. None where the window holds no pollution at all.
    """
    pollution = carry_forward(window[:, 0])
    if pollution is None:
        return None
    hours = np.arange(len(window))
    came = carry_forward(np.where(np.isnan(window[:, 1]), np.nan, hours))
    assert came is not None, "the newest record is in the window, and its weather is known"
    turns = 2 * np.pi * (step - hours[::-1, None]) / np.array([24, 24 * 365.25])
    seen = [pollution[:, None] / 100, window[came.astype(int), 1:], np.sin(turns), np.cos(turns)]
    return np.concatenate(seen, axis=1).ravel(), float(pollution[-1])


pipeline = replace(
    pm25.pipeline,
    name="pm25_gru",
    prediction_topic="pm25_gru_forecast",
    learning=Forecast(
        horizons=pm25.HORIZONS,
        length=pm25.LAGS,
        fields=len(pm25.SERIES),
        step=pm25.step,
        reading=pm25.reading,
        features=features,
        estimator=GatedRecurrentUnit,
        lowest=0.0,
        drivers=pm25.DRIVERS,
    ),
    parameters={
        "fields": STEP_FIELDS,
        "hidden": 16,
        "learning_rate": 0.0003,
        "clip": 1.0,
        "scale": 100.0,
        "seed": 0,
    },
    revision="1",
    earlier=(),
)
