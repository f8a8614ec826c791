"""Write what the named extras need into a file each, `<extra>.txt`: `python requirements.py serving flink`.

So an image's libraries are installed anew when what it needs changes, and not whenever `pyproject.toml` does.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
for extra in sys.argv[1:]:
    Path(f"{extra}.txt").write_text("\n".join([*project["dependencies"], *extras[extra], ""]))
