"""docker-compose.yml says what the settings and the local stack say; `scripts/compose-test` runs it."""

import json
import re
import shutil
import subprocess
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from stacks import ROOT

from streamlearn.local import container, probe, secrets
from streamlearn.local.configuration import build_flink_options, build_kafka_options
from streamlearn.local.services import KAFKA_JAVA_OPTIONS
from streamlearn.pipelines import digits, pm25
from streamlearn.settings import Settings, inherit_env, variable_name

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
PAGE = (ROOT / "docs" / "docker.md").read_text()
OURS = (
    *("configure", "jobmanager", "taskmanager", "submitter", "warehouse"),
    *("producer-digits", "producer-pm25", "serving"),
)


def resolve(text: object) -> str:
    """Return a value as Compose reads it where no variable is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(text))


def read_environment(service: str) -> dict[str, str]:
    return {name: resolve(value) for name, value in SERVICES[service].get("environment", {}).items()}


def load_settings(service: str) -> Settings:
    return Settings.load({"STREAMLEARN_HOME": "/var/lib/streamlearn", **read_environment(service)})


def parse_published_port(service: str) -> tuple[str, str, int]:
    """Return the address on the host, the port there and the one in the container."""
    [port] = SERVICES[service]["ports"]
    host, outer, inner = resolve(port).rsplit(":", 2)
    return host, outer, int(inner)


def find_settings() -> set[str]:
    """Return the settings that the image, the compose file or the example of .env names."""
    files = ("Dockerfile", "docker-compose.yml", ".env.example")
    return {
        name for file in files for name in re.findall(r"STREAMLEARN_[A-Z0-9_]+", (ROOT / file).read_text())
    }


def test_every_setting_that_is_named_exists() -> None:
    names = find_settings()
    assert len(names) > 10
    assert names <= {variable_name(option.name) for option in fields(Settings)}


@pytest.mark.parametrize("service", OURS)
def test_the_parts_find_each_other_by_the_services_names_and_ports(service: str) -> None:
    settings = load_settings(service)
    kafka = read_environment("kafka")
    ports = dict(re.findall(r"(\w+)://\w*:(\d+)", kafka["KAFKA_LISTENERS"]))  # {"PLAINTEXT": "19092", …}
    assert settings.kafka == f"kafka:{ports['PLAINTEXT']}"
    assert settings.kafka in kafka["KAFKA_ADVERTISED_LISTENERS"]
    assert settings.flink == f"http://jobmanager:{parse_published_port('jobmanager')[2]}"
    assert {"kafka", "jobmanager", container.REDIS} <= set(SERVICES)


def test_host_ports_are_the_local_stacks_and_bound_to_localhost() -> None:
    local = Settings()
    ports = {
        "kafka": local.kafka_port,
        "redis": local.redis_port,
        "jobmanager": local.flink_port,
        "serving": local.http_port,
        "prometheus": 9090,
        "grafana": 3000,
    }
    assert {name for name, service in SERVICES.items() if "ports" in service} == set(ports)
    for service, port in ports.items():
        assert parse_published_port(service) == ("127.0.0.1", str(port), port)


def test_kafka_is_told_what_the_local_broker_is_told() -> None:
    """By the official image's rule: KAFKA_A_B is a.b."""
    options = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in read_environment("kafka").items()
        if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"
    }
    local = build_kafka_options(Settings(), Path("/var/lib/kafka/data"))
    listeners = {"listeners", "advertised.listeners", "listener.security.protocol.map"}
    assert {key: options[key] for key in options if key not in listeners} == {
        key: local[key] for key in local if key not in listeners
    }
    assert set(read_environment("kafka")["KAFKA_HEAP_OPTS"].split()) <= set(KAFKA_JAVA_OPTIONS)
    # One more listener, for programs on the host; the controller's and the brokers' are alike.
    assert f"HOST://localhost:{Settings().kafka_port}" in options["advertised.listeners"]
    assert "CONTROLLER://localhost:9093" in options["listeners"]
    assert local["listeners"].endswith("CONTROLLER://localhost:9093")
    assert local["listener.security.protocol.map"] == "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
    assert (
        options["listener.security.protocol.map"].replace("HOST:PLAINTEXT,", "")
        == (local["listener.security.protocol.map"])
    )


def test_flink_is_told_the_same_but_for_where_it_listens() -> None:
    home = Path("/var/lib/streamlearn")
    local = build_flink_options(Settings(home=home), home / "flink")
    options = build_flink_options(replace(load_settings("jobmanager"), home=home), home / "flink")
    differ = {key for key in {**local, **options} if local.get(key) != options.get(key)}
    assert differ == {
        "jobmanager.rpc.address",
        "jobmanager.bind-host",
        "rest.address",
        "rest.bind-address",
        "taskmanager.host",
        "taskmanager.bind-host",
    }


def test_redis_is_told_the_same_but_for_where_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMLEARN_SECRETS_FILE", str(tmp_path / "secrets.env"))
    monkeypatch.setenv("REDIS_PASSWORD", "")
    container.configure(print)
    conf = (tmp_path / "redis.conf").read_text()
    password = (tmp_path / "redis.password").read_text()
    assert len(password) >= 32
    assert f'requirepass "{password}"\n' in conf
    assert "appendonly yes\nappendfsync always\nmaxmemory-policy noeviction\n" in conf
    assert Settings.load().redis == f"redis://:{password}@redis:{parse_published_port('redis')[2]}/0"
    assert SERVICES["redis"]["command"] == ["redis-server", "/etc/streamlearn/redis.conf"]
    assert 'dir "/data"\n' in conf
    assert "redis:/data" in SERVICES["redis"]["volumes"]


def test_the_password_of_dotenv_takes_the_place_of_the_kept_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMLEARN_SECRETS_FILE", str(tmp_path / "secrets.env"))
    first = secrets.create_missing(Settings.load(), redis_host="redis")
    assert secrets.create_missing(Settings.load(), redis_host="redis") == first
    changed = secrets.create_missing(Settings.load(), redis_host="redis", redis_password="a b@c")
    assert changed.redis_password == "a b@c"
    assert changed.checkpoint_key == first.checkpoint_key
    assert "b@c" not in (tmp_path / "secrets.env").read_text()


def test_what_the_services_run_exists() -> None:
    parts = {service: SERVICES[service]["command"][1] for service in OURS[:5]}
    assert parts == {service: service for service in OURS[:5]}
    probed = {
        service: SERVICES[service]["healthcheck"]["test"][-1]
        for service in OURS
        if "healthcheck" in SERVICES[service]
    }
    assert probed == {name: name for name in probe.PROBES}
    assert SERVICES["producer-digits"]["command"] == ["replay", digits.pipeline.name, "--loop"]
    assert f"streamlearn replay {pm25.pipeline.name} --loop" in SERVICES["producer-pm25"]["command"][0]


def test_services_can_be_scaled_restarted_and_lose_nothing() -> None:
    for name, service in SERVICES.items():
        assert service["restart"] == ("no" if name == "configure" else "unless-stopped"), name
        assert "container_name" not in service
    assert "ports" not in SERVICES["taskmanager"]
    kept = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert set(COMPOSE["volumes"]) <= kept
    for service in ("jobmanager", "taskmanager", "submitter", "warehouse"):
        assert "checkpoints:/var/lib/streamlearn/checkpoints" in SERVICES[service]["volumes"]


def test_the_page_tells_every_service_port_and_variable_as_it_is() -> None:
    for service in SERVICES:
        assert f"| `{service}` |" in PAGE, service
    text = (ROOT / "docker-compose.yml").read_text()
    variables = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    for name, default in variables.items():
        assert f"| `{name}` | `{default}` |" in PAGE, f"docs/docker.md lacks: | `{name}` | `{default}` |"
    example = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^#?([A-Z_0-9]+)=", example, re.MULTILINE)) <= set(variables)


def test_prometheus_scrapes_where_the_parts_report() -> None:
    scraped = yaml.safe_load((ROOT / "docker" / "prometheus.yml").read_text())["scrape_configs"]
    jobs: dict[str, Any] = {job["job_name"]: job for job in scraped}
    local = Settings()
    for name, port in (
        ("jobmanager", local.jobmanager_metrics_port),
        ("taskmanager", local.taskmanager_metrics_port),
    ):
        [service] = jobs[name]["dns_sd_configs"]
        assert (service["names"], service["port"]) == ([name], port)
    assert jobs["serving"]["static_configs"] == [{"targets": [f"serving:{local.http_port}"]}]
    assert "serving" in load_settings("serving").http_hosts.split(",")


def test_the_dashboard_asks_for_figures_that_exist() -> None:
    board = json.loads((ROOT / "docker" / "grafana" / "dashboards" / "streamlearn.json").read_text())
    queries = " ".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    metrics = (ROOT / "flink_jobs" / "metrics.py").read_text()
    for name in re.findall(r"online_ml_(\w+)", queries):
        assert f'"{name}"' in metrics, name
    scores = {
        *digits.pipeline.new_learner().score.summary(),
        *pm25.pipeline.new_learner().score.summary(),
    }
    for figure in re.findall(r'figure=~?"([^"]+)"', queries):
        assert any(re.fullmatch(figure, name) for name in scores), figure


@pytest.mark.parametrize("command", [["docker", "compose"], ["docker-compose"]], ids=" ".join)
def test_compose_finds_the_file_valid(command: list[str]) -> None:
    if not shutil.which(command[0]) or subprocess.run([*command, "version"], capture_output=True).returncode:
        pytest.skip(f"{' '.join(command)} is not installed")
    for profile in ([], ["--profile", "monitoring"], ["--profile", "warehouse"]):
        process = subprocess.run(
            [*command, *profile, "config", "--quiet"],
            cwd=ROOT,
            env=inherit_env(),
            capture_output=True,
            text=True,
        )
        assert process.returncode == 0, process.stderr
