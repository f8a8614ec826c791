"""Flink's command lines are those of Flink's own scripts, but for the archive of classes."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from flink_jobs.java import class_archive, command_lines, distribution
from streamlearn.errors import StackError
from streamlearn.local import configuration
from streamlearn.settings import Settings, inherit_env

PRINT_THE_COMMAND = """\
#!/bin/sh
case "$*" in *BashJavaUtils*|*XshowSettings*) exec {java} "$@" ;; esac
printf '%s\\n' "$@"
"""
OURS = ("-Dlog.file=", "-Dlog4j.configuration=", "-Dlog4j.configurationFile=", "-Dlogback.")
ARCHIVE = ("-XX:SharedArchiveFile=", "-XX:DumpLoadedClassList=", "-Xlog:")


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a stack whose Flink is configured, with options of the user's own."""
    properties = 'taskmanager.memory.process.size: 2g\nenv.java.opts.taskmanager: "-Done=1 -Dtwo=2"\n'
    monkeypatch.setenv("FLINK_PROPERTIES", properties)
    settings = Settings(home=tmp_path, cache=Settings.load().cache)
    (tmp_path / "flink" / "conf").mkdir(parents=True)
    configuration.write_flink(tmp_path / "flink" / "conf", settings)
    distribution.link_libraries(settings)
    return settings


def ask_the_script(settings: Settings, *command: str) -> list[str]:
    """Return the arguments that a script of Flink's would give to Java."""
    fake = settings.home / "java" / "bin" / "java"
    fake.parent.mkdir(parents=True)
    fake.write_text(PRINT_THE_COMMAND.format(java=distribution.find_java_home() / "bin" / "java"))
    fake.chmod(0o755)
    variables = command_lines.build_environment(settings) | {"JAVA_HOME": str(fake.parent.parent)}
    script = distribution.find_flink_home() / "bin" / command[0]
    process = subprocess.run(
        [str(script), *command[1:]], env=inherit_env(variables), capture_output=True, text=True, check=True
    )
    lines = process.stdout.splitlines()
    # The class path ends with an empty one for Hadoop.
    return [line.rstrip(":") for line in lines if not line.startswith(("Starting ", *OURS))]


@pytest.mark.parametrize("part", ["jobmanager", "taskmanager", "client"])
def test_a_command_is_what_flinks_script_makes_of_it(part: str, configured: Settings) -> None:
    if part == "client":
        ours = [*command_lines.build_client(configured), "run"]
        theirs = ask_the_script(configured, "flink", "run")
    else:
        ours = command_lines.build_service(part, configured, {"io.tmp.dirs": "/tmp/x"})
        theirs = ask_the_script(configured, f"{part}.sh", "start-foreground", "-D", "io.tmp.dirs=/tmp/x")
    given = [word for word in ours[1:] if not word.startswith((*OURS, *ARCHIVE))]
    own = {"--executionMode", "cluster"}
    assert sorted(given) == sorted(word for word in theirs if word not in own)
    assert given[given.index("-classpath") :][:3] == theirs[theirs.index("-classpath") :][:3]
    assert ("-Dtwo=2" in given) == (part == "taskmanager")


def test_memory_that_cannot_be_divided_is_told_with_flinks_reason(configured: Settings) -> None:
    config = configured.home / "flink" / "conf" / "config.yaml"
    config.write_text(config.read_text().replace("process.size: 2g", "process.size: 10m"))
    with pytest.raises(StackError, match=r"how much memory its parts get: Exception .*Total Process Memory"):
        command_lines.build_service("taskmanager", configured, {})


def test_classes_are_archived_once_wherever_the_jars_stand(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache")
    run_java = [str(distribution.find_java_home() / "bin" / "java"), "-Xshare:on", "-XX:+UseSerialGC"]
    (jar,) = (distribution.find_flink_home() / "lib").glob("log4j-api-*.jar")
    first, later = (tmp_path / name / "log4j.jar" for name in ("one", "other"))
    for path in (first, later):
        path.parent.mkdir()
        shutil.copyfile(jar, path)
    options = class_archive.build_options("client", str(first), settings)
    # Java looks for the jars of an archive only if it has a class from them; this one cannot be run.
    command = [run_java[0], *options, "org.apache.logging.log4j.Level"]
    # Two at once: neither writes into the other's list.
    clients = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [client.wait() for client in clients] == [1, 1]
    lists = sorted((settings.home / "classes").glob("*/client-*"))
    assert len(lists) == 2
    # A process that was killed as it wrote left half a line.
    lists[0].write_text(lists[0].read_text() + "@lambda-pro")
    messages: list[str] = []
    class_archive.make_archives(settings, messages.append)
    class_archive.make_archives(settings, messages.append)
    assert messages == ["  archiving Java's classes for quicker starts, once"]
    # The home of the first stack is gone, and Flink was installed anew.
    first.unlink()
    os.utime(later, (1, 1))
    options = class_archive.build_options("client", str(later), settings)
    assert not any("DumpLoadedClassList" in option for option in options)
    # With -Xshare:on Java refuses to run without a fitting archive.
    subprocess.run([*run_java, *options, "-version"], check=True, capture_output=True)
    longer = class_archive.build_options("sql", str(later), settings, more=str(jar))
    subprocess.run([*run_java, *longer, "-version"], check=True, capture_output=True)
    other = class_archive.build_options("client", f"{later}:{jar}", settings)
    assert subprocess.run([*run_java, *other, "-version"], capture_output=True).returncode == 1


@pytest.mark.parametrize("change", ["the jar is gone", "the jar is another", "the cache is another"])
def test_lists_for_other_jars_or_another_cache_are_dropped(tmp_path: Path, change: str) -> None:
    """As where a newer version of the project starts in the home of an older one."""
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache")
    jar = tmp_path / "some.jar"
    jar.write_bytes(b"jar")
    class_archive.build_options("client", str(jar), settings)
    (noted,) = (settings.home / "classes").iterdir()
    if change == "the jar is gone":
        jar.unlink()
    elif change == "the jar is another":
        jar.write_bytes(b"another")
    else:
        settings = replace(settings, cache=tmp_path / "other")
    messages: list[str] = []
    class_archive.make_archives(settings, messages.append)
    assert (messages, noted.exists()) == ([], False)


def test_an_archive_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache")
    jar = distribution.find_flink_home() / "bin" / "bash-java-utils.jar"
    options = class_archive.build_options("client", str(jar), settings)
    (path,) = [Path(option.partition("=")[2]) for option in options if "DumpLoadedClassList" in option]
    path.write_text("@no-such-thing\n")
    messages: list[str] = []
    class_archive.make_archives(settings, messages.append)
    assert messages[1].startswith("! they cannot be archived: ")
    assert not list((tmp_path / "cache" / "classes").glob("*.jsa"))


def test_an_archive_that_another_process_is_making_is_left_to_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache")
    jar = distribution.find_flink_home() / "bin" / "bash-java-utils.jar"
    options = class_archive.build_options("client", str(jar), settings)
    (path,) = [Path(option.partition("=")[2]) for option in options if "SharedArchiveFile" in option]
    path.parent.mkdir(parents=True)
    messages: list[str] = []
    with path.with_suffix(".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        class_archive.make_archives(settings, messages.append)
    assert not messages


def test_two_that_miss_the_same_jars_fetch_them_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits for the first, and then finds them."""
    settings, fetched = Settings(cache=tmp_path), list[str]()
    monkeypatch.setattr(
        distribution, "_read_lock", lambda name: {("some.jar", hashlib.sha256(b"").hexdigest())}
    )

    def fetch(name: str, settings: Settings, target: Path, echo: object) -> None:
        fetched.append(name)
        second.start()
        # Long enough for the other, were there nothing that keeps it waiting.
        second.join(0.2)
        (target / "jars").mkdir(parents=True)
        (target / "jars" / "some.jar").touch()

    def find() -> None:
        assert [jar.name for jar in distribution.resolve_jars("any", settings)] == ["some.jar"]

    second = threading.Thread(target=find)
    monkeypatch.setattr(distribution, "_fetch", fetch)
    find()
    second.join()
    assert fetched == ["any"]


def test_a_download_that_was_broken_off_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [jar] = distribution._load_lock("models")
    kept = tmp_path / f"{jar['artifactId']}-{jar['version']}.jar"
    kept.write_bytes(b"half")

    class Maven:
        def __init__(self, **options: object) -> None:
            """Stand for a repository whose jars are empty."""

        def project(self, *names: str) -> "Maven":
            return self

        def at_version(self, version: str) -> "Maven":
            return self

        def artifact(self) -> "Maven":
            return self

        def resolve(self) -> Path:
            """Return what is kept, whatever it is; download it only where nothing is."""
            if not kept.exists():
                kept.touch()
            return kept

    monkeypatch.setattr("jgo.maven.MavenContext", Maven)
    whole = {**jar, "sha256": hashlib.sha256(b"").hexdigest()}
    monkeypatch.setattr(distribution, "_load_lock", lambda name: [whole])
    [path] = distribution.resolve_jars("models", Settings(cache=tmp_path / "cache"))
    assert path.read_bytes() == b""
