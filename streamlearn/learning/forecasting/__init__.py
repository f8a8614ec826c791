"""Learning to forecast a series several steps ahead; each label is learned when its step arrives.

For a record of step t (an hour, say), with horizons h:

1. forecast value(t+h) for each h, from the window of readings up to t, by the models as they are;
2. the value of t, if there is one, is the label of what was seen at t−h: score the forecast made then, beside
   persistence, and learn it;
3. remember what was seen at t.

The models learn the change from the last known value: one that knows nothing is persistence.

What drives the value is watched beside it (`running.py`). Which lags the features are made from is part of
the state, since they can be chosen anew while it learns (`use_lags`).

Time runs forward. Steps that are left out count as missing. A step that is repeated, or is late by less than
a window, is refused. A jump by a window or more, ahead or back, begins the window anew; the models stay: so
one wild date costs a window of forecasts, and a data set that is replayed again is learned again.

With a key the stream is many series, each as above; the models, the lags and the score are those of all.

spec.py        `Forecast`, which says how to learn a series, and the functions that it is made of
forecaster.py  what learns, with an estimator for each horizon
joint.py       the same with one estimator for all horizons
series.py      what is kept of each series, and the rule by which series are let go
packing.py     the series of all keys as arrays, for snapshots
"""

from streamlearn.learning.forecasting.forecaster import Features
from streamlearn.learning.forecasting.joint import JointEstimator
from streamlearn.learning.forecasting.spec import (
    FeatureNames,
    Forecast,
    ReadingFunction,
    StepFunction,
    WindowFeatureFunction,
)

__all__ = [
    "FeatureNames",
    "Features",
    "Forecast",
    "JointEstimator",
    "ReadingFunction",
    "StepFunction",
    "WindowFeatureFunction",
]
