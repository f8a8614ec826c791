"""Pipelines of one's own that a stack was told of while it runs: what its server takes up by itself.

`streamlearn train` writes a file into the stack's home, `streamlearn reset` takes it away. It names the
pipeline, the folder of its module and what that consists of; so the server finds the same code, and notices
when it has been edited.
"""

import hashlib
import importlib
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from streamlearn.errors import UnknownPipeline
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load, load_all
from streamlearn.pipelines.user_code import PACKAGES, find_user_code
from streamlearn.settings import Settings


class Announcement(msgspec.Struct, frozen=True):
    """A pipeline that a running server is to take up."""

    reference: str
    """`package.module:object`."""
    files: tuple[str, ...]
    """Its modules and packages, the one that holds it first."""
    digest: str
    """Of what is in them."""


def announce(settings: Settings, pipeline: Pipeline) -> None:
    """Tell the stack's server of a pipeline; it already knows those that are installed."""
    files = find_user_code(pipeline)
    if not files:
        return
    announcement = Announcement(pipeline.reference, tuple(map(str, files)), _hash_files(files))
    path = _find_folder(settings) / f"{pipeline.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(announcement))
    new.replace(path)


def withdraw(settings: Settings, pipeline: Pipeline) -> None:
    """Take back what was told of a pipeline."""
    (_find_folder(settings) / f"{pipeline.name}.json").unlink(missing_ok=True)


def list_announced(settings: Settings) -> dict[str, Announcement]:
    """Return what was told, by the pipelines' names; what cannot be read is left out."""
    announced = {}
    for path in sorted(_find_folder(settings).glob("*.json")):
        try:
            announced[path.stem] = msgspec.json.decode(path.read_bytes(), type=Announcement)
        except (OSError, msgspec.DecodeError):
            continue
    return announced


def load_known(settings: Settings) -> list[Pipeline]:
    """Return the registered pipelines, those that the settings name, and those that the stack was told of.

    Raises
    ------
    UnknownPipeline
        One of the first two cannot be loaded; one that was told of and cannot is left out.
    """
    pipelines = {pipeline.name: pipeline for pipeline in load_all(settings)}
    for name, announcement in list_announced(settings).items():
        if name not in pipelines:
            with suppress(UnknownPipeline):
                pipelines[name] = load_announced(announcement)
    return list(pipelines.values())


class Following:
    """Follows what is announced from look to look.

    Parameters
    ----------
    own
        The names of pipelines that are known otherwise: what is announced of them is passed over.
    """

    def __init__(self, settings: Settings, own: Collection[str]) -> None:
        self._settings = settings
        self._own = frozenset(own)
        self._taken: dict[str, Announcement] = {}

    def look(self) -> tuple[dict[str, Announcement], set[str]]:
        """Return what is new or was edited since the last look, by name, and what was taken back."""
        announced = {
            name: announcement
            for name, announcement in list_announced(self._settings).items()
            if name not in self._own
        }
        before, self._taken = self._taken, announced
        new = {name: entry for name, entry in announced.items() if before.get(name) != entry}
        return new, set(before) - set(announced)


def load_announced(announcement: Announcement) -> Pipeline:
    """Load a pipeline, anew where its code was imported before.

    Raises
    ------
    UnknownPipeline
        It cannot be loaded.
    """
    first = Path(announcement.files[0])
    if str(first.parent) not in sys.path:
        sys.path.append(str(first.parent))
    for name, module in sys.modules.copy().items():
        if name.partition(".")[0] in PACKAGES:
            continue  # loaded anew, its classes would be others than those that the program uses
        file = getattr(module, "__file__", None)
        if file and any(Path(file).is_relative_to(path) for path in announcement.files):
            del sys.modules[name]
    importlib.invalidate_caches()
    try:
        return load(announcement.reference)
    except UnknownPipeline:
        raise
    except Exception as error:  # such as a declaration that cannot be
        raise UnknownPipeline(f"{announcement.reference} cannot be loaded: {error}") from error


def _find_folder(settings: Settings) -> Path:
    return settings.home / "pipelines"


def _hash_files(files: Sequence[Path]) -> str:
    sources = (
        source for path in files for source in (sorted(path.rglob("*.py")) if path.is_dir() else [path])
    )
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
