"""Pipelines with a small data set, and what a report says of them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import numpy as np

from streamlearn.datasets.base import DataSet
from streamlearn.learning import curves
from streamlearn.learning.drivers import Driver
from streamlearn.learning.forecasting import Forecast
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.display import Display
from streamlearn.pipelines.registry import load
from streamlearn.reports.forecasts import Forecasts
from streamlearn.reports.sources import Answered, offline

START = datetime(2012, 3, 1)


def hours(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Hours of dust that wanders, some readings missing, one hour left out, and wind from two directions."""
    random = np.random.default_rng(seed)
    values = np.maximum(0, 200 + np.cumsum(random.normal(0, 8, count))).round()
    made = [
        {
            "ts": str(START + timedelta(hours=n)),
            "pollution": None if random.random() < 0.05 else float(values[n]),
            "dew": float(random.normal(0, 5).__round__(1)),
            "temp": float(10 + 8 * np.sin(n / 24 * 2 * np.pi) + random.normal()),
            "press": float(1016 + random.normal(0, 3)),
            "wnd_dir": "NW" if random.random() < 0.3 else "SE",
            "wnd_spd": float(random.integers(90)),
            "snow": 0,
            "rain": 0,
        }
        for n in range(count)
    ]
    del made[count // 2]
    return made


def small(
    records: list[dict[str, Any]],
    name: str = "pm25",
    horizons: tuple[int, ...] = (),
    drivers: tuple[Driver, ...] | None = None,
    **change: Any,
) -> Pipeline:
    """A pipeline whose data set these records are, and perhaps with other horizons and drivers."""

    def data(*, seed: int = 0, passes: int | None = None) -> Iterator[dict[str, Any]]:
        for _ in range(passes or 1):
            yield from records

    known = load(name)
    if isinstance(how := known.learning, Forecast):
        own = how.drivers if drivers is None else drivers
        change["learning"] = replace(how, horizons=horizons or how.horizons, drivers=own)
    return replace(known, dataset=DataSet(data, len(records)), **change)


def answered(pipeline: Pipeline, passes: int = 1, last: int | None = None) -> Answered:
    return offline(pipeline, passes=passes, last=last, show=lambda at, end: None)


def made_up(values: Any, forecasts: Any, horizons: tuple[int, ...] = (1, 3)) -> Forecasts:
    """A series of hours from 1970-01-01 on whose values and forecasts are given, without drivers."""
    steps = np.arange(len(values))
    run = curves.Series(steps, np.asarray(values, float), np.asarray(forecasts, float))
    missed, persistence = curves.errors(run, horizons)
    return Forecasts(
        horizons=horizons,
        display=Display(step_s=3600, step_unit="h"),
        lowest=-np.inf,
        steps=steps,
        times=(steps * 3600).astype("datetime64[s]"),
        values=run.values,
        forecasts=run.forecasts,
        missed=missed,
        persistence=persistence,
        drivers=(),
        answered=len(steps),
    )


class Page(HTMLParser):
    """Reads a page, and keeps what is wrong with it."""

    VOID = frozenset({"meta", "br", "img", "link", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.wrong: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        self.close()
        self.wrong += [f"<{tag}> stays open" for tag in self.opened]

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        named = {name: value or "" for name, value in attributes}
        self.tags.append((tag, named))
        self.ids += [named["id"]] if "id" in named else []
        if tag not in self.VOID:
            self.opened.append(tag)

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.opened or self.opened.pop() != tag:
            self.wrong.append(f"</{tag}> closes something else")

    def having(self, tag: str) -> list[dict[str, str]]:
        return [named for name, named in self.tags if name == tag]


def wire(records: list[dict[str, Any]]) -> list[bytes | None]:
    return [json.dumps(record).encode() for record in records]
