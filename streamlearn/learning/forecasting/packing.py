"""The series of all keys as a few arrays, as they stand in a snapshot.

Writing a part of a snapshot takes much longer than its bytes do, and every call of a job writes one: so what
many series have alike is one array. K series, n steps that were seen in all of them, h horizons::

    keys       MessagePack: (key, newest step, newest forecast) of each series, the one seen longest ago first
    windows    (K, 2 length − 1, n_fields)
    steps      (K, length): whether something was seen at a step
    x          (n, n_features)     series after series, the oldest step first; so also:
    bases      (n,)
    forecasts  (n, h): NaN where there is none
    sights     a list of n parts, for one estimator of all horizons
    issued     (n, h, …): see `ranges.pack_issued`; with `is_issued`, (n,)
    ranges     as `RangeTracker.state`, with K in front of each shape
    correlations  a list of K states, where there are drivers
    let_go     how many series were let go
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from streamlearn.learning.forecasting.series import OneSeries, SeenStep, SeriesByKey
from streamlearn.learning.learner import Floats
from streamlearn.learning.ranges import ENDS, pack_issued, unpack_issued

if TYPE_CHECKING:
    from streamlearn.learning.forecasting.spec import Forecast


def pack_series(spec: "Forecast", series: SeriesByKey) -> dict[str, Any]:
    """Return all series as arrays; they are copies."""
    kept = list(series)
    heads = [(key, own.step, own.latest) for key, own in series.items()]
    seen = [step for own in kept for step in own.seen if step is not None]
    packed: dict[str, Any] = {
        "keys": np.frombuffer(msgspec.msgpack.encode(heads), dtype=np.uint8),
        "windows": np.array([own.window for own in kept]),
        "steps": np.array([[step is not None for step in own.seen] for own in kept]),
        "x": np.array([step.x for step in seen]),
        "bases": np.array([step.base for step in seen], dtype=np.float64),
        "forecasts": np.array([step.forecast for step in seen], dtype=np.float64),
        "let_go": series.let_go,
    }
    if spec.joint:
        packed["sights"] = [step.sight for step in seen]
    if spec.drivers:
        packed["correlations"] = [own.correlations.state() for own in kept if own.correlations]
    if spec.ranges is not None:
        quantiles = len(spec.ranges.quantiles)
        nothing: Floats = np.full((len(spec.horizons), ENDS + 2 * quantiles), np.nan)
        issued = [nothing if s.issued is None else pack_issued(s.issued, quantiles) for s in seen]
        packed["issued"] = np.array(issued)
        packed["is_issued"] = np.array([step.issued is not None for step in seen], dtype=np.bool_)
        states = [own.ranges.state() for own in kept if own.ranges]
        packed["ranges"] = [np.array(part) for part in zip(*states, strict=True)]
    return packed


def unpack_series(spec: "Forecast", packed: dict[str, Any]) -> dict[Any, OneSeries]:
    """Return the series that `pack_series` has packed, by their keys, in their order."""
    series: dict[Any, OneSeries] = {}
    steps = _unpack_steps(packed)
    for number, (key, newest_step, latest) in enumerate(msgspec.msgpack.decode(packed["keys"].tobytes())):
        own = series[key] = OneSeries(spec)
        own.step, own.latest = newest_step, latest
        own.window = packed["windows"][number].copy()
        own.seen = [next(steps) if is_seen else None for is_seen in packed["steps"][number].tolist()]
        if own.ranges is not None:
            own.ranges.restore([part[number] for part in packed["ranges"]])
        if own.correlations is not None:
            own.correlations.restore(packed["correlations"][number])
    return series


def _unpack_steps(packed: dict[str, Any]) -> Iterator[SeenStep]:
    """Yield what was seen, series after series."""
    rows = zip(packed["x"], packed["bases"].tolist(), packed["forecasts"].tolist(), strict=True)
    sights: Sequence[Any] = packed.get("sights", ())
    for number, (x, base, forecast) in enumerate(rows):
        issued = None
        if "issued" in packed and packed["is_issued"][number]:
            issued = unpack_issued(packed["issued"][number])
        values = [None if value != value else value for value in forecast]
        yield SeenStep(x.copy(), base, values, sights[number] if sights else None, issued)
