"""Command lines of Flink's Java processes, such as Flink's own scripts compose them.

The scripts start Java three times more before each process, five seconds in which a part that has died stays
away. Here Flink is asked for the sizes of memory once, when the commands are made.
"""

import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from flink_jobs.java import class_archive, distribution
from streamlearn.errors import StackError
from streamlearn.settings import Settings, inherit_env

QUICK_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Java's options for what runs little code, and must start quickly."""

_RUNTIME = "org.apache.flink.runtime"
_ENTRY_POINTS = {
    "jobmanager": (f"{_RUNTIME}.entrypoint.StandaloneSessionClusterEntrypoint", "GET_JM_RESOURCE_PARAMS"),
    "taskmanager": (f"{_RUNTIME}.taskexecutor.TaskManagerRunner", "GET_TM_RESOURCE_PARAMS"),
}
_CLIENT = "org.apache.flink.client.cli.CliFrontend"
_SQL_CLIENT = "org.apache.flink.table.client.SqlClient"
_RESULT = "BASH_JAVA_UTILS_EXEC_RESULT:"
_TIMEOUT_S = 60
_LAST_WITHOUT_SECURITY_MANAGER = 17


def build_environment(settings: Settings) -> dict[str, str]:
    """Return the variables with which Flink's processes find Java, their configuration and jars."""
    home = distribution.find_flink_home()
    return {
        "JAVA_HOME": str(distribution.find_java_home()),
        "FLINK_HOME": str(home),
        "FLINK_BIN_DIR": str(home / "bin"),
        "FLINK_OPT_DIR": str(home / "opt"),
        "FLINK_PLUGINS_DIR": str(home / "plugins"),
        "FLINK_CONF_DIR": str(distribution.configuration_folder(settings)),
        "FLINK_LIB_DIR": str(distribution.library_folder(settings)),
        "FLINK_LOG_DIR": str(_log_folder(settings)),
    }


def build_service(part: str, settings: Settings, options: dict[str, str]) -> list[str]:
    """Return the command of Flink's `jobmanager` or `taskmanager`, with these options of Flink.

    Flink's configuration and libraries must be in their folders.

    Raises
    ------
    StackError
        Flink cannot tell how its memory is to be divided.
    """
    entry_point, question = _ENTRY_POINTS[part]
    memory, divided = _ask_for_memory(settings, question)
    return [
        *_build_java(part, settings, "log4j-console.properties", memory),
        entry_point,
        *divided,
        *("--configDir", str(distribution.configuration_folder(settings))),
        *(word for key, value in options.items() for word in ("-D", f"{key}={value}")),
    ]


def build_client(settings: Settings) -> list[str]:
    """Return the command of Flink's client: what the script `flink` does."""
    return [*_build_java("client", settings, "log4j-cli.properties", []), _CLIENT]


def build_sql_client(settings: Settings, jars: Sequence[Path], memory: Sequence[str]) -> list[str]:
    """Return the command of Flink's SQL client, which needs more jars than the other parts of Flink.

    `memory` are Java's options on it.
    """
    return [*_build_java("client", settings, "log4j-cli.properties", list(memory), jars), _SQL_CLIENT]


def _log_folder(settings: Settings) -> Path:
    return settings.home.absolute() / "flink" / "log"


def _build_java(
    part: str, settings: Settings, logging: str, memory: list[str], more_jars: Sequence[Path] = ()
) -> list[str]:
    """Return the command up to the name of the class."""
    folder, java = distribution.configuration_folder(settings), distribution.find_java_home()
    version = re.search(r'^JAVA_VERSION="(\d+)', (java / "release").read_text(), re.MULTILINE)
    allows_by_default = version is not None and int(version[1]) <= _LAST_WITHOUT_SECURITY_MANAGER
    jars = distribution.library_folder(settings).glob("*.jar")
    jars_flink_last = sorted(jars, key=lambda jar: (jar.name.startswith("flink-dist"), jar.name))
    class_path, more = (":".join(map(str, paths)) for paths in (jars_flink_last, more_jars))
    return [
        str(java / "bin" / "java"),
        *memory,
        "-XX:+IgnoreUnrecognizedVMOptions",
        *_read_option(folder, "env.java.opts.all"),
        *([] if allows_by_default else ["-Djava.security.manager=allow"]),
        *_read_option(folder, f"env.java.opts.{part}"),
        f"-Dlog.file={_log_folder(settings) / part}.log",
        f"-Dlog4j.configurationFile={(folder / logging).as_uri()}",
        *class_archive.build_options(part, class_path, settings, more=more),
    ]


def _read_option(folder: Path, name: str) -> list[str]:
    """Return the words of an option in Flink's configuration."""
    match = re.search(rf"^{re.escape(name)}: (.*)$", (folder / "config.yaml").read_text(), re.MULTILINE)
    return shlex.split(match[1].strip("\"'")) if match else []


def _ask_for_memory(settings: Settings, question: str) -> tuple[list[str], list[str]]:
    """Ask Flink for Java's and for its own options on memory, which it calculates from its configuration."""
    utilities = distribution.find_flink_home() / "bin" / "bash-java-utils.jar"
    jars = [utilities, *distribution.library_folder(settings).glob("flink-dist*.jar")]
    command = [str(distribution.find_java_home() / "bin" / "java"), *QUICK_JVM]
    command += ["-classpath", ":".join(map(str, jars)), f"{_RUNTIME}.util.bash.BashJavaUtils"]
    command += [question, "--configDir", str(distribution.configuration_folder(settings))]
    process = subprocess.run(
        command, env=inherit_env(), capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    results = [line.removeprefix(_RESULT) for line in process.stdout.splitlines() if line.startswith(_RESULT)]
    if process.returncode or len(results) != 2:
        output = (process.stderr + process.stdout).strip()
        causes = [line for line in output.splitlines() if line.startswith(("Exception", "Caused by"))]
        raise StackError(f"Flink does not tell how much memory its parts get: {'; '.join(causes) or output}")
    return results[0].split(), results[1].split()
