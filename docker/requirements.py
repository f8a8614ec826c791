"""Write the requirements of each named extra into `<extra>.txt`: `python requirements.py serving flink`.

An image's libraries are installed from that file, so a change of `pyproject.toml` rebuilds only the images
whose requirements it changes.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
for extra in sys.argv[1:]:
    Path(f"{extra}.txt").write_text("\n".join([*project["dependencies"], *extras[extra], ""]))
