"""SQL that asks the live model by Flink's own provider, on the real stack: the examples of the docs."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from stacks import ROOT, Server, Stack, Trial, open_topics, running_trial

from flink_jobs.java import command_lines, distribution
from streamlearn.errors import StackError
from streamlearn.settings import Settings, inherit_env
from streamlearn.waiting import wait_until

BLOCKS = re.findall(
    r"^```sql\n(.*?)^```", (ROOT / "docs" / "sql-models.md").read_text(), re.MULTILINE | re.DOTALL
)
RECORDS = 200


def run_sql(trial: Trial, server: Server, file: Path, statements: str) -> list[Any]:
    """Run statements of the page on the trial's Flink, with the trial's names; return the queries' rows."""
    text = statements.replace("localhost:9092", trial.settings.kafka).replace(
        "http://localhost:8066", server.url
    )
    text = text.replace("'handwritten_digit'", "'asked'").replace("'digits'", "'asked'")
    file.write_text(text)
    command = [*command_lines.build_client(trial.settings), "run"]
    command += ["--jobmanager", trial.settings.flink.removeprefix("http://")]
    command += [
        "--pyClientExecutable",
        sys.executable,
        "--python",
        str(ROOT / "tests" / "sql_rows.py"),
        str(file),
    ]
    variables = {**trial.stack.environment(), **command_lines.build_environment(trial.settings)}
    done = subprocess.run(command, env=inherit_env(variables), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line[4:]) for line in done.stdout.splitlines() if line.startswith("ROW ")]


def ask_server(server: Server, rows: list[list[float]]) -> tuple[str, list[Any]]:
    """Return the version that is served, and what it says of the rows, by `/infer`."""
    tensor = {"name": "x", "shape": [len(rows), 64], "datatype": "FP64", "data": rows}
    answer = server.ask("/v2/models/asked/infer", {"inputs": [tensor], "outputs": [{"name": "predict_y"}]})
    return answer["model_version"], answer["outputs"][0]["data"]


def test_sql_asks_the_model_that_is_being_learned(stack: Stack, tmp_path: Path) -> None:
    """Each row is answered as `/infer` answers it, by the newest version, which moves on meanwhile."""
    table, by_record = BLOCKS
    create = table.partition("SELECT")[0]
    with (
        running_trial(stack, "copies:asked") as trial,
        open_topics(trial) as topics,
        trial.running_server(tmp_path) as server,
    ):
        for count, statements in ((RECORDS, table), (2 * RECORDS, create + by_record)):
            trial.replay(RECORDS)
            topics.settle()
            wait_until(
                lambda count=count: server.get("/v2/models/asked")["parameters"].get("version") == count,
                60,
                "the newest version to be served",
            )
            rows = run_sql(trial, server, tmp_path / "statements.sql", statements)
            xs = [json.loads(row[0])["x"] if isinstance(row[0], str) else row[0] for row in rows]
            version, expected = ask_server(server, xs)
            assert [row[2] for row in rows] == expected
            assert (len(rows), version) == (count, str(count))


def test_the_provider_is_mended_where_its_release_is_known(tmp_path: Path) -> None:
    """The released jar, but for two bytes; anything else is refused."""
    settings = Settings(home=tmp_path, cache=Settings.load().cache)
    [released] = distribution.resolve_jars("models", settings)
    distribution.link_libraries(settings)
    mended = distribution.library_folder(settings) / released.name
    with zipfile.ZipFile(released) as before, zipfile.ZipFile(mended) as after:
        assert after.testzip() is None
        assert after.namelist() == before.namelist()
        changed = {
            name: [
                pair for pair in zip(before.read(name), after.read(name), strict=True) if pair[0] != pair[1]
            ]
            for name in before.namelist()
            if before.read(name) != after.read(name)
        }
    package = "org/apache/flink/model/triton/"
    assert changed == {
        f"{package}AbstractTritonModelFunction.class": [(0x03, 0x04)],
        f"{package}TritonInferenceModelFunction.class": [(0x12, 0x92)],
    }
    with pytest.raises(StackError, match="is not the release"):
        distribution._mend_triton(mended, tmp_path / "again.jar")
