"""The containers: Flink's configuration, the probes, and the submitter of all jobs."""

from pathlib import Path

import pytest
from flink_answers import serve_answers

from streamlearn.local import configuration, health, probe
from streamlearn.settings import Settings


def list_jobs(**states: str) -> dict[str, object]:
    return {"/jobs/overview": {"jobs": [{"name": name, "state": state} for name, state in states.items()]}}


def test_the_submitter_is_well_once_a_job_runs_for_every_pipeline() -> None:
    jobs = {"digits: learn": "RUNNING", "pm25: learn": "RESTARTING", "pm25: warehouse": "RUNNING"}
    answers = list_jobs(**jobs)
    with serve_answers(answers) as port:
        settings = Settings(flink=f"http://127.0.0.1:{port}")
        assert not probe.is_submitter_healthy(settings)
        answers |= list_jobs(**{**jobs, "pm25: learn": "RUNNING"})
        assert probe.is_submitter_healthy(settings)
        own = Settings(flink=settings.flink, pipelines="mine:pipeline")
        assert not probe.is_submitter_healthy(own)


def test_the_warehouse_is_well_once_every_sql_job_runs() -> None:
    answers = list_jobs(**{"digits: warehouse": "RUNNING", "pm25: learn": "RUNNING"})
    with serve_answers(answers) as port:
        settings = Settings(flink=f"http://127.0.0.1:{port}")
        assert not probe.is_warehouse_healthy(settings)
        answers |= list_jobs(**{"digits: warehouse": "RUNNING", "pm25: warehouse": "RUNNING"})
        assert probe.is_warehouse_healthy(settings)


def test_a_taskmanager_is_well_once_it_reports_and_flink_has_slots() -> None:
    answers: dict[str, object] = {"/overview": {"slots-total": 0, "taskmanagers": 0}, "/metrics": ""}
    with serve_answers(answers) as port:
        settings = Settings(flink=f"http://127.0.0.1:{port}", taskmanager_metrics_port=port)
        assert probe.is_jobmanager_healthy(settings)
        assert not probe.is_taskmanager_healthy(settings)
        answers["/overview"] = {"slots-total": 4}
        assert probe.is_taskmanager_healthy(settings)


def test_transactions_that_flink_has_not_committed_are_counted_by_job() -> None:
    metric = "flink_taskmanager_job_task_operator_failedCommittables"
    labels = 'host="localhost",job_name="{}",task_name="Sink, {{}}",'
    lines = [
        f"# TYPE {metric} gauge",
        *(
            f"{metric}{{{labels.format(job)}}} {value}"
            for job, value in [("digits:_learn", 2.0), ("pm25:_learn", 1.0)]
        ),
        f'{metric}{{{labels.format("digits:_learn")}subtask_index="1",}} 1.0',
    ]
    with serve_answers({"/metrics": "\n".join([*lines, ""])}) as port:
        settings = Settings(taskmanager_metrics_port=port)
        assert health.count_failed_commits(settings, "digits") == 3
        assert health.count_failed_commits(settings, "pm25") == 1
        assert health.count_failed_commits(settings, "pm25_gru") == 0
    assert health.count_failed_commits(settings, "digits") == 0, "Flink does not answer any more"


@pytest.mark.parametrize("part", probe.PROBES)
def test_a_part_that_does_not_answer_is_not_well(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLINK", "HTTP_PORT", "TASKMANAGER_METRICS_PORT"):
        monkeypatch.setenv(f"STREAMLEARN_{name}", "http://127.0.0.1:1" if name == "FLINK" else "1")
    monkeypatch.setattr("sys.argv", ["probe", part])
    with pytest.raises(SystemExit) as exit_info:
        probe.main()
    assert exit_info.value.code not in (0, None)


def test_options_of_the_environment_go_before_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLEARN_HOME", str(tmp_path))
    monkeypatch.setenv("FLINK_PROPERTIES", "taskmanager.memory.process.size: 3g\nstate.x: a:b\n")
    configuration.prepare_flink(Settings.load())
    lines = (tmp_path / "flink" / "conf" / "config.yaml").read_text().splitlines()
    assert "taskmanager.memory.process.size: 3g" in lines
    assert "state.x: a:b" in lines
    assert "jobmanager.memory.process.size: 1024m" in lines


def test_logs_of_flink_are_begun_anew_after_so_many_mib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMLEARN_HOME", str(tmp_path))
    monkeypatch.setenv("STREAMLEARN_LOG_MB", "7")
    configuration.prepare_flink(Settings.load())
    folder = tmp_path / "flink" / "conf"
    console = (folder / "log4j-console.properties").read_text().splitlines()
    option = "appender.rolling.policies.size.size"
    sizes = [line.split("=")[1].strip() for line in console if line.startswith(option)]
    assert sizes[-1] == "7MB", "the last one counts"
    # Flink's client has no such appender, and would not start with one.
    assert "appender.rolling" not in (folder / "log4j-cli.properties").read_text()
