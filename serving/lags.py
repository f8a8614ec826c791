"""Which drivers lead the value that is forecast, by the correlations that the served version carries."""

import msgspec
import numpy as np
from flask import Blueprint, Response

from serving.forecast import forecaster
from serving.inference import cache, said
from serving.openapi import described
from streamlearn import lag_choice, lag_sets
from streamlearn.correlations import Correlations
from streamlearn.drivers import Driver
from streamlearn.errors import BadLags, UnknownPipeline
from streamlearn.running import Floats

blueprint = Blueprint("lags", __name__, url_prefix="/v2/models")


class Correlated(msgspec.Struct):
    """r at each lag, null where too little is known, and where it is largest, whatever its sign."""

    r: list[float | None]
    best_lag: int | None
    best_r: float | None
    n: int
    """Pairs in the same step that are both known."""
    band: float
    """95 of 100 correlations of independent noises lie within ± this."""


class Led(msgspec.Struct):
    """How one driver goes along with the value: as both are, and with the past of each taken out."""

    driver: str
    title: str
    unit: str
    raw: Correlated
    prewhitened: Correlated
    leads_by: int | None
    """The steps by which it leads most clearly, pre-whitened; null where that is not more than chance."""


class LagsAnswer(msgspec.Struct):
    """Lags count steps and are positive where the driver leads."""

    model_name: str
    model_version: int
    lineage: str
    steps: int
    """Steps that have come so far."""
    lags: list[int]
    in_use: str | None
    """The lags of each series that forecasts are made from; null where a pipeline does not choose them."""
    chosen: str | None
    """What would be chosen by these correlations; null where nothing can be."""
    drivers: list[Led]


@blueprint.get("/<name>/lags")
@described(LagsAnswer, errors=(404, 503), tag="forecasts")
def lags(name: str) -> Response:
    """Tell which drivers lead the value that is forecast, and by how many steps."""
    pipeline = cache(name).pipeline
    if not pipeline.drivers:
        raise UnknownPipeline(f"{name} watches nothing that may drive its value")
    served, learner = forecaster(name)
    assert learner.correlations is not None
    whitened = learner.correlations.prewhitened()
    try:
        chosen = lag_sets.written(lag_choice.by_whitened(pipeline, whitened))
    except BadLags:
        chosen = None
    found = zip(pipeline.drivers, learner.correlations.raw(), whitened, strict=True)
    longest = learner.correlations.longest
    return said(
        LagsAnswer(
            model_name=name,
            model_version=served.head.version,
            lineage=served.head.lineage,
            steps=learner.correlations.steps,
            lags=list(range(-longest, longest + 1)),
            in_use=None if learner.lags is None else lag_sets.written(learner.lags.chosen),
            chosen=chosen,
            drivers=[_led(driver, raw, white) for driver, raw, white in found],
        )
    )


def _led(driver: Driver, raw: Correlations, white: Correlations) -> Led:
    return Led(
        driver=driver.name,
        title=driver.title,
        unit=driver.unit,
        raw=_correlated(raw),
        prewhitened=_correlated(white),
        leads_by=lag_choice.leading_lag(white),
    )


def _correlated(found: Correlations) -> Correlated:
    known = not np.isnan(found.ccf).all()
    return Correlated(
        r=_plain(found.ccf),
        best_lag=found.best_lag if known else None,
        best_r=round(found.r, 4) if known else None,
        n=found.n,
        band=found.band if found.n else 0.0,
    )


def _plain(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 4) for value in values]
