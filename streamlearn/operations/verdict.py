"""How one pipeline fares, in words: the line of the overview page and of `streamlearn status`.

`judge` is the only place that decides it. A verdict is made of clauses, texts with named places, so that a
page can translate it: `Verdict.format` puts them together.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Union

from streamlearn.operations.flow import Flow, SetAside
from streamlearn.operations.job_state import JobTrouble
from streamlearn.operations.recent_score import RecentScore

Level = Literal["up", "wait", "down"]
"""All is well; somebody may want to look; nothing is learned, or nobody can tell."""

TEXTS = {
    "looking": "looking …",
    "away": "%(parts)s: no answer; nothing is learned until it is back",
    "flink_away": "Flink does not answer: whether the job runs cannot be told",
    "still_serves": "version %(version)s goes on answering requests",
    "missing": "not learning: Flink has no job of it",
    "ended_by_hand": "stopped by hand",
    "ended_by_hand_at": "stopped by hand at %(where)s",
    "not_started": "starting: the job is %(state)s",
    "stopped": "stopped: %(reason)s",
    "stopped_at": "stopped at %(where)s: %(reason)s",
    "offset": "offset %(offset)s",
    "offset_of": "offset %(offset)s of partition %(partition)s",
    "recovering": "learning again what the newest version lacks: %(progress)s",
    "no_record": "no record yet",
    "first": "%(count)s records wait for the first answer",
    "stalled": "stalled: %(count)s records wait, and none was answered for %(time)s",
    "behind": "behind by %(count)s records",
    "behind_for": "behind by %(count)s records, the oldest waiting for %(time)s",
    "catching_up": "catching up",
    "catching_up_in": "catching up, done in about %(time)s",
    "falling_behind": "falling further behind",
    "healthy": "healthy",
    "running": "running",
    "rate": "%(rate)s/s",
    "quiet": "no record for %(time)s",
    "accuracy": "%(value)s right lately",
    "rmse": "RMSE %(value)s lately",
    "rmse_ahead": "RMSE %(value)s lately (%(ahead)s ahead)",
    "nothing_waiting": "nothing waiting",
    "keeping_up": "keeping up",
    "worse": "worse lately than %(baseline)s (%(value)s)",
    "set_aside": "%(count)s of the newest %(of)s records set aside: %(reason)s",
    "pinned": "version %(version)s is pinned: what is learned since is not served",
    "pinned_unlike_scored": "version %(version)s is pinned: later ones, whose score this is, are not served",
    "restarted": "restarted a moment ago: %(reason)s",
    "not_served": "the newest version is not served: %(reason)s",
    "no_model": "no model to serve yet",
    "submit": "`streamlearn train %(pipeline)s` submits it",
    "resume": "`streamlearn train %(pipeline)s` resumes it",
    "mend": "Flink starts it again and again; mend what that line names. The whole traceback is in Flink.",
    "replay": "`streamlearn replay %(pipeline)s` sends its data set",
    "restart_parts": "`streamlearn status` tells whether its service runs, and which log says why not",
    "seconds": "%(n)s s",
    "minutes": "%(n)s min",
    "hours": "%(n)s h",
    "days": "%(n)s days",
}
"""Every clause, in English."""

BASELINES = ("the commonest label", "the last value", "persistence")
"""What a score may stand beside; texts of their own."""

_SLACK_S = 3.0
"""What comes in so many seconds waits for the next checkpoint: that is not behind."""

_SLACK = 10
"""Nor are so many records."""

_SHARE_SET_ASIDE = 0.05
_STALLED_S = 15.0

Translate = Callable[[str], str]


@dataclass(frozen=True)
class Clause:
    """One text of `TEXTS`, or another to be translated by itself, and what stands in its places."""

    name: str
    values: Mapping[str, Union[str, "Clause"]] = field(default_factory=dict)

    def format(self, translate: Translate = str) -> str:
        """Return the text with its places filled.

        >>> Clause("stopped_at", {"where": Clause("offset", {"offset": "7"}), "reason": "no"}).format()
        'stopped at offset 7: no'
        """
        values = {
            name: value.format(translate) if isinstance(value, Clause) else value
            for name, value in self.values.items()
        }
        return translate(TEXTS.get(self.name, self.name)) % values


@dataclass(frozen=True)
class Verdict:
    """How a pipeline fares."""

    level: Level
    clauses: tuple[Clause, ...]
    advice: Clause | None = None
    """What to do about it, where somebody can tell."""

    def format(self, translate: Translate = str) -> str:
        """Return the clauses as one line."""
        return translate(", ").join(clause.format(translate) for clause in self.clauses)


@dataclass(frozen=True)
class Serving:
    """The version that answers requests."""

    version: str
    pinned: bool = False


@dataclass(frozen=True)
class Facts:
    """What a verdict is made from. What is not known is None."""

    pipeline: str
    looked: bool = True
    """Whether Kafka and Flink have been asked."""
    away: tuple[str, ...] = ()
    """The parts that do not answer: `Kafka`, `Redis`, `Flink`."""
    job: JobTrouble | None = None
    """Why the job does not learn; None if it runs."""
    progress: str | None = None
    """How far a worker is that learns records again."""
    records: int = 0
    """The sum of the partitions' ends."""
    unanswered: int | None = None
    first_unanswered: tuple[int, int] | None = None
    """Partition and offset."""
    several_partitions: bool = False
    rate: float | None = None
    """Answers a second."""
    quiet_s: float | None = None
    """Seconds since the newest answer."""
    behind_s: float | None = None
    """For how many seconds the oldest record without an answer has waited."""
    catching_up: float | None = None
    """By how many a second the unanswered become fewer."""
    score: RecentScore | None = None
    unit: str = ""
    """That of the score, if it is an error."""
    step_unit: str = ""
    """What a step of a forecast is called."""
    serving: Serving | None = None
    serving_trouble: str = ""
    """Why the newest version cannot be served."""
    set_aside: SetAside | None = None
    """How many of how many newest records became dead letters, and why the last did."""
    has_dataset: bool = False

    @classmethod
    def of_flow(cls, flow: Flow, now_s: float, score: RecentScore | None, **more: object) -> "Facts":
        """Make facts of what was read from a pipeline's topics; `more` are the other fields."""
        pipeline = flow.pipeline
        return cls(
            pipeline=pipeline.name,
            records=sum(flow.ends),
            unanswered=flow.unanswered,
            first_unanswered=flow.first_unanswered,
            several_partitions=len(flow.ends) > 1,
            rate=flow.rate(now_s),
            quiet_s=flow.quiet_s(now_s),
            behind_s=flow.behind_s(now_s),
            catching_up=flow.catching_up,
            score=score,
            unit=pipeline.display.unit,
            step_unit=pipeline.display.step_unit,
            set_aside=flow.newest_set_aside,
            has_dataset=pipeline.dataset is not None,
            **more,  # type: ignore[arg-type]
        )


def judge(facts: Facts) -> Verdict:
    """Return how a pipeline fares.

    >>> judge(Facts("digits", records=9, unanswered=0, rate=10.0, serving=Serving("9"))).format()
    'healthy, 10/s, nothing waiting'
    """
    for rule in (_judge_parts, _judge_job, _judge_waiting):
        verdict = rule(facts)
        if verdict is not None:
            return verdict
    remarks = _find_remarks(facts)
    flow = (*_describe_flow(facts), _describe_waiting(facts))
    if remarks:
        return Verdict("wait", (Clause("running"), *remarks, *flow))
    return Verdict("up", (Clause("healthy"), *flow))


def _judge_parts(facts: Facts) -> Verdict | None:
    """Say which part is away, on which all else depends."""
    if set(facts.away) - {"Flink"}:
        clauses = [Clause("away", {"parts": ", ".join(facts.away)})]
    elif facts.away:
        clauses = [Clause("flink_away")]
    else:
        return None if facts.looked else Verdict("wait", (Clause("looking"),))
    if facts.serving:
        clauses.append(Clause("still_serves", {"version": facts.serving.version}))
    return Verdict("down", tuple(clauses), Clause("restart_parts"))


def _judge_job(facts: Facts) -> Verdict | None:
    """Say why the job does not learn."""
    job, for_pipeline = facts.job, {"pipeline": facts.pipeline}
    if job is not None and job.lasts:
        where = _describe_place(facts)
        if job.kind == "missing":
            return Verdict("down", (Clause("missing"),), Clause("submit", for_pipeline))
        if job.kind == "ended_by_hand":
            clause = Clause("ended_by_hand_at", {"where": where}) if where else Clause("ended_by_hand")
            return Verdict("down", (clause,), Clause("resume", for_pipeline))
        if job.kind == "not_started":
            return Verdict("wait", (Clause("not_started", {"state": job.state}),))
        values = {"reason": shorten_reason(job.reason, place_is_told=where is not None)}
        clause = Clause("stopped_at", {"where": where, **values}) if where else Clause("stopped", values)
        return Verdict(
            "down", (clause,), Clause("mend" if job.kind == "restarts" else "resume", for_pipeline)
        )
    if facts.progress:
        return Verdict("wait", (Clause("recovering", {"progress": facts.progress}),))
    return None


def _describe_place(facts: Facts) -> Clause | None:
    if facts.first_unanswered is None:
        return None
    partition, offset = facts.first_unanswered
    name = "offset_of" if facts.several_partitions else "offset"
    return Clause(name, {"offset": f"{offset:,}", "partition": str(partition)})


def shorten_reason(reason: str, *, place_is_told: bool = False) -> str:
    """Return the last line of a traceback; of an error of streamlearn's own, without its class and its place.

    >>> shorten_reason("streamlearn.errors.PipelineFails: at offset 7 to 9, no", place_is_told=True)
    'no'
    >>> shorten_reason("ValueError: no")
    'ValueError: no'
    """
    kind, separator, rest = reason.partition(": ")
    if not separator or not kind.startswith("streamlearn."):
        return reason
    return re.sub(r"^at offset \d+ to \d+, ", "", rest) if place_is_told else rest


def _judge_waiting(facts: Facts) -> Verdict | None:
    """Say that nothing has come yet, or that more waits than the next checkpoint answers."""
    if not facts.records:
        advice = Clause("replay", {"pipeline": facts.pipeline}) if facts.has_dataset else None
        return Verdict("wait", (Clause("no_record"),), advice)
    restarted = _describe_restart(facts)
    if facts.unanswered is None:
        return Verdict("wait", (*restarted, Clause("first", {"count": f"{facts.records:,}"})))
    if not is_behind(facts):
        return None
    waiting = {"count": f"{facts.unanswered:,}"}
    if facts.rate == 0 and (facts.quiet_s or 0) > _STALLED_S:
        time = describe_duration(facts.quiet_s or 0)
        return Verdict("down", (*restarted, Clause("stalled", {**waiting, "time": time})))
    behind = Clause("behind", waiting)
    if facts.behind_s is not None:
        behind = Clause("behind_for", {**waiting, "time": describe_duration(facts.behind_s)})
    return Verdict("wait", (*restarted, behind, *_describe_trend(facts), *_describe_flow(facts)))


def _describe_restart(facts: Facts) -> tuple[Clause, ...]:
    """Return why the job was restarted a moment ago, if it was."""
    if facts.job is None or facts.job.lasts:
        return ()
    return (Clause("restarted", {"reason": shorten_reason(facts.job.reason)}),)


def is_behind(facts: Facts) -> bool:
    """Return whether more records wait than the next checkpoint answers."""
    return (facts.unanswered or 0) > max(_SLACK, _SLACK_S * (facts.rate or 0))


def _describe_trend(facts: Facts) -> tuple[Clause, ...]:
    if facts.catching_up is None:
        return ()
    if facts.catching_up <= 0:
        return (Clause("falling_behind"),)
    left_s = (facts.unanswered or 0) / facts.catching_up
    if left_s > 5:
        return (Clause("catching_up_in", {"time": describe_duration(left_s)}),)
    return (Clause("catching_up"),)


def _describe_flow(facts: Facts) -> tuple[Clause, ...]:
    """Return how many come a second, and how good the answers were lately."""
    clauses = []
    if facts.rate:
        clauses.append(Clause("rate", {"rate": format_rate(facts.rate)}))
    elif facts.quiet_s is not None:
        clauses.append(Clause("quiet", {"time": describe_duration(facts.quiet_s)}))
    if facts.score is not None:
        clauses.append(describe_score(facts.score, facts.unit, facts.step_unit))
    return tuple(clauses)


def _describe_waiting(facts: Facts) -> Clause:
    return Clause("keeping_up" if facts.unanswered else "nothing_waiting")


def _find_remarks(facts: Facts) -> list[Clause]:
    """Return what somebody may want to look at, although the job runs and keeps up."""
    remarks, score = [*_describe_restart(facts)], facts.score
    if facts.serving_trouble:
        remarks.append(Clause("not_served", {"reason": facts.serving_trouble}))
    elif facts.serving is None:
        remarks.append(Clause("no_model"))
    elif facts.serving.pinned:
        name = "pinned" if score is None else "pinned_unlike_scored"
        remarks.append(Clause(name, {"version": facts.serving.version}))
    if score is not None and score.is_worse_than_baseline:
        value = format_score(score.figure, score.baseline_value, facts.unit)
        remarks.append(Clause("worse", {"baseline": Clause(score.baseline), "value": value}))
    if facts.set_aside is not None:
        letters, records, reason = facts.set_aside
        if letters > _SHARE_SET_ASIDE * records:
            values = {"count": f"{letters:,}", "of": f"{records:,}", "reason": reason}
            remarks.append(Clause("set_aside", values))
    return remarks


def describe_score(score: RecentScore, unit: str, step_unit: str) -> Clause:
    """Return a recent score as a clause, with its horizon and its unit."""
    values = {"value": format_score(score.figure, score.value, unit)}
    if score.horizon is None:
        return Clause(score.figure, values)
    return Clause("rmse_ahead", {**values, "ahead": f"{score.horizon} {step_unit}".strip()})


def format_score(figure: str, value: float, unit: str) -> str:
    """Return a figure for people.

    >>> format_score("accuracy", 0.9534, ""), format_score("rmse", 24.28, "µg/m³")
    ('95.3 %', '24.3 µg/m³')
    """
    return f"{100 * value:.1f} %" if figure == "accuracy" else f"{value:,.3g} {unit}".strip()


def format_rate(rate: float) -> str:
    """Return answers a second for people.

    >>> format_rate(0.04), format_rate(9.96), format_rate(1234.5)
    ('0.04', '10', '1,234')
    """
    return (
        f"{rate:.1g}" if rate < 0.95 else f"{rate:,.1f}".removesuffix(".0") if rate < 9.95 else f"{rate:,.0f}"
    )


def describe_duration(seconds: float) -> Clause:
    """Return how long something takes or took.

    >>> describe_duration(170).format(), describe_duration(4).format()
    ('3 min', '4 s')
    """
    for name, unit in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * unit:
            return Clause(name, {"n": f"{seconds / unit:,.0f}"})
    return Clause("seconds", {"n": f"{seconds:.0f}"})
