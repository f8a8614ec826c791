#!/usr/bin/env python3
"""Delete models from Redis: `scripts/redis_clear.py [--force] [KEY …]`.

With keys, it deletes each and says whether it was there. Without, it ends every pipeline's lineage and
deletes all keys of streamlearn, and no others; the next `streamlearn train` begins a new lineage. While a job
runs, that is refused, unless you say --force.
"""

import argparse
import os
import sys
from pathlib import Path

VENV = Path(__file__).resolve().parent.parent / ".venv" / "bin" / "python"

try:
    from flink_jobs.reset import end_lineage
    from streamlearn.errors import StreamlearnError
    from streamlearn.pipelines.registry import load_all
    from streamlearn.settings import Settings
    from streamlearn.storage.store import Store
except ModuleNotFoundError:
    if not VENV.exists() or Path(sys.executable).parent == VENV.parent:
        sys.exit("streamlearn is not installed here: run scripts/setup first")
    os.execv(VENV, [str(VENV), *sys.argv])  # noqa: S606 (the interpreter that scripts/setup has installed)


def main() -> None:
    """Read the command line and delete."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("keys", nargs="*", metavar="KEY", help="full name of a Redis key")
    parser.add_argument("--force", action="store_true", help="cancel the jobs that run")
    arguments = parser.parse_args()
    settings = Settings.load()
    store = Store.of(settings)
    for key in arguments.keys:
        print(f"{key}: {'deleted' if store.delete(key) else 'not found'}")
    if not arguments.keys:
        for pipeline in load_all(settings):
            end_lineage(settings, pipeline, force=arguments.force, echo=print)
        print(f"{store.clear()} other keys deleted")


if __name__ == "__main__":
    try:
        main()
    except StreamlearnError as error:
        sys.exit(f"redis_clear: {error}")
