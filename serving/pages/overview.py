"""One line for every pipeline: its verdict, what is behind it, and where to go. For all visitors together.

The verdict is `streamlearn/operations/verdict.py`'s, as in `streamlearn status`. What it is made from comes
from the watches, which poll in the background: a visitor waits for no other part.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from serving.pages.watch import Watch
from streamlearn.operations.verdict import (
    Clause,
    Facts,
    Verdict,
    describe_duration,
    describe_score,
    format_rate,
    format_score,
    judge,
)
from streamlearn.storage.versions import Restore

_MAKE_EVERY_S = 1.0


@dataclass(frozen=True)
class Served:
    """The version that answers requests."""

    label: str
    lineage: str
    pinned: bool
    age: Clause


@dataclass(frozen=True)
class Line:
    """What the overview shows of one pipeline."""

    name: str
    verdict: Verdict
    job: str
    """Flink's word for the state of its job, in small letters; empty where that is not known."""
    job_page: str
    """The path of its job in Flink's dashboard; empty where there is none."""
    waiting: str
    rate: str
    score: Clause | None
    baseline: Clause | None
    baseline_value: str
    served: Served | None
    dead_letters: str
    restarts: int
    restarted: Clause | None
    """How long ago a worker started last, if it was a restart."""
    rolled_back: int
    """How many versions were rolled back then."""
    waits_at: tuple[int, int] | None
    """Partition and offset of the record at which a job that does not learn has stopped."""
    has_series: bool
    has_drivers: bool


class Overview:
    """The lines of all pipelines, made at most once a second for all who ask. Thread-safe.

    Parameters
    ----------
    list_watches
        Returns the watch of each pipeline by name; they come and go.
    """

    def __init__(self, list_watches: Callable[[], Mapping[str, Watch]]) -> None:
        self._list_watches = list_watches
        self._lock = threading.Lock()
        self._made_at = -_MAKE_EVERY_S
        self._lines: list[Line] = []
        self._single: dict[str, tuple[float, Line]] = {}

    def get_line(self, watch: Watch) -> Line:
        """Return the line of one pipeline, for its own page; the others are not looked at for it."""
        watch.keep_polling()
        with self._lock:
            name, now = watch.pipeline.name, time.monotonic()
            made_at, line = self._single.get(name, (-_MAKE_EVERY_S, None))
            if line is None or now - made_at >= _MAKE_EVERY_S:
                line = make_line(watch)
                self._single[name] = (now, line)
            return line

    def list_lines(self) -> list[Line]:
        """Return the line of each pipeline, by name."""
        with self._lock:
            watches = self._list_watches()
            for watch in watches.values():
                watch.keep_polling()
            is_known = [line.name for line in self._lines] == list(watches)
            if not is_known or time.monotonic() - self._made_at >= _MAKE_EVERY_S:
                self._lines = [make_line(watch) for watch in watches.values()]
                self._made_at = time.monotonic()
            return self._lines


def make_line(watch: Watch) -> Line:
    """Return what the overview shows of a watch's pipeline."""
    facts, now_s = watch.gather_facts(), time.time()
    job, served = watch.job, watch.find_served()
    score = facts.score
    restores = [*watch.restores]
    restart = _find_restart(restores)
    return Line(
        name=facts.pipeline,
        verdict=judge(facts),
        job=job.state.lower() if job and "Flink" not in facts.away else "",
        job_page=_find_job_page(watch),
        waiting=_format_count(facts.unanswered),
        rate="–" if facts.rate is None else format_rate(facts.rate),
        score=describe_score(score, facts.unit, facts.step_unit) if score else None,
        baseline=Clause(score.baseline) if score else None,
        baseline_value=format_score(score.figure, score.baseline_value, facts.unit) if score else "",
        served=Served(
            f"{served.head.version:,}" if not served.head.parts else served.head.name,
            served.head.lineage,
            served.head.pinned,
            describe_duration(now_s - served.head.time_s),
        )
        if served
        else None,
        dead_letters=_format_dead_letters(watch, facts),
        restarts=len(restores) - len({restore.lineage for restore in restores}),
        restarted=describe_duration(now_s - restart.time_s) if restart else None,
        rolled_back=restart.dropped if restart else 0,
        waits_at=facts.first_unanswered if facts.job is not None and facts.job.lasts else None,
        has_series=watch.pipeline.learning.series is not None,
        has_drivers=bool(watch.pipeline.learning.drivers),
    )


def _find_job_page(watch: Watch) -> str:
    """Return the path of a job in Flink's dashboard: of its exceptions, where it has trouble."""
    job = watch.job
    if job is None:
        return ""
    page = "exceptions" if watch.job_trouble and watch.job_trouble.reason else "overview"
    return f"/#/job/{'running' if job.live else 'completed'}/{job.id}/{page}"


def _find_restart(restores: list[Restore]) -> Restore | None:
    """Return the last start of a worker, unless it was the first of its lineage."""
    if not restores:
        return None
    *earlier, last = restores
    return last if any(restore.lineage == last.lineage for restore in earlier) else None


def _format_count(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"


def _format_dead_letters(watch: Watch, facts: Facts) -> str:
    if "kafka" not in watch.polled or "Kafka" in facts.away:
        return "–"
    return f"{len(watch.flow.dead_letters):,}" + ("+" if watch.flow.more_dead_letters else "")


def summarize(lines: list[Line]) -> dict[str, Any]:
    """Return how many of the pipelines are well, how many nobody has looked at yet, and the worst level."""
    levels = [line.verdict.level for line in lines]
    worst = next((level for level in ("down", "wait") if level in levels), "up")
    unknown = sum(line.verdict.clauses[0].name == "looking" for line in lines)
    return {"count": len(lines), "well": levels.count("up"), "unknown": unknown, "worst": worst}
