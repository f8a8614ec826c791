"""The contents of a pipeline's report: the sections that its kind of learning allows."""

from collections.abc import Iterator
from itertools import chain

from streamlearn.reports.decisions import arrange_decisions
from streamlearn.reports.forecasts import Forecasts, arrange_forecasts
from streamlearn.reports.page import PageHead, Section, Table
from streamlearn.reports.sections import accuracy, forecast, lags, summaries
from streamlearn.reports.sources import AnsweredRecords
from streamlearn.reports.wording import format_count


def build_contents(answered_records: AnsweredRecords, skip: int) -> tuple[PageHead, Iterator[Section]]:
    """Return the head of the page, and its sections, each of which is built when the iterator reaches it.

    The first `skip` answers are not scored. A kind of learning that neither forecasts nor classifies has no
    sections but that of the warehouse's summaries, where there are any.

    Raises
    ------
    NothingToReport
        No answer of a classifier can be scored.
    """
    head, sections = _build_own_contents(answered_records, skip)
    return head, chain(sections, summaries.build_sections(answered_records.summaries))


def _build_own_contents(answered_records: AnsweredRecords, skip: int) -> tuple[PageHead, Iterator[Section]]:
    """Return the head, and the sections that are made of the answers."""
    learning, notes = answered_records.pipeline.learning, list(answered_records.notes)
    if learning.series is not None:
        forecasts = arrange_forecasts(answered_records, skip)
        times = [("Time of the data", " to ".join(_format_time(forecasts.times[row]) for row in (0, -1)))]
        if forecasts.answer_count < len(answered_records.answers):
            notes.append(
                "Time jumps in these answers: the report covers the newest"
                f" {format_count(forecasts.answer_count)}, in which it runs forward"
            )
        score = forecast.build_score_table(forecasts)
        return _build_head(answered_records, skip, times, notes, score), _build_forecast_sections(forecasts)
    if learning.classes is not None:
        decisions = arrange_decisions(answered_records, skip)
        score = accuracy.build_score_table(decisions)
        if decisions.unmatched:
            notes.append(
                f"{format_count(decisions.unmatched)} labels came later for records before these answers, and"
                " are not scored"
            )
        return _build_head(answered_records, skip, [], notes, score), accuracy.build_sections(decisions)
    notes.append("There are no figures for this kind of learning")
    return _build_head(answered_records, skip, [], notes, None), iter(())


def _build_forecast_sections(forecasts: Forecasts) -> Iterator[Section]:
    yield from forecast.build_sections(forecasts)
    if section := lags.build_section(forecasts):
        yield section


def _build_head(
    answered_records: AnsweredRecords,
    skip: int,
    times: list[tuple[str, str]],
    notes: list[str],
    score: Table | None,
) -> PageHead:
    pipeline, learner = answered_records.pipeline, answered_records.learner
    first, last = (format_count(int(answered_records.offsets[row])) for row in (0, -1))
    facts = [
        ("Pipeline", pipeline.name),
        ("Source", answered_records.source),
        ("Lineage", answered_records.lineage or "none: offline"),
        ("Offsets", f"{first} to {last}"),
        ("Answers", format_count(len(answered_records.answers))),
        *([("Not scored", f"the first {format_count(skip)} answers")] if skip else []),
        *([("Newest model", f"version {format_count(learner.version)}")] if learner else []),
        *times,
    ]
    return PageHead(
        f"{pipeline.display.title or pipeline.name}: how good the predictions were", facts, notes, score
    )


def _format_time(time: object) -> str:
    return str(time).replace("T", " ").removesuffix(":00")
