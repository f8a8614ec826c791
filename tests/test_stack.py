"""The local stack as a user meets it: up twice, ports taken, a supervisor that dies, down."""

import json
import os
import signal
import socket
import subprocess
import urllib.request
from dataclasses import fields

import psutil
import pytest
import redis
from stacks import ROOT, Stack, free_settings

from streamlearn.local import processes
from streamlearn.local.supervisor import Supervisor
from streamlearn.operations import flink_api
from streamlearn.settings import Settings, inherit_env
from streamlearn.waiting import wait_until


def test_up_again_leaves_what_runs_as_it_is(stack: Stack) -> None:
    before = {process["name"]: process["pid"] for process in Supervisor(stack.settings).list_processes()}
    done = stack.run("scripts/up", "--detach", "--no-replay")
    assert "the stack runs already" in done.stdout
    assert before == {
        process["name"]: process["pid"] for process in Supervisor(stack.settings).list_processes()
    }


def test_status_names_every_service_and_what_answers(stack: Stack) -> None:
    def is_well() -> bool:
        return stack.streamlearn("status", check=False).returncode == 0

    wait_until(is_well, 120, "what other tests have killed to be whole again")
    done = stack.streamlearn("status")
    for name in ("redis", "kafka", "jobmanager", "taskmanager", "submit", "server"):
        assert name in done.stdout
    assert " NO " not in done.stdout


def test_train_while_the_job_runs_says_so_and_submits_nothing(stack: Stack) -> None:
    before = flink_api.newest_job(stack.settings, "digits: learn")
    done = stack.streamlearn("train", "digits")
    assert "already running" in done.stdout
    assert flink_api.newest_job(stack.settings, "digits: learn") == before


def test_reset_while_the_job_runs_is_refused(stack: Stack) -> None:
    done = stack.streamlearn("reset", "digits", check=False)
    assert done.returncode == 1
    assert done.stderr == "streamlearn: digits: learn is running; cancel it first, or say --force\n"


def test_the_servers_listen_on_this_machine_only(stack: Stack) -> None:
    """Flink's metrics do not, nor do the TaskManager's channels to its Python workers: neither can be set."""
    reporters = {stack.settings.jobmanager_metrics_port, stack.settings.taskmanager_metrics_port}
    for process in processes.find_processes(stack.settings.home):
        worker = any("TaskManagerRunner" in part for part in process.cmdline())
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port not in reporters:
                local = connection.laddr.ip in {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
                assert local or worker, (process, connection)


def test_a_killed_service_is_restarted(stack: Stack) -> None:
    def server() -> dict[str, object]:
        return next(p for p in Supervisor(stack.settings).list_processes() if p["name"] == "server")

    def is_restarted() -> bool:
        process = server()
        return process["statename"] == "RUNNING" and process["pid"] != before

    before = server()["pid"]
    os.kill(int(str(before)), signal.SIGKILL)
    wait_until(is_restarted, 60, "the server's return")
    wait_until(lambda: _is_live(stack.url), 60, "the server to answer")


def _is_live(url: str) -> bool:
    try:
        with urllib.request.urlopen(url + "/v2/health/live", timeout=5) as response:
            return bool(json.load(response)["live"])
    except OSError:
        return False


def list_ports(settings: Settings) -> list[int]:
    ports = [getattr(settings, field.name) for field in fields(settings) if field.name.endswith("_port")]
    return [*ports, settings.kafka_port, settings.redis_port, settings.flink_port]


def test_a_taken_port_is_named_with_its_holder(stack: Stack, tmp_path) -> None:  # type: ignore[no-untyped-def]
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        done = subprocess.run(
            ["scripts/up", "--detach"],
            cwd=ROOT,
            env=inherit_env(free_settings(tmp_path, kafka=f"localhost:{port}").environment()),
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert f"port {port} (Kafka) is taken by" in done.stderr
    assert f"process {os.getpid()}" in done.stderr
    assert not processes.find_processes(tmp_path)


@pytest.mark.parametrize("way", ["interrupted", "supervisor killed"])
def test_whatever_happens_nothing_is_left_behind(stack: Stack, tmp_path, way: str) -> None:  # type: ignore[no-untyped-def]
    """Ctrl-C in the middle of starting; and `down` after a `kill -9` of the supervisor."""
    settings = free_settings(tmp_path)
    environment = inherit_env(settings.environment())
    up = subprocess.Popen(
        ["scripts/up"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert up.stdout is not None
    for line in up.stdout:
        if "Redis answers" in line:
            break
    assert len(processes.find_processes(tmp_path)) > 5
    if way == "interrupted":
        up.send_signal(signal.SIGINT)
        assert up.wait(90) == 130
    else:
        up.kill()
        os.kill(int((tmp_path / "run" / "supervisord.pid").read_text()), signal.SIGKILL)
        down = subprocess.run(["scripts/down"], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert "left behind" in down.stdout
    up.wait(30)
    up.stdout.close()
    assert not processes.find_processes(tmp_path)
    ports = list_ports(settings)
    wait_until(lambda: all(map(processes.is_port_free, ports)), 10, f"the ports {ports}")


def test_the_log_holds_no_secret(stack: Stack) -> None:
    secrets = [stack.settings.redis_password, stack.settings.checkpoint_key]
    for folder in ("log", "flink/log"):
        for log in (stack.settings.home / folder).glob("*"):
            text = log.read_text(errors="replace")
            assert not [secret for secret in secrets if secret in text], log


def test_redis_wants_its_password(stack: Stack) -> None:
    with redis.Redis(port=stack.settings.redis_port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.keys()
