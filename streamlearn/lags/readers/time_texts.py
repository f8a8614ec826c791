"""Texts as times, in the forms that people and programs write.

The order of day and month is never assumed: a text such as 01/02/2026 has one time for each order, and the
whole column has to decide. Only with dots, as in 01.02.2026, the day comes first wherever people write so.
"""

import re
from calendar import month_name
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone

Parts = Mapping[str, str | None]
"""The named parts of a text; None for one that it has not."""
Reading = tuple[datetime | None, datetime | None, datetime | None]
"""A text's time if the day, the month or (with two digits) the year comes first; None where there is none."""
_NO_TIME: Reading = (None, None, None)
_ORDERS = ("day", "month", "year")

_MONTHS = {name.lower(): number for number, name in enumerate(month_name) if name}
_MONTHS |= {name[:3]: number for name, number in _MONTHS.items()} | {"sept": 9}
_ZONES = {
    **dict.fromkeys(("z", "utc", "gmt", "wet"), 0),
    **{"cet": 1, "cest": 2, "eet": 2, "eest": 3, "west": 1, "bst": 1},
    **{"est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7},
}
"""Hours ahead of UTC: the names in RFC 2822, and Europe's."""

_TIME = (
    r"(?P<hour>\d{1,2})(?:[:.h](?P<minute>\d{2})(?:[:.](?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?)?"
    r"(?:\s*(?P<half>[ap])\.?m\.?|\s*uhr)?"
)
_ZONE = (
    r"(?:\s*(?P<zone>(?:utc|gmt)?[+−-]\d{2}(?::?\d{2})?|[a-z]{1,4})"
    r"(?:\[[\w/+-]+\]|\s*\([\w ]+\)|\s+[a-z]{3,4})?)?"
)
_AFTER = rf"(?:(?:\s*[t,:_]\s*|\s+(?:at\s+)?|\s+-\s+){_TIME}{_ZONE})?"
_COMPACT = r"(?P<hour>\d{2})(?:(?P<minute>\d{2})(?P<second>\d{2})?)?"
_NTH = r"(?:st|nd|rd|th)?"
_WEEKDAY = re.compile(r"(?:mon|tue|tues|wed|wednes|thu|thur|thurs|fri|sat|satur|sun)(?:day)?\.?,?\s+")
_FORMS = [
    re.compile(form)
    for form in (
        rf"(?P<year>\d{{4}})(?P<mark>[-/.])(?P<month>\d{{1,2}})(?P=mark)(?P<day>\d{{1,2}}){_AFTER}",
        rf"(?P<first>\d{{1,2}})(?P<mark>[-/.])(?P<middle>\d{{1,2}})(?P=mark)(?P<last>\d{{4}}|\d{{2}}){_AFTER}",
        rf"(?P<first>\d\d?)(?P<mark>[-/. ])(?P<name>[a-z]{{3,9}})(?P=mark)(?P<last>\d\d){_AFTER}",
        rf"(?P<day>\d\d?){_NTH}[-/. ]{{1,2}}(?P<name>[a-z]{{3,9}})[-/., ]{{1,2}}(?P<year>\d{{4}}){_AFTER}",
        rf"(?P<day>\d{{1,2}})(?P<name>[a-z]{{3,9}})(?P<year>\d{{4}}){_AFTER}",
        rf"(?P<name>[a-z]{{3,9}})[-. ]{{1,2}}(?P<day>\d{{1,2}}){_NTH}[-, ]{{1,2}}(?P<year>\d{{4}}){_AFTER}",
        rf"(?P<year>\d{{4}})[-/. ](?P<name>[a-z]{{3,9}})[-/. ](?P<day>\d{{1,2}}){_AFTER}",
        rf"(?P<name>[a-z]{{3,9}})\s+(?P<day>\d{{1,2}})\s+{_TIME}{_ZONE}\s+(?P<year>\d{{4}})",
        rf"(?P<year>\d{{4}})(?P<month>\d{{2}})(?P<day>\d{{2}})[t _-]{_COMPACT}{_ZONE}",
        rf"(?P<year>\d{{4}})(?P<month>\d{{2}})(?P<day>\d{{2}})[t _-]{_TIME}{_ZONE}",
        r"(?P<name>[a-z]{3,9})[-/., ]{1,2}(?P<year>\d{4})",
        r"(?P<year>\d{4})[-/. ]?(?P<name>[a-z]{3,9})",
        r"(?P<year>\d{4})(?:[-/]|[- ]?m)(?P<month>\d{1,2})",
        r"(?P<month>\d{1,2})[-/.](?P<year>\d{4})",
        r"(?P<year>\d{4})[-/ ]?q(?P<quarter>[1-4])",
        r"q(?P<quarter>[1-4])[-/ ]?(?P<year>\d{4})",
        r"(?P<year>\d{4})-?w(?P<week>\d{2})(?:-?(?P<weekday>[1-7]))?",
    )
]
_OF_DAY = re.compile(_TIME)
_MOST_YEARS = 60
"""Dates with two digits for the year that span more may be of two centuries."""


def read_text(text: str) -> Reading:
    """Return a text's times, by the order of day, month and year.

    >>> read_text("25.01.2026 13:00")[0]
    datetime.datetime(2026, 1, 25, 13, 0)
    >>> [time and str(time.date()) for time in read_text("01/02/2026")]
    ['2026-02-01', '2026-01-02', None]
    """
    text = _WEEKDAY.sub("", text.strip().lower(), count=1)
    for form in _FORMS:
        if match := form.fullmatch(text):
            with suppress(ValueError):
                return _read_match(match.groupdict())
    return _NO_TIME


def is_in_range(time: datetime) -> bool:
    """Tell whether a time exists in every zone: Python's times end at the years 1 and 9999."""
    return datetime(1, 1, 2) < time.replace(tzinfo=None) < datetime(9999, 12, 31)


def read_time_of_day(text: str) -> timedelta | None:
    """Return the time since midnight that a text such as `13:00` or `1 PM` says; None where it says none."""
    match = _OF_DAY.fullmatch(text.strip().lower())
    with suppress(ValueError):
        return _read_clock(match.groupdict()) if match else None
    return None


def fit_orders(readings: Sequence[Reading]) -> dict[str, list[datetime | None]]:
    """Return a column's times in the order that fits most texts; in several, by name, where they differ."""
    columns = {name: [reading[order] for reading in readings] for order, name in enumerate(_ORDERS)}
    most = max(sum(time is not None for time in column) for column in columns.values())
    fitting: dict[str, list[datetime | None]] = {}
    for name, column in columns.items():
        if sum(time is not None for time in column) == most and column not in fitting.values():
            fitting[name] = column
    return fitting


def spans_centuries(text: str, times: Sequence[datetime]) -> bool:
    """Tell whether dates like `text` have two digits for the year and span too many years for that."""
    match = _FORMS[1].fullmatch(text.strip().lower())
    years = [time.year for time in times]
    return match is not None and len(match["last"]) == 2 and max(years) - min(years) > _MOST_YEARS


def suggest_format(text: str, order: str) -> str:
    """Return the format of `strptime` for a text in which the day, the month or the year comes first.

    >>> suggest_format("01/02/2026 11:00 PM", "day"), suggest_format("26-jan-25", "year")
    ('%d/%m/%Y %I:%M %p', '%y-%b-%d')
    """
    parts = re.fullmatch(r"\s*\d+(\W)(\w+)\W(\d+)(.*?)\s*", text)
    if not parts:
        return "%d/%m/%Y"
    mark, rest = parts[1], parts[4]
    year, month = "%Y" if len(parts[3]) == 4 else "%y", "%m" if parts[2].isdigit() else "%b"
    date = {"day": ("%d", month, year), "month": (month, "%d", year), "year": (year, month, "%d")}[order]
    hour = "%I" if re.search(r"[ap]m$", rest, re.IGNORECASE) else "%H"
    clock = iter([hour, "%M", "%S", "%f"])
    rest = re.sub(r"\d+", lambda number: next(clock, number[0]), rest)
    return mark.join(date) + re.sub(r"[ap]m$", "%p", rest, flags=re.IGNORECASE)


def _read_match(parts: Parts) -> Reading:
    """Return the times that a form's parts say. Raises `ValueError` where there are no such times."""
    clock, zone = _read_clock(parts), _read_zone(parts.get("zone"))

    def build(year: int, month: int, day: int) -> datetime | None:
        try:
            time = datetime(year, month, day) + clock
        except (ValueError, OverflowError):
            return None
        return time.replace(tzinfo=zone) if is_in_range(time) else None

    if parts.get("first"):
        first, last = int(parts["first"] or 0), int(parts["last"] or 0)
        middle = _read_month(parts) if parts.get("name") else int(parts["middle"] or 0)
        if len(parts["last"] or "") == 4:
            day_first, month_first = build(last, middle, first), build(last, first, middle)
            # Nobody writes the month first with dots.
            return day_first, None if parts["mark"] == "." and day_first else month_first, None
        day_first = build(_add_century(last), middle, first)
        month_first = day_first if parts.get("name") else build(_add_century(last), first, middle)
        two_digits = len(parts["first"] or "") == 2
        return day_first, month_first, build(_add_century(first), middle, last) if two_digits else None
    year = int(parts["year"] or 0)
    if week := parts.get("week"):
        time: datetime | None = datetime.fromisocalendar(year, int(week), int(parts["weekday"] or 1))
    else:
        time = build(year, _read_month(parts), int(parts.get("day") or 1))
    return time, time, time


def _add_century(year: int) -> int:
    """Return a year from its last two digits, as `strptime` does.

    >>> _add_century(68), _add_century(69)
    (2068, 1969)
    """
    return year + (1900 if year >= 69 else 2000)


def _read_month(parts: Parts) -> int:
    """Return a month's number; 0 where it is none."""
    if quarter := parts.get("quarter"):
        return int(quarter) * 3 - 2
    if name := parts.get("name"):
        return read_month_name(name)
    return int(parts["month"] or 0)


def read_month_name(name: str) -> int:
    """Return the number of a month that is written in English, in full or by three letters; 0 for others."""
    return _MONTHS.get(name.strip().lower(), 0)


def _read_clock(parts: Parts) -> timedelta:
    """Return the time since midnight, up to 24:00. Raises `ValueError` where there is no such time."""
    hour, minute, second = (int(parts.get(name) or 0) for name in ("hour", "minute", "second"))
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + (12 if half == "p" else 0)
    microseconds = int(f"{parts.get('fraction') or '0':0<6}"[:6])
    clock = timedelta(hours=hour, minutes=minute, seconds=second, microseconds=microseconds)
    if minute > 59 or second > 59 or clock > timedelta(days=1):
        raise ValueError(clock)
    return clock


def _read_zone(text: str | None) -> timezone | None:
    """Return a time zone, or None if the text names none. Raises `ValueError` where it is not known."""
    if text is None:
        return None
    text = text.removeprefix("utc").removeprefix("gmt") or "utc"
    if text[0].isalpha():
        if text not in _ZONES:
            raise ValueError(text)
        return timezone(timedelta(hours=_ZONES[text]))
    digits = text[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    return timezone(offset if text[0] == "+" else -offset)
