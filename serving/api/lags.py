"""Which drivers lead the value that is forecast, by the correlations that the served version carries."""

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
from streamlearn.lags.running import Floats
from streamlearn.operations import lag_choice
from streamlearn.pipelines.display import Label

blueprint = Blueprint("lags", __name__, url_prefix="/v2/models")


class CorrelationsAtLags(msgspec.Struct):
    """r at each lag, null where too little is known, and where it is largest, whatever its sign."""

    r: list[float | None]
    best_lag: int | None
    best_r: float | None
    n: int
    """Pairs in the same step that are both known."""
    band: float
    """95 of 100 correlations of independent noises lie within ± this."""


class DriverLags(msgspec.Struct):
    """How one driver goes along with the value: as both are, and with the past of each taken out."""

    driver: str
    title: str
    unit: str
    raw: CorrelationsAtLags
    prewhitened: CorrelationsAtLags
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
    drivers: list[DriverLags]


@blueprint.get("/<name>/lags")
@describe_route(LagsAnswer, errors=(404, 503), tag="forecasts")
def lags(name: str) -> Response:
    """Tell which drivers lead the value that is forecast, and by how many steps."""
    pipeline = find_cache(name).pipeline
    if not pipeline.learning.drivers:
        raise NotSupported(f"{name} watches nothing that may drive its value")
    served, learner = resolve_forecaster(name)
    assert learner.correlations is not None
    prewhitened = learner.correlations.prewhitened()
    try:
        chosen = format_lags(lag_choice.choose_by_prewhitened(pipeline, prewhitened))
    except BadLags:
        chosen = None
    rows = zip(pipeline.learning.drivers, learner.correlations.raw(), prewhitened, strict=True)
    longest = learner.correlations.longest
    return json_response(
        LagsAnswer(
            model_name=name,
            model_version=served.head.version,
            lineage=served.head.lineage,
            steps=learner.correlations.steps,
            lags=list(range(-longest, longest + 1)),
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


def _describe_correlations(found: Correlations) -> CorrelationsAtLags:
    known = not np.isnan(found.ccf).all()
    return CorrelationsAtLags(
        r=_plain(found.ccf),
        best_lag=found.best_lag if known else None,
        best_r=round(found.r, 4) if known else None,
        n=found.n,
        band=found.band if found.n else 0.0,
    )


def _plain(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 4) for value in values]
