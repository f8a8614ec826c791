"""Which sections a pipeline's report has: those that its kind of learning allows."""

from collections.abc import Iterator

from streamlearn.reports.decisions import decided
from streamlearn.reports.forecasts import Forecasts, arranged
from streamlearn.reports.page import Grid, Head, Section
from streamlearn.reports.sections import accuracy, forecast, lags
from streamlearn.reports.sources import Answered
from streamlearn.reports.wording import count


def contents(found: Answered, skip: int) -> tuple[Head, Iterator[Section]]:
    """Return the head of the page, and the sections, which are made while they are asked for."""
    learning = found.pipeline.learning
    if learning.series is not None:
        series = arranged(found, skip)
        facts = [("Time of the data", f"{_moment(series.times[0])} to {_moment(series.times[-1])}")]
        notes = list(found.notes)
        if series.answered < len(found.answers):
            notes.append(
                f"Time jumps in these answers: the report is of the newest {count(series.answered)},"
                " in which it runs forward"
            )
        return _head(found, skip, facts, notes, forecast.score(series)), _of_series(series)
    if learning.classes is not None:
        decisions = decided(found, skip)
        score = accuracy.score(decisions)
        return _head(found, skip, [], list(found.notes), score), accuracy.sections(decisions)
    notes = [*found.notes, "This kind of learning has no figures here yet"]
    return _head(found, skip, [], notes, None), iter(())


def _of_series(series: Forecasts) -> Iterator[Section]:
    yield from forecast.sections(series)
    if drivers := lags.section(series):
        yield drivers


def _head(
    found: Answered, skip: int, facts: list[tuple[str, str]], notes: list[str], score: Grid | None
) -> Head:
    name = found.pipeline.display.title or found.pipeline.name
    version = found.learner.version if found.learner else None
    known = [
        ("Pipeline", found.pipeline.name),
        ("Source", found.source),
        ("Lineage", found.lineage or "none: offline"),
        ("Offsets", f"{count(int(found.offsets[0]))} to {count(int(found.offsets[-1]))}"),
        ("Answers", count(len(found.answers))),
        *([("Not scored", f"the first {count(skip)} answers")] if skip else []),
        *([("Newest model", f"version {count(version)}")] if version is not None else []),
        *facts,
    ]
    return Head(f"{name}: how it fared", known, notes, score)


def _moment(time: object) -> str:
    return str(time).replace("T", " ").removesuffix(":00")
