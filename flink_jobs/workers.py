"""Where the workers of a job find Python, the code and the settings.

In the local stack and in the images they have all of it: the same Python at the same path, and settings in
their environment. To a Flink elsewhere an archive of a Python environment, and the settings, can travel with
each job (`docs/cluster.md`).
"""

import sys
from pathlib import Path

from streamlearn.errors import BadSetting
from streamlearn.settings import Settings, read_variables, variable_name

_FOLDER = "streamlearn-python"
"""The folder into which Flink unpacks the archive, where a worker runs."""

_LOCAL = ("home", "cache", "secrets_file", "worker_settings", "worker_archive", "worker_python")
"""Settings that name files of the machine on which a job is submitted."""


def load_settings(settings: Settings) -> Settings:
    """Return the settings as the workers need them: those here, changed by the file `worker_settings`.

    Raises
    ------
    BadSetting
        The file cannot be read, or has a line that is no setting.
    """
    if not settings.worker_settings:
        return settings
    path = _find_file("worker_settings", settings.worker_settings)
    variables, known = read_variables(path), settings.environment()
    if unknown := sorted(variables.keys() - known.keys()):
        raise BadSetting(f"{path} sets {unknown[0]}, which is no setting; docs/settings.md lists them")
    return Settings.load({**known, **variables})


def list_variables(settings: Settings) -> dict[str, str]:
    """Return the variables that travel with a job; none if the workers have settings of their own."""
    if not settings.worker_settings:
        return {}
    local = set(map(variable_name, _LOCAL))
    variables = load_settings(settings).environment()
    return {name: value for name, value in variables.items() if name not in local}


def python_path(settings: Settings) -> str:
    """Return the path of the workers' Python, as a worker sees it.

    >>> python_path(Settings(worker_python="/usr/bin/python3.11"))
    '/usr/bin/python3.11'
    >>> python_path(Settings(worker_archive="env.tar.gz"))
    'streamlearn-python/bin/python'
    """
    if settings.worker_archive:
        return f"{_FOLDER}/{settings.worker_python or 'bin/python'}"
    return settings.worker_python or sys.executable


def build_client_options(settings: Settings) -> list[str]:
    """Return the options of `flink run` that name the workers' Python and its archive.

    Raises
    ------
    BadSetting
        There is no such archive.
    """
    options = ["--pyExecutable", python_path(settings)]
    if settings.worker_archive:
        archive = _find_file("worker_archive", settings.worker_archive)
        options += ["--pyArchives", f"{archive}#{_FOLDER}"]
    return options


def _find_file(name: str, text: str) -> Path:
    path = Path(text).absolute()
    if not path.is_file():
        raise BadSetting(f"{variable_name(name)}={text!r}: there is no such file")
    return path
