"""Summaries in Redis, written as the copier writes them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from streamlearn.settings import Settings
from streamlearn.storage.summary_store import SummaryRow, SummaryStore

DAYS = [
    {
        "window_start": f"2010-01-{day:02} 00:00:00",
        "window_end": f"2010-01-{day + 1:02} 00:00:00",
        "hours": 24,
        "readings": 20 + day,
        "mean_ugm3": 10.5 * day,
        "max_ugm3": 30.0 * day,
        "hours_above_75": day,
    }
    for day in (1, 2, 3)
]
DAY_KEY = ("window_start", "window_end")
CONFUSION = [
    {"actual_y": y, "predict_y": p, "digits": 90 if y == p else 2}
    for y in range(10)
    for p in {y, (y * 3) % 10}
]
CONFUSION_KEY = ("actual_y", "predict_y")
REFUSED = [
    {
        "window_start": "2010-01-01 04:00:00",
        "window_end": "2010-01-01 05:00:00",
        "kind": kind,
        "records": count,
        "example": f"it is {kind}",
    }
    for kind, count in (("invalid", 2), ("unreadable", 1))
]
REFUSED_KEY = ("window_start", "window_end", "kind")


def make_rows(rows: Iterable[dict[str, Any]], key: Sequence[str], start: int) -> dict[bytes, SummaryRow]:
    """Return rows as records of a topic, at the offsets from `start` on."""
    records = [
        SummaryRow(encode({name: row[name] for name in key}), encode(row), start + number, 1_700_000_000_500)
        for number, row in enumerate(rows)
    ]
    return {record.key: record for record in records}


def put_rows(
    settings: Settings, pipeline: str, name: str, rows: Sequence[dict[str, Any]], key: Sequence[str]
) -> None:
    """Write the rows of a summary."""
    store = SummaryStore(settings)
    records = make_rows(rows, key, 0)
    store.write(pipeline, name, records, topic="id", partition=0, start=0, end=len(rows))
    store.close()


def put_missing_rows(settings: Settings) -> None:
    """Write rows of the summaries that the pages' tests look at, unless a SQL job has written some."""
    for pipeline, name, rows, key in (
        ("pm25", "day", DAYS, DAY_KEY),
        ("digits", "confusion", CONFUSION, CONFUSION_KEY),
        ("digits", "refused", REFUSED, REFUSED_KEY),
    ):
        store = SummaryStore(settings)
        count = store.count_rows(pipeline, [name])[name]
        store.close()
        if not count:
            put_rows(settings, pipeline, name, rows, key)


def encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
