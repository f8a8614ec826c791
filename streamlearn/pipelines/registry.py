"""Which pipelines there are: those installed, and those named as `package.module:object`.

The built-in ones are modules beside this one. One of your own is a `Pipeline` in a module of your own,
registered under the entry-point group `streamlearn.pipelines`, or named where it is used
(`docs/your-own-pipeline.md`).
"""

import sys
from dataclasses import replace
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from streamlearn.errors import StreamlearnError, UnknownPipeline
from streamlearn.names import GROUP, ONLY_BY_NAME, list_named, registered_names
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.user_code import describe_error
from streamlearn.settings import Settings

__all__ = ["load", "load_all", "registered_names"]


def load_all(settings: Settings) -> list[Pipeline]:
    """Load every pipeline that the whole stack runs: those registered, and those that the settings name."""
    return [load(reference) for reference in [*registered_names(), *list_named(settings)]]


def load(reference: str) -> Pipeline:
    """Load a pipeline: one that is built in or registered by its name, others as `package.module:object`.

    One that the settings name, or that is called `pipeline` in a module of its own name, goes by its name
    too. Modules are looked for where Python does, in the current folder, and beside the stack's home.

    Raises
    ------
    UnknownPipeline
        There is none.
    """
    if ":" in reference:
        return _import(reference)
    for entry in entry_points(group=GROUP, name=reference):
        return _with_reference(entry.load(), reference)
    own = list_named(Settings.load())
    for pipeline in map(_import, own):
        if pipeline.name == reference:
            return pipeline
    folders = _list_folders()
    if any((folder / f"{reference}.py").is_file() for folder in folders):
        return _import(f"{reference}:pipeline")
    if reference in ONLY_BY_NAME:
        return _import(f"streamlearn.pipelines.{reference}:pipeline")
    raise UnknownPipeline(
        f"no pipeline is called {reference!r}; there are: {', '.join([*registered_names(), *own])}, and where"
        f" they are named {', '.join(ONLY_BY_NAME)}. One of"
        f" your own is named as package.module:object, or is `pipeline` in {reference}.py; looked in "
        + " and ".join(map(str, folders))
    )


def _import(reference: str) -> Pipeline:
    module, _, attribute = reference.partition(":")
    sys.path += [str(folder) for folder in _list_folders() if str(folder) not in sys.path]
    try:
        return _with_reference(getattr(import_module(module), attribute), reference)
    except StreamlearnError:
        raise
    except Exception as error:  # whatever its code raises when it is imported
        raise UnknownPipeline(f"{reference} cannot be loaded: {describe_error(error)}") from error


def _list_folders() -> list[Path]:
    """Return where a pipeline of one's own may be: here, and where the stack was started."""
    return list(dict.fromkeys([Path.cwd(), Settings.load().home.absolute().parent]))


def _with_reference(loaded: object, reference: str) -> Pipeline:
    if not isinstance(loaded, Pipeline):
        raise UnknownPipeline(f"{reference} is a {type(loaded).__name__}, not a Pipeline")
    return replace(loaded, reference=reference)
