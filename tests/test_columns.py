"""Features declared by columns: their values, their names, and their place in a lineage's definition."""

import subprocess
import sys
import zlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pytest

from streamlearn.errors import BadRecord, ConfigurationError
from streamlearn.estimators import Standardized
from streamlearn.learning import Columns, Tabular
from streamlearn.pipelines import Pipeline, definition


class Ride(msgspec.Struct):
    """A ride, all of which may be missing."""

    km: float | None = None
    night: bool | None = None
    city: str | int | None = None
    driver: str | None = None
    comment: str | None = None
    at: datetime | str | float | None = None
    paid: float | None = None


COLUMNS = Columns(
    numbers=("km", "night"),
    categories={"city": ("Ulm", "Köln")},
    hashed={"driver": 8},
    texts={"comment": 16},
    times={"at": "iso"},
)


def feature(ride: Ride, name: str, columns: Columns = COLUMNS) -> float:
    """Return the one feature of that name."""
    return float(columns([ride])[0, columns.names.index(name)])


def test_each_feature_has_a_name_of_its_own() -> None:
    assert COLUMNS([Ride(), Ride()]).shape == (2, len(COLUMNS.names))
    assert len(set(COLUMNS.names)) == len(COLUMNS.names) == 4 + 2 + 8 + 16 + 9


def test_no_records_have_no_rows() -> None:
    assert COLUMNS([]).shape == (0, len(COLUMNS.names))


def test_numbers_and_booleans_are_themselves_and_say_where_they_are_missing() -> None:
    ride = Ride(km=2.5, night=True)
    assert [feature(ride, name) for name in ("km", "km missing", "night")] == [2.5, 0, 1]
    assert np.isnan(feature(Ride(), "km"))
    assert feature(Ride(), "km missing") == 1


@pytest.mark.parametrize(
    ("city", "expected"), [("Ulm", [1, 0]), ("Köln", [0, 1]), ("Bonn", [0, 0]), (None, [0, 0])]
)
def test_a_category_has_a_feature_for_each_known_value(city: str | None, expected: list[int]) -> None:
    assert [feature(Ride(city=city), name) for name in ("city=Ulm", "city=Köln")] == expected


def test_hashes_are_the_same_in_any_process() -> None:
    ride = "SimpleNamespace(driver='Zoë', comment='Late, late again!')"
    code = (
        "from types import SimpleNamespace; from streamlearn.learning import Columns;"
        f"print(Columns(hashed={{'driver': 64}}, texts={{'comment': 64}})([{ride}]).nonzero()[1].tolist())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    words = [64 + zlib.crc32(word) % 64 for word in (b"late", b"again")]
    assert runs == {f"{[zlib.crc32('Zoë'.encode()) % 64, *sorted(words)]}\n"}


def test_words_are_counted_whatever_their_case_and_punctuation() -> None:
    first, second = COLUMNS([Ride(comment="Late, late again!"), Ride(comment="AGAIN late late")])[:, 14:30]
    np.testing.assert_array_equal(first, second)
    assert sorted(first[first > 0]) in ([1, 2], [3])


@pytest.mark.parametrize(
    ("at", "form"),
    [
        (datetime(2026, 1, 25, 18), "iso"),
        ("2026-01-25T18:00:00+02:00", "iso"),
        (1769364000, "s"),
        (1769364000000, "ms"),
    ],
)
def test_a_time_is_where_it_is_in_day_week_and_year(at: Any, form: str) -> None:
    columns = replace(COLUMNS, times={"at": form})
    waves = {name: feature(Ride(at=at), name, columns) for name in columns.names if "(at" in name}
    day, week, year = 2 * np.pi * 0.75, 2 * np.pi * 6.75 / 7, 2 * np.pi * 24.75 / 365.25
    for name, angle in {"day": day, "half day": 2 * day, "week": week, "year": year}.items():
        assert waves[f"sin(at, {name})"] == pytest.approx(np.sin(angle), abs=1e-12)
        assert waves[f"cos(at, {name})"] == pytest.approx(np.cos(angle), abs=1e-12)


def test_a_missing_time_is_told_and_an_unreadable_one_is_the_records_fault() -> None:
    assert feature(Ride(), "at missing") == 1
    assert np.isnan(feature(Ride(), "sin(at, week)"))
    for at in ("yesterday", 5.5):
        with pytest.raises(BadRecord, match="not a time as iso"):
            COLUMNS([Ride(at=at)])
    with pytest.raises(BadRecord, match="at is 1e\\+300, not a time as s"):
        replace(COLUMNS, times={"at": "s"})([Ride(at=1e300)])


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"numbers": ("km", "km")}, "declares km more than once"),
        ({"numbers": ("km",), "hashed": {"km": 4}}, "declares km more than once"),
        ({"hashed": {"driver": 0}}, "gives driver 0 buckets"),
        ({"times": {"at": "dd.mm."}}, "has the time at as 'dd.mm.'"),
    ],
)
def test_what_cannot_be_declared_is_refused(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Columns(**declared)


@dataclass(frozen=True)
class Change:
    what: str
    columns: Columns


CHANGES = [
    Change("another number", replace(COLUMNS, numbers=("km",))),
    Change("another order of categories", replace(COLUMNS, categories={"city": ("Köln", "Ulm")})),
    Change("more buckets", replace(COLUMNS, hashed={"driver": 9})),
    Change("a text less", replace(COLUMNS, texts={})),
    Change("another form of times", replace(COLUMNS, times={"at": "s"})),
]


def make_pipeline(columns: Columns, revision: str | None = None) -> Pipeline:
    return Pipeline(
        name="rides",
        topic="rides",
        prediction_topic="rides_predict",
        record=Ride,
        learning=Tabular(features=columns, label="paid", estimator=Standardized),
        parameters={"estimator": "SGDRegressor"},
        revision=revision,
    )


@pytest.mark.parametrize("revision", [None, "1"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.what)
def test_another_declaration_needs_another_lineage(change: Change, revision: str | None) -> None:
    before = make_pipeline(COLUMNS, revision).definition
    assert make_pipeline(replace(COLUMNS), revision).changes_since(before) == {}
    changes = make_pipeline(change.columns, revision).changes_since(before)
    assert list(changes) == ["features"]
    assert not definition.is_edit("features", *changes["features"])


def test_the_declaration_stands_in_the_definition_as_it_is() -> None:
    assert make_pipeline(COLUMNS).definition["features"] == {
        "columns": 1,
        "numbers": ["km", "night"],
        "categories": [["city", ["Ulm", "Köln"]]],
        "hashed": [["driver", 8]],
        "texts": [["comment", 16]],
        "times": [["at", "iso"]],
    }


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(numbers=("kms",)), "Ride has no field 'kms', which is to be read; is it 'km'?"),
        (Columns(texts={"zzz": 8}), "no field 'zzz', which is to be read; its fields: km, night, city"),
    ],
)
def test_a_field_that_the_record_lacks_is_named(columns: Columns, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Pipeline("rides", "rides", "rides_paid", Ride, Tabular(columns, "paid", Standardized), {})
    assert message in str(refused.value)
