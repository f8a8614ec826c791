"""Beijing PM2.5: hourly readings at the US embassy and weather at the airport, 2010–2014 (UCI data set 381).

Song Xi Chen, https://doi.org/10.24432/C5JS49, CC BY 4.0. The file is fetched once, checked by its SHA-256,
and kept in the cache folder. `STREAMLEARN_PM25_CSV` names a copy to use instead.

| field | unit |
|---|---|
| pollution | PM2.5, µg/m³; null where there was no reading |
| dew, temp | dew point and temperature, °C |
| press | pressure, hPa |
| wnd_dir | NW, NE, SE or cv (calm and variable) |
| wnd_spd | m/s, cumulated over the hours that the direction held |
| snow, rain | hours of it so far, cumulated |
"""

import csv
import hashlib
import http.client
import io
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from streamlearn.datasets.base import WireRecord
from streamlearn.errors import DataUnavailable
from streamlearn.settings import Settings

SHA256 = "4127f868775e31b3956522adc0ec75af8937dde6a3896e8beed3a376c6d27f1c"
HOURS = 43_800
"""Hours in one pass: five years, but for the first day, which has no reading of PM2.5."""

_FIRST_DAY = 24
_TIMEOUT_S = 30.0


def records(*, seed: int = 0, passes: int | None = None) -> Iterator[WireRecord]:
    """Yield the hours as wire records, in order; each further pass continues in time where the last ended.

    `seed` changes nothing: a series has one order. `passes=None` goes on for ever.

    Raises
    ------
    DataUnavailable
        The file can neither be fetched nor found, or is not the one that is expected.
    """
    rows = list(csv.DictReader(io.StringIO(load(Settings.load()).decode("ascii"))))[_FIRST_DAY:]
    for number in count() if passes is None else range(passes):
        shift = timedelta(hours=number * HOURS)
        for row in rows:
            yield _make_record(row, shift)


def prepare() -> None:
    """Fetch the file if it is not there yet.

    Raises
    ------
    DataUnavailable
        The file can neither be fetched nor found, or is not the one that is expected.
    """
    load(Settings.load())


def load(settings: Settings) -> bytes:
    """Return the file's bytes; fetch it if it is not there yet. Raises as `prepare` does."""
    if settings.pm25_csv:
        return _read(Path(settings.pm25_csv))
    cached = settings.cache / "pm25.csv"
    if not cached.exists():
        _fetch(settings.pm25_url, cached)
    return _read(cached)


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataUnavailable(f"the PM2.5 data cannot be read: {error}") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        raise DataUnavailable(f"{path} is not UCI's PM2.5 file: its SHA-256 is {digest}, not {SHA256}")
    return data


def _fetch(url: str, target: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310 (a setting of the operator's)
            data = response.read()
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise DataUnavailable(
            f"the PM2.5 data cannot be fetched from {url} ({error}); set STREAMLEARN_PM25_CSV to a copy of"
            " the file PRSA_data_2010.1.1-2014.12.31.csv"
        ) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(data)
    try:
        _read(part)
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)


def _make_record(row: dict[str, str], shift: timedelta) -> WireRecord:
    time = datetime(int(row["year"]), int(row["month"]), int(row["day"]), int(row["hour"]))
    return {
        "ts": str(time + shift),
        "pollution": None if row["pm2.5"] == "NA" else float(row["pm2.5"]),
        "dew": float(row["DEWP"]),
        "temp": float(row["TEMP"]),
        "press": float(row["PRES"]),
        "wnd_dir": row["cbwd"],
        "wnd_spd": float(row["Iws"]),
        "snow": float(row["Is"]),
        "rain": float(row["Ir"]),
    }
