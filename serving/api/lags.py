"""The route that tells which drivers lead the forecast value, by the correlations in the served version."""

import msgspec
import numpy as np
from flask import Blueprint, Response

from serving.api.forecast import resolve_forecaster
from serving.models import find_cache, json_response
from serving.openapi import describe_route
from streamlearn.errors import BadLags, NotSupported
from streamlearn.lags.choice import leading_lag
from streamlearn.lags.correlations import Correlations
from streamlearn.lags.lag_sets import format_lags
from streamlearn.lags.series import Floats
from streamlearn.operations import lag_choice
from streamlearn.pipelines.display import Label

blueprint = Blueprint("lags", __name__, url_prefix="/v2/models")


class CorrelationsAtLags(msgspec.Struct):
    """r at each lag, null where there is too little data, and the lag at which it is farthest from 0."""

    r: list[float | None]
    best_lag: int | None
    best_r: float | None
    n: int
    """Steps in which both values are known."""
    band: float
    """95 % of the correlations of independent noise lie within ± this."""


class DriverLags(msgspec.Struct):
    """How one driver correlates with the value: as they are, and pre-whitened (each without its own past)."""

    driver: str
    title: str
    unit: str
    raw: CorrelationsAtLags
    prewhitened: CorrelationsAtLags
    leads_by: int | None
    """The lag of the largest pre-whitened correlation, in steps; null where that may be chance."""


class LagsAnswer(msgspec.Struct):
    """The correlations of every driver. Lags are in steps, and positive where the driver leads."""

    model_name: str
    model_version: int | str
    lineage: str
    steps: int
    """How many steps have been learned."""
    lags: list[int]
    in_use: str | None
    """The lags of each series that forecasts use; null where a pipeline does not choose its lags."""
    chosen: str | None
    """The lags that these correlations suggest; null where they suggest none."""
    drivers: list[DriverLags]


@blueprint.get("/<name>/lags")
@describe_route(LagsAnswer, errors=(404, 503), tag="forecasts")
def lags(name: str) -> Response:
    """Return which drivers lead the forecast value, and by how many steps."""
    pipeline = find_cache(name).pipeline
    if not pipeline.learning.drivers:
        raise NotSupported(f"{name} has no drivers to correlate with its value")
    served, learner = resolve_forecaster(name)
    assert learner.correlations is not None
    prewhitened = learner.correlations.prewhitened()
    try:
        chosen = format_lags(lag_choice.choose_by_prewhitened(pipeline, prewhitened))
    except BadLags:
        chosen = None
    rows = zip(pipeline.learning.drivers, learner.correlations.raw(), prewhitened, strict=True)
    max_lag = learner.correlations.max_lag
    return json_response(
        LagsAnswer(
            model_name=name,
            model_version=served.head.label,
            lineage=served.head.lineage,
            steps=learner.correlations.steps,
            lags=list(range(-max_lag, max_lag + 1)),
            in_use=None if learner.lags is None else format_lags(learner.lags.chosen),
            chosen=chosen,
            drivers=[
                _describe_driver(driver.name, pipeline.display.driver(driver.name), raw, white)
                for driver, raw, white in rows
            ],
        )
    )


def _describe_driver(name: str, label: Label, raw: Correlations, white: Correlations) -> DriverLags:
    return DriverLags(
        driver=name,
        title=label.title,
        unit=label.unit,
        raw=_describe_correlations(raw),
        prewhitened=_describe_correlations(white),
        leads_by=leading_lag(white),
    )


def _describe_correlations(correlations: Correlations) -> CorrelationsAtLags:
    is_known = not np.isnan(correlations.ccf).all()
    return CorrelationsAtLags(
        r=_round(correlations.ccf),
        best_lag=correlations.best_lag if is_known else None,
        best_r=round(correlations.r, 4) if is_known else None,
        n=correlations.n,
        band=correlations.band if correlations.n else 0.0,
    )


def _round(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 4) for value in values]
