"""What containers run: Flink's configuration, the probes, and the one submitter of all jobs."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from flink_jobs import keep
from streamlearn.errors import FlinkUnavailable, JobError
from streamlearn.local import container, probe
from streamlearn.pipelines import digits, pm25
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings


@contextmanager
def answering(answers: dict[str, object]) -> Iterator[int]:
    """An HTTP server that has these answers; yield its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path in answers
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answers.get(self.path)).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def jobs(**states: str) -> dict[str, object]:
    return {"/jobs/overview": {"jobs": [{"name": name, "state": state} for name, state in states.items()]}}


def test_the_submitter_is_well_once_a_job_runs_for_every_pipeline() -> None:
    answers = jobs(digits="RUNNING", pm25="RESTARTING")
    with answering(answers) as port:
        settings = Settings(flink=f"http://127.0.0.1:{port}")
        assert not probe.submitter(settings)
        answers |= jobs(digits="RUNNING", pm25="RUNNING")
        assert probe.submitter(settings)
        own = Settings(flink=settings.flink, pipelines="mine:pipeline")
        assert not probe.submitter(own)


def test_a_taskmanager_is_well_once_it_reports_and_flink_has_slots() -> None:
    answers: dict[str, object] = {"/overview": {"slots-total": 0, "taskmanagers": 0}, "/metrics": ""}
    with answering(answers) as port:
        settings = Settings(flink=f"http://127.0.0.1:{port}", taskmanager_metrics_port=port)
        assert probe.jobmanager(settings)
        assert not probe.taskmanager(settings)
        answers["/overview"] = {"slots-total": 4}
        assert probe.taskmanager(settings)


@pytest.mark.parametrize("part", probe.PROBES)
def test_a_part_that_does_not_answer_is_not_well(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLINK", "HTTP_PORT", "TASKMANAGER_METRICS_PORT"):
        monkeypatch.setenv(f"STREAMLEARN_{name}", "http://127.0.0.1:1" if name == "FLINK" else "1")
    monkeypatch.setattr("sys.argv", ["probe", part])
    with pytest.raises(SystemExit) as ended:
        probe.main()
    assert ended.value.code not in (0, None)


def test_options_of_the_environment_go_before_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLEARN_HOME", str(tmp_path))
    monkeypatch.setenv("FLINK_PROPERTIES", "taskmanager.memory.process.size: 3g\nstate.x: a:b\n")
    container.prepare_flink(Settings.load())
    lines = (tmp_path / "flink" / "conf" / "config.yaml").read_text().splitlines()
    assert "taskmanager.memory.process.size: 3g" in lines
    assert "state.x: a:b" in lines
    assert "jobmanager.memory.process.size: 1024m" in lines


def looking(looked: list[str], after: int) -> Callable[..., tuple[str, float]]:
    """Look at jobs of which the digits' cannot be submitted, and end after so many looks."""

    def look(_: Settings, pipeline: Pipeline, say: Callable[[str], None]) -> tuple[str, float]:
        looked.append(pipeline.name)
        if len(looked) == after:
            raise KeyboardInterrupt
        if pipeline.name == "digits":
            raise JobError("Flink refused the job")
        if looked.count("pm25") == 1:
            raise FlinkUnavailable("Flink does not answer")
        return "pm25: learn is running", 0.001

    return look


def test_a_job_that_is_refused_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    said: list[str] = []
    monkeypatch.setattr(keep, "_look", looking(looked, after=6))
    monkeypatch.setattr(keep, "_LOOK_S", 0.001)
    with pytest.raises(KeyboardInterrupt):
        keep.keep_running(Settings(), [digits.pipeline, pm25.pipeline], said.append)
    assert looked == ["digits", *["pm25"] * 5]
    assert said == ["Flink refused the job", "Flink does not answer", "pm25: learn is running"]
