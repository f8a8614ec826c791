"""Flink's SQL client: opened for a person, or called with a script.

What is only looked at is computed inside the client itself (Flink's *mini cluster*): it takes no task slot
from the jobs, and needs no cluster. The scripts hold Kafka's password, so they are readable by their owner
alone, and gone when the client ends.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from flink_jobs.java import command_lines, distribution
from flink_jobs.submit import check_configured
from streamlearn.errors import JobError
from streamlearn.settings import Settings, inherit_env

_MEMORY = ("-Xmx1g",)
_PLAIN_TEXT = {"TERM": "dumb"}
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_ERROR = "[ERROR] Could not execute SQL statement. Reason:"
_LAST_WORDS = ["Shutting down the session...", "done."]
_PROMPTS = re.compile(r"^(Flink SQL> |> )+")
_TOP = re.compile(r"\+(-+\+)+$")
_END = re.compile(r"\d+ rows? in set|Empty set|Received a total of \d+ rows?")

LOCAL = {
    "execution.target": "local",
    "parallelism.default": "1",
    "table.local-time-zone": "UTC",
    # The cluster has the ports of the configuration.
    "rest.bind-port": "0",
    "metrics.reporters": "",
    "sql-client.execution.result-mode": "tableau",
    "sql-client.display.max-column-width": "200",
}
"""Options for computing inside the client."""

BATCH = {"execution.runtime-mode": "batch"}


def format_script(options: Mapping[str, str], statements: Iterable[str]) -> str:
    """Return a script of the SQL client.

    >>> print(format_script({"a.b": "it's"}, ["SELECT 1"]))
    SET 'a.b' = 'it''s';
    SELECT 1;
    <BLANKLINE>
    """
    lines = [f"SET '{key}' = '{value.replace(chr(39), chr(39) * 2)}'" for key, value in options.items()]
    return "".join(f"{statement.strip().removesuffix(';')};\n" for statement in [*lines, *statements])


def open_client(settings: Settings, init: str, echo: Callable[[str], None]) -> int:
    """Open the client on this terminal, after the script `init`; return its exit code."""
    with _written({"init.sql": init}) as folder:
        history = settings.home.absolute() / "run" / "sql-history"
        command = [*_build_command(settings, echo), "-i", str(folder / "init.sql"), "-hist", str(history)]
        return subprocess.call(command, env=_build_environment(settings))


def run_script(
    settings: Settings,
    script: str,
    *,
    show: Callable[[str], None] | None = None,
    echo: Callable[[str], None] = print,
) -> list[str]:
    """Let the client execute a script; return the lines that it prints.

    Parameters
    ----------
    show
        Called with each line as it comes.

    Raises
    ------
    JobError
        A statement fails.
    """
    with _written({"script.sql": script}) as folder, tempfile.TemporaryFile("w+") as errors:
        command = [*_build_command(settings, echo), "-f", str(folder / "script.sql")]
        command += ["-hist", str(folder / "history")]
        environment = {**_build_environment(settings), **_PLAIN_TEXT}
        lines: list[str] = []
        with subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    lines.append(_ESCAPE.sub("", line).rstrip())
                    if show:
                        show(lines[-1])
                    if lines[-2:] == _LAST_WORDS:
                        break
            finally:
                # After an error its mini cluster would go on waiting for itself.
                process.kill()
        if lines[-2:] != _LAST_WORDS or any(line.endswith(_ERROR) for line in lines):
            errors.seek(0)
            raise JobError(f"Flink refuses the SQL: {_extract_reason(lines, errors.read().splitlines())}")
    return lines


class TableFilter:
    """Passes on the lines that belong to results, out of everything that the client prints.

    >>> show = TableFilter(print)
    >>> for line in ("Flink SQL> +---+", "| 1 |", "+---+", "1 row in set (0.5 seconds)", "", "Flink SQL> "):
    ...     show(line)
    +---+
    | 1 |
    +---+
    1 row in set (0.5 seconds)
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._is_inside = False

    def __call__(self, line: str) -> None:
        """Show a line if it belongs to a result."""
        line = _PROMPTS.sub("", line)
        if not self._is_inside and (top := _TOP.search(line)):
            # The client may have repeated the statement on the same line.
            line, self._is_inside = top[0], True
        is_last = _END.match(line) is not None
        if self._is_inside or is_last:
            self._show(line)
        if is_last:
            self._is_inside = False


def _extract_reason(lines: list[str], errors: list[str]) -> str:
    """Return why a statement has failed: what stands below `Reason:`, else the innermost causes.

    The client repeats the statements, which hold passwords: nothing else of `lines` is returned.

    >>> _extract_reason(["[ERROR] Could not execute SQL statement. Reason:", "org.a.B: no table", ""], [])
    'no table'
    """
    for number, line in enumerate(lines):
        if line.endswith(_ERROR) and number + 1 < len(lines):
            return re.sub(r"^[\w.$]+: ", "", lines[number + 1])
    causes = [line.strip() for line in errors if line.startswith("Caused by:")]
    return "; ".join(causes[-2:]) or "\n".join(line for line in errors if line.strip())[-800:]


def _build_command(settings: Settings, echo: Callable[[str], None]) -> list[str]:
    check_configured(settings)
    return command_lines.build_sql_client(settings, distribution.resolve_sql_jars(settings, echo), _MEMORY)


def _build_environment(settings: Settings) -> dict[str, str]:
    return inherit_env({**settings.environment(), **command_lines.build_environment(settings)})


@contextmanager
def _written(files: Mapping[str, str]) -> Iterator[Path]:
    """Give a folder that holds these files, for the length of a `with`; others may not look into it."""
    folder = Path(tempfile.mkdtemp(prefix="streamlearn-sql-"))
    try:
        for name, text in files.items():
            (folder / name).write_text(text)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
