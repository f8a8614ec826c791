"""A job on a Flink cluster elsewhere: one as it is downloaded, which has nothing of streamlearn's."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from helpers import LINEAGE
from stacks import FLINK_PROPERTIES, ROOT, Stack, Trial, free_port

from flink_jobs import tables, workers
from flink_jobs.java import distribution
from streamlearn.cli.main import main
from streamlearn.errors import BadSetting, FlinkUnavailable
from streamlearn.operations import flink_api
from streamlearn.pipelines.digits import pipeline as digits
from streamlearn.pipelines.registry import load
from streamlearn.settings import Settings
from streamlearn.waiting import wait_until


@dataclass
class Cluster:
    """A JobManager and a TaskManager, started by Flink's own scripts, with no variable of ours."""

    home: Path
    port: int = field(default_factory=free_port)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("conf", "log", "tmp"):
            (self.home / name).mkdir(parents=True)
        bundled = distribution.find_flink_home() / "conf"
        shutil.copy(bundled / "log4j-console.properties", self.home / "conf")
        options = {
            "env.java.opts.all": yaml.safe_load((bundled / "config.yaml").read_text())["env"]["java"]["opts"][
                "all"
            ],
            "jobmanager.rpc.address": "localhost",
            "jobmanager.rpc.port": free_port(),
            "jobmanager.memory.process.size": "1024m",
            "taskmanager.host": "localhost",
            "taskmanager.memory.process.size": "1728m",
            "taskmanager.numberOfTaskSlots": "2",
            "rest.port": self.port,
            "io.tmp.dirs": str(self.home / "tmp"),
        }
        lines = [f"{name}: {value}\n" for name, value in options.items()]
        (self.home / "conf" / "config.yaml").write_text("".join(lines) + FLINK_PROPERTIES)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self, part: str) -> None:
        environment = {
            "PATH": os.defpath,
            "HOME": str(self.home),
            "JAVA_HOME": str(distribution.find_java_home()),
            "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            "FLINK_CONF_DIR": str(self.home / "conf"),
            "FLINK_LOG_DIR": str(self.home / "log"),
        }
        script = distribution.find_flink_home() / "bin" / f"{part}.sh"
        with (self.home / "log" / f"{part}.out").open("ab") as log:
            self.processes[part] = subprocess.Popen(
                [script, "start-foreground"],
                cwd=self.home,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, part: str) -> None:
        process = self.processes.pop(part)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def has_free_slot(self) -> bool:
        try:
            return flink_api.count_free_slots(Settings(flink=self.url)) > 0
        except FlinkUnavailable:
            return False


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path / "cluster")
    try:
        for part in ("jobmanager", "taskmanager"):
            cluster.start(part)
        wait_until(cluster.has_free_slot, 300, "the other cluster", every_s=0.5)
        yield cluster
    finally:
        for part in list(cluster.processes):
            cluster.kill(part)


def make_archive(folder: Path) -> Path:
    """Make the archive of docs/cluster.md, but for the libraries, which stay where they are."""
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    [packages] = environment.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    for name in ("streamlearn", "flink_jobs"):
        shutil.copytree(ROOT / name, packages / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "environment.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(environment, ".")
    shutil.rmtree(environment)
    return path


def test_a_job_learns_on_a_cluster_that_has_nothing_of_streamlearns(
    stack: Stack, cluster: Cluster, tmp_path: Path
) -> None:
    """Its Python, the settings and the connector travel with the job; Redis is reached from there alone."""
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    assert subprocess.run(
        [base, "-c", "import streamlearn"], cwd=tmp_path, env={}, capture_output=True
    ).returncode
    client = replace(
        stack.settings,
        home=tmp_path / "client",
        flink=cluster.url,
        redis="redis://localhost:1/0",
        partitions=2,
        worker_settings=str(tmp_path / "workers.env"),
        worker_archive=str(make_archive(tmp_path)),
    )
    client.checkpoints.mkdir(parents=True)
    (tmp_path / "mounted").symlink_to(client.checkpoints)
    (tmp_path / "workers.env").write_text(
        f"STREAMLEARN_KAFKA=127.0.0.1:{client.kafka_port}\n"
        f"STREAMLEARN_REDIS={stack.settings.redis}\n"
        f"STREAMLEARN_CHECKPOINT_DIR={tmp_path / 'mounted'}\n"
    )
    trial = Trial(Stack(client, python_path=str(ROOT / "tests")), load("copies:elsewhere"))
    here = replace(trial, stack=replace(trial.stack, settings=replace(client, redis=stack.settings.redis)))
    try:
        trial.replay(1000)
        assert "2 partitions, parallelism 1" in trial.streamlearn("train", "--parallelism", "1").stdout
        trial.settle()
        cluster.kill("taskmanager")
        trial.replay(1000)
        cluster.start("taskmanager")
        trial.settle()
        # Where the checkpoints cannot be seen, the job is left alone.
        blind = replace(
            trial, stack=replace(trial.stack, settings=replace(client, checkpoint_dir="/nowhere"))
        )
        refused = blind.streamlearn("train", "--parallelism", "2", check=False)
        assert "no checkpoint of it is left in /nowhere" in refused.stderr
        assert trial.newest_job().state == "RUNNING"
        assert "going on from savepoint-" in trial.streamlearn("train", "--parallelism", "2").stdout
        trial.replay(1000)
        trial.settle()
        trial.cancel()
        # A jar that is left by an older installation is linked anew.
        jar = next((client.home / "flink" / "lib").glob("flink-dist*"))
        jar.unlink()
        jar.symlink_to(tmp_path / "gone")
        assert "going on from chk-" in trial.streamlearn("train").stdout
        report = here.verify()
        assert report["records"] == 3000
        for log in (cluster.home / "log").iterdir():
            assert stack.settings.redis not in log.read_text(errors="replace"), log
    finally:
        here.streamlearn("reset", "--force", check=False)


@pytest.mark.parametrize("named", ["by its address", "by the settings of its workers"])
def test_a_flink_elsewhere_that_does_not_answer_is_named_at_once(
    named: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = folder / "home"
    monkeypatch.setenv("STREAMLEARN_HOME", str(home))
    if named == "by its address":
        monkeypatch.setenv("STREAMLEARN_FLINK", "http://flink.invalid:1")
    else:
        monkeypatch.setenv("STREAMLEARN_FLINK", "http://localhost:1")
        (folder / "workers.env").touch()
        monkeypatch.setenv("STREAMLEARN_WORKER_SETTINGS", "workers.env")
    done = CliRunner().invoke(main, ["train", "digits"])
    assert done.exit_code == 1
    assert re.match(r"streamlearn: Flink at http://\S+:1 does not answer", done.stderr), done.output
    assert not (home / "flink").exists(), "what a submission needs is fetched in vain"


def test_settings_of_the_workers_travel_only_where_a_file_says_so(tmp_path: Path) -> None:
    settings = Settings(redis="redis://:hush@here:1/0", home=tmp_path)
    assert tables.build_plan(digits, LINEAGE, [0], 1, settings).settings == {}
    file = tmp_path / "workers.env"
    file.write_text(
        "# as the cluster sees them\nSTREAMLEARN_KAFKA=broker:9\nSTREAMLEARN_CHECKPOINT_DIR=/mnt\n"
    )
    elsewhere = replace(settings, worker_settings=str(file))
    plan = tables.build_plan(digits, LINEAGE, [0], 1, elsewhere)
    there = Settings.load(plan.settings)
    assert (there.kafka, there.redis, there.home) == ("broker:9", settings.redis, Settings.home)
    assert "broker:9" in plan.statements[0]
    assert plan.options["execution.checkpointing.dir"] == "file:///mnt/digits/aaaa/1"
    assert "hush" not in repr(plan.options) + repr(plan.statements)


def test_python_of_the_workers_is_as_here_elsewhere_or_in_an_archive(tmp_path: Path) -> None:
    archive = tmp_path / "env.tar.gz"
    archive.touch()
    for change, options in (
        ({}, ["--pyExecutable", sys.executable]),
        ({"worker_python": "/opt/python"}, ["--pyExecutable", "/opt/python"]),
        (
            {"worker_archive": str(archive)},
            [
                *("--pyExecutable", "streamlearn-python/bin/python"),
                *("--pyArchives", f"{archive}#streamlearn-python"),
            ],
        ),
    ):
        settings = Settings(**change)  # type: ignore[arg-type]
        assert workers.build_client_options(settings) == options
        plan = tables.build_plan(digits, LINEAGE, [0], 1, settings)
        assert plan.options["python.executable"] == options[1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"worker_settings": "no.env"}, "STREAMLEARN_WORKER_SETTINGS='no.env': there is no such file"),
        ({"worker_archive": "no.tar.gz"}, "STREAMLEARN_WORKER_ARCHIVE='no.tar.gz': there is no such file"),
        ({"worker_settings": "typo.env"}, "sets STREAMLEARN_KAFKAS, which is no setting"),
        ({"worker_settings": "bad.env"}, "STREAMLEARN_KAFKA='broker' does not have the right form"),
    ],
)
def test_what_cannot_be_sent_to_workers_is_told(folder: Path, change: dict[str, str], reason: str) -> None:
    (folder / "typo.env").write_text("STREAMLEARN_KAFKAS=broker:9\n")
    (folder / "bad.env").write_text("STREAMLEARN_KAFKA=broker\n")
    settings = Settings(**change)  # type: ignore[arg-type]
    check = workers.load_settings if settings.worker_settings else workers.build_client_options
    with pytest.raises(BadSetting, match=reason):
        check(settings)
