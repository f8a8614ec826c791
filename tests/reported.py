"""Pipelines with small data sets, their answers, and a parser that checks a page."""

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
from streamlearn.learning.ranges import Ranges, repeat_ranges
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.display import Display
from streamlearn.pipelines.registry import load
from streamlearn.reports.forecasts import Forecasts
from streamlearn.reports.sources import AnsweredRecords, answer_offline

START = datetime(2012, 3, 1)


def build_hours(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Return hours of dust as a random walk, some of it missing, without one hour; wind from NW or SE."""
    random = np.random.default_rng(seed)
    values = np.maximum(0, 200 + np.cumsum(random.normal(0, 8, count))).round()
    records = [
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
    del records[count // 2]
    return records


def build_pipeline(
    records: list[dict[str, Any]],
    name: str = "pm25",
    horizons: tuple[int, ...] = (),
    drivers: tuple[Driver, ...] | None = None,
    **changes: Any,
) -> Pipeline:
    """Return a pipeline with these records as its data set, and perhaps other horizons and drivers."""

    def data(*, seed: int = 0, passes: int | None = None) -> Iterator[dict[str, Any]]:
        for _ in range(passes or 1):
            yield from records

    pipeline = load(name)
    learning = pipeline.learning
    if isinstance(learning, Forecast):
        changes["learning"] = replace(
            learning,
            horizons=horizons or learning.horizons,
            drivers=learning.drivers if drivers is None else drivers,
        )
    return replace(pipeline, dataset=DataSet(data, len(records)), **changes)


def answer_data_set(pipeline: Pipeline, passes: int = 1, last: int | None = None) -> AnsweredRecords:
    return answer_offline(pipeline, passes=passes, last=last, show_progress=lambda at, end: None)


RANGES = Ranges()


def build_forecasts(values: Any, forecasts: Any, horizons: tuple[int, ...] = (1, 3)) -> Forecasts:
    """Return these values and forecasts as hours from 1970-01-01 on, without drivers."""
    steps = np.arange(len(values))
    run = curves.Series(steps, np.asarray(values, float), np.asarray(forecasts, float))
    residuals, persistence_residuals = curves.compute_residuals(run, horizons)
    return Forecasts(
        horizons=horizons,
        display=Display(step_s=3600, step_unit="h"),
        lowest=-np.inf,
        steps=steps,
        times=(steps * 3600).astype("datetime64[s]"),
        values=run.values,
        forecasts=run.forecasts,
        residuals=residuals,
        persistence_residuals=persistence_residuals,
        ranges=RANGES,
        ends=repeat_ranges(RANGES, run.forecasts, run.values, horizons, -np.inf),
        drivers=(),
        answer_count=len(steps),
    )


class Page(HTMLParser):
    """Parses a page, and lists its faults."""

    VOID = frozenset({"meta", "br", "img", "link", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open_tags: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> stays open" for tag in self.open_tags]

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.tags.append((tag, attributes))
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in self.VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open_tags or self.open_tags.pop() != tag:
            self.faults.append(f"</{tag}> closes something else")

    def find_attributes(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def encode_records(records: list[dict[str, Any]]) -> list[bytes | None]:
    return [json.dumps(record).encode() for record in records]
