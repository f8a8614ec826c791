"""Keep the jobs of pipelines running: the one program that submits without being asked.

A session cluster forgets its jobs when the JobManager dies; then the job is submitted again, from its newest
checkpoint. A job that a person has cancelled or stopped is left alone until the person submits it again.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence

from flink_jobs.rules import job as rules
from flink_jobs.sql.jobs import SqlJob, list_kept, submit_sql
from flink_jobs.submit import submit
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.errors import BrokerUnavailable, FlinkUnavailable, StreamlearnError, UnknownPipeline
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import job_name
from streamlearn.pipelines.announced import Following, load_announced
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.warehouse.rules.log import read_book

_POLL_S = 2.0
_RETRY_S = 0.3
"""After how many seconds a part that does not answer is asked again: learning waits for nothing else then."""
_BACKOFF_S = 10.0
_SQL_BACKOFF_S = 60.0
"""A client of SQL costs ten seconds of a core, and text that is refused once is refused again."""


def keep_running(
    settings: Settings,
    pipelines: Sequence[Pipeline],
    echo: Callable[[str], None],
    *,
    announced: bool = False,
) -> None:
    """Watch the pipelines' jobs for ever, and submit each whenever Flink does not have it.

    A job whose topic has new partitions is submitted anew. A job's status is echoed when it changes: a
    refusal that repeats at every attempt is echoed once.

    Parameters
    ----------
    announced
        Keep also the jobs of pipelines that `streamlearn train` tells of, until they are taken back.
    """
    for pipeline in pipelines:
        _Keeper(settings, pipeline, echo).start()
    following = Following(settings, {pipeline.name for pipeline in pipelines})
    keepers: dict[str, _Keeper] = {}
    while True:
        new, gone = following.look() if announced else ({}, set())
        for name in {*new, *gone} & keepers.keys():
            keepers.pop(name).stop()
        for name, announcement in new.items():
            try:
                keepers[name] = _Keeper(settings, load_announced(announcement), echo)
            except UnknownPipeline as error:
                echo(str(error))
            else:
                keepers[name].start()
        time.sleep(_POLL_S)


class _JobKeeper:
    """Keeps one job running, on a thread of its own: none waits for another's submission.

    Parameters
    ----------
    name
        The job's.
    resume
        The command with which a person resumes a job that was ended by hand.
    """

    look_every_s = math.inf
    """After how many seconds it is looked again whether the job that runs is outdated."""

    def __init__(self, settings: Settings, name: str, resume: str, echo: Callable[[str], None]) -> None:
        self._stopped = threading.Event()
        self._settings = settings
        self._echo = echo
        self._name = name
        self._resume = resume
        self._status = ""
        self._backoff_s = _BACKOFF_S
        self._is_replacing = False
        """Whether the job was ended here, for another one of its name."""
        self._look_due_s = time.monotonic() + self.look_every_s

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def _watch(self) -> None:
        pause_s = 0.0
        while not self._stopped.wait(pause_s):
            pause_s = self.check()

    def check(self) -> float:
        """Submit the job if it is missing; echo its status if that is new; return when to check again."""
        try:
            status, pause_s = self._submit_if_missing()
        except (FlinkUnavailable, BrokerUnavailable) as error:
            status, pause_s = str(error), _RETRY_S
        except StreamlearnError as error:
            status = f"{self._name} was not submitted: {error} (tried again every {self._backoff_s:.0f} s)"
            pause_s = self._backoff_s
        if status != self._status:
            self._echo(status)
        self._status = status
        return pause_s

    def _submit_if_missing(self) -> tuple[str, float]:
        """Return the job's status, and after how many seconds to check again."""
        settings, name = self._settings, self._name
        for older in flink_api.live_jobs(settings, name)[1:]:
            self._echo(f"{name} runs twice: cancelling the older job, {older.id}")
            flink_api.cancel(settings, older)
        job = flink_api.newest_job(settings, name)
        if job and job.live and not self._is_outdated():
            trouble = None if job.state == "RUNNING" else flink_api.find_trouble(settings, job)
            return f"{name} is {job.state.lower()}" + (f": {trouble.reason}" if trouble else ""), _POLL_S
        if job and job.ended_by_hand and not self._is_replacing:
            return f"{name} was {job.state.lower()} by hand; `{self._resume}` resumes it", _POLL_S
        self._submit()
        self._is_replacing = False
        return f"{name} was submitted", _BACKOFF_S

    def _is_outdated(self) -> bool:
        """Return whether a job that runs must be submitted anew."""
        if not self._is_replacing and time.monotonic() >= self._look_due_s:
            self._look_due_s = time.monotonic() + self.look_every_s
            self._is_replacing = self._has_more_to_read()
        return self._is_replacing

    def _has_more_to_read(self) -> bool:
        """Ask whether there is anything that the job has to read and does not know."""
        return False

    def _submit(self) -> None:
        raise NotImplementedError


class _Keeper(_JobKeeper):
    """Keeps the learning job of one pipeline running; it is submitted anew where its topic has grown."""

    look_every_s = 30.0

    def __init__(self, settings: Settings, pipeline: Pipeline, echo: Callable[[str], None]) -> None:
        super().__init__(settings, job_name(pipeline.name), f"streamlearn train {pipeline.name}", echo)
        self._pipeline = pipeline

    def _submit(self) -> None:
        submit(self._settings, self._pipeline, echo=self._echo)

    def _has_more_to_read(self) -> bool:
        with Broker(self._settings) as broker:
            return LineageRegister(broker, self._pipeline).count_new_partitions() > 0


class _SqlKeeper(_JobKeeper):
    """Keeps the job of a SQL file running."""

    def __init__(self, settings: Settings, job: SqlJob, echo: Callable[[str], None]) -> None:
        super().__init__(settings, job.job_name, f"streamlearn sql run {job.name}", echo)
        self._backoff_s = _SQL_BACKOFF_S
        self._job = job

    def _submit(self) -> None:
        submit_sql(self._settings, self._job, echo=self._echo)


class _RulesKeeper(_JobKeeper):
    """Keeps the job running that routes by rules; it is submitted anew where one is about a new topic."""

    look_every_s = 10.0

    def __init__(self, settings: Settings, echo: Callable[[str], None]) -> None:
        super().__init__(settings, rules.JOB, "streamlearn rules run", echo)

    def _submit(self) -> None:
        rules.submit_rules(self._settings, echo=self._echo)

    def _has_more_to_read(self) -> bool:
        job = flink_api.newest_job(self._settings, self._name)
        with Broker(self._settings) as broker:
            return bool(job and rules.find_unread(self._settings, job, read_book(broker)))


def keep_rules_running(settings: Settings, echo: Callable[[str], None]) -> None:
    """Watch the job that routes by rules for ever, while `streamlearn rules` says that it is wanted."""
    keeper: _RulesKeeper | None = None
    while True:
        if rules.is_kept(settings) and keeper is None:
            keeper = _RulesKeeper(settings, echo)
            keeper.start()
        elif keeper is not None and not rules.is_kept(settings):
            keeper.stop()
            keeper = None
        time.sleep(_POLL_S)


def keep_sql_running(settings: Settings, echo: Callable[[str], None]) -> None:
    """Watch the jobs that `streamlearn sql run` tells of for ever, each until it is taken back."""
    known: dict[str, SqlJob] = {}
    keepers: dict[str, _SqlKeeper] = {}
    while True:
        jobs = list_kept(settings)
        for name in [name for name, job in known.items() if jobs.get(name) != job]:
            keepers.pop(name).stop()
        for name, job in jobs.items():
            if known.get(name) != job:
                keepers[name] = _SqlKeeper(settings, job, echo)
                keepers[name].start()
        known = jobs
        time.sleep(_POLL_S)
