from dataclasses import fields
from pathlib import Path

import pytest
from stacks import ROOT

from streamlearn.errors import BadSetting
from streamlearn.local import secrets
from streamlearn.settings import Settings, inherit_env, locate_home, variable_name


def test_a_process_started_with_the_environment_loads_the_same_settings(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, kafka="elsewhere:1", http_port=9, replay_rate=2.5)
    assert Settings.load(settings.environment()) == settings


def test_a_value_that_is_no_number_is_named() -> None:
    with pytest.raises(BadSetting, match="STREAMLEARN_KAFKA_CONTROLLER_PORT='x' is not a whole number"):
        Settings.load({"STREAMLEARN_KAFKA_CONTROLLER_PORT": "x"})


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("CHUNK_ROWS", "0", "at least 1"),
        ("REDIS_WAIT_S", "nan", "at least 0"),
        ("KAFKA", "broker", "localhost:9092"),
        ("REDIS", "localhost:6379", "redis://localhost"),
        ("FLINK", "localhost:8081", "http://localhost:8081"),
        ("HTTP_PORT", "0", "is not at least 1"),
        ("HTTP_PORT", "65536", "is more than 65535"),
        ("REPLAY_RATE", "fast", "='fast' is not a number; the default is 10.0"),
        ("LOST_INPUT", "maybe", "is none of stop, continue"),
        ("KAFKA", "one:1,two:2", "does not have the right form"),
    ],
)
def test_a_value_that_cannot_work_is_refused_at_once(name: str, text: str, reason: str) -> None:
    with pytest.raises(BadSetting, match=f"STREAMLEARN_{name}.*{reason}"):
        Settings.load({f"STREAMLEARN_{name}": text})


def test_the_password_in_the_redis_url_is_not_shown() -> None:
    assert "hush" not in repr(Settings(redis="redis://:hush@localhost:6379/0"))
    with pytest.raises(BadSetting) as refused:
        Settings.load({"STREAMLEARN_REDIS": "localhost:6379/0?password=hush"})
    assert "hush" not in str(refused.value)


def test_addresses_are_told_by_their_parts() -> None:
    settings = Settings(
        kafka="broker:7", redis="rediss://me:a%40b@store/0", flink="https://jobs:8443", checkpoint_dir="kept"
    )
    assert (settings.kafka_port, settings.flink_host, settings.flink_port) == (7, "jobs", 8443)
    assert (settings.redis_port, settings.redis_password) == (6379, "a@b")
    assert settings.checkpoints == Path.cwd() / "kept"
    assert Settings(redis="redis://store:7/0").redis_port == 7
    assert Settings(home=Path("here")).checkpoints == Path.cwd() / "here" / "flink"


def test_what_the_environment_lacks_is_read_from_the_homes_secrets(tmp_path: Path) -> None:
    home = {"STREAMLEARN_HOME": str(tmp_path)}
    (tmp_path / "secrets.env").write_text("# kept\nSTREAMLEARN_REDIS=redis://:a@localhost:1/0\n")
    assert Settings.load(home).redis_password == "a"
    assert Settings.load({**home, "STREAMLEARN_REDIS": "redis://localhost:2/0"}).redis_password == ""


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text("STREAMLEARN_API_TOKEN=kept\n\nno setting\n")
    home = {"STREAMLEARN_HOME": str(tmp_path)}
    assert Settings.load({**home, "STREAMLEARN_API_TOKEN": ""}).api_token == "kept"


def test_the_file_of_secrets_may_be_elsewhere(tmp_path: Path) -> None:
    """Also where only the running stack was told where it is."""
    elsewhere, run = tmp_path / "elsewhere.env", tmp_path / "run"
    elsewhere.write_text("STREAMLEARN_API_TOKEN=kept\n")
    named = {"STREAMLEARN_SECRETS_FILE": str(elsewhere)}
    home = {"STREAMLEARN_HOME": str(tmp_path)}
    assert Settings.load({**home, **named}).api_token == "kept"
    run.mkdir()
    (run / "settings.env").write_text(f"STREAMLEARN_SECRETS_FILE={elsewhere}\n")
    assert Settings.load(home).api_token == "kept"


def test_a_file_of_secrets_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").mkdir()
    with pytest.raises(BadSetting, match=r"secrets\.env cannot be read: Is a directory"):
        Settings.load({"STREAMLEARN_HOME": str(tmp_path)})


def test_a_process_that_is_started_inherits_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLEARN_HOME", "there")
    inherited = inherit_env({"STREAMLEARN_KAFKA": "broker:1"})
    assert (inherited["STREAMLEARN_HOME"], inherited["STREAMLEARN_KAFKA"]) == ("there", "broker:1")
    assert inherit_env()["STREAMLEARN_HOME"] == "there"


def test_passwords_are_made_once_for_the_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLEARN_HOME", str(tmp_path))
    first = secrets.create_missing(Settings.load())
    assert len(first.redis_password) >= 32
    assert len(first.checkpoint_key) >= 32
    assert secrets.create_missing(Settings.load()) == first
    assert (tmp_path / "secrets.env").stat().st_mode & 0o077 == 0
    assert first.redis_password not in repr(first)
    assert first.checkpoint_key not in repr(first)


def test_who_names_a_redis_says_whether_it_has_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMLEARN_HOME", str(tmp_path))
    monkeypatch.setenv("STREAMLEARN_REDIS", "redis://localhost:7000/0")
    settings = secrets.create_missing(Settings.load())
    assert settings.redis_password == ""
    assert settings.checkpoint_key


def test_every_setting_is_documented_with_its_default_and_its_sentence() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    for option in fields(Settings):
        row = f"| `{variable_name(option.name)}` | `{option.default}` | {option.metadata['help']} |"
        assert row in page, f"docs/settings.md lacks: {row}"


def test_what_the_running_stack_was_started_with_is_known_to_later_commands(tmp_path: Path) -> None:
    home = {"STREAMLEARN_HOME": str(tmp_path)}
    started = Settings(home=tmp_path, http_port=9, redis="redis://:hush@localhost:1/0", pipelines="mine:p")
    started.started_with.parent.mkdir()
    lines = started.environment(secrets=False)
    assert "STREAMLEARN_REDIS" not in lines
    started.started_with.write_text("".join(f"{name}={text}\n" for name, text in lines.items()))
    (tmp_path / "secrets.env").write_text("STREAMLEARN_REDIS=redis://:a@localhost:1/0\n")
    later = Settings.load({**home, "STREAMLEARN_HTTP_PORT": "10"})
    assert (later.http_port, later.pipelines, later.redis_password) == (10, "mine:p", "a")


def test_the_home_is_the_nearest_folders_else_that_of_the_only_running_stack(tmp_path: Path) -> None:
    project, below = tmp_path / "project", tmp_path / "project" / "a" / "b"
    (project / ".streamlearn").mkdir(parents=True)
    below.mkdir(parents=True)
    first, other = tmp_path / "one", tmp_path / "other"
    assert locate_home([below, *below.parents], [first]) == project / ".streamlearn"
    assert locate_home([tmp_path], [first]) == first
    assert locate_home([tmp_path], [first, other]) is None
    assert locate_home([tmp_path], []) is None
