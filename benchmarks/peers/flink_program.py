"""Jobs to compare with, as `flink run` executes them: source, sink and options are those of the learning job.

    flink run … -py flink_program.py --kind pass_through --start 0

pass_through  a pandas function that returns what it is given, in the place of `learn`
copy          no function and no Python: INSERT INTO … SELECT
row_by_row    a function that is called for each row: decode it, `predict`, `partial_fit`
"""

import argparse
import json
from typing import Any

import pandas as pd
from pyflink.table import DataTypes, EnvironmentSettings, TableEnvironment
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

from benchmarks.peers.copies import name_pipeline
from flink_jobs import tables
from streamlearn.broker.register import group_id
from streamlearn.pipelines import digits
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.stream.lineage import Lineage


class RowByRow(ScalarFunction):  # type: ignore[misc]
    """One row a call: the estimator predicts it, then learns it."""

    def is_deterministic(self) -> bool:
        """Return False: the result depends on the rows before."""
        return False

    def open(self, function_context: FunctionContext) -> None:
        """Make the estimator."""
        from sklearn.linear_model import SGDClassifier

        self._estimator = SGDClassifier(**digits.first.parameters)

    def eval(self, partition: int, offset: int, value: bytes) -> bytes:
        """Answer a record."""
        record = json.loads(value)
        x, known = [record["x"]], hasattr(self._estimator, "coef_")
        prediction = int(self._estimator.predict(x)[0]) if known else None
        self._estimator.partial_fit(x, [record["actual_y"]], classes=list(range(10)))
        return json.dumps({**record, "predict_y": prediction}).encode()


def make_function(kind: str, topic: str) -> Any:
    """Return the SQL function of a job, called `answer` there."""
    if kind == "row_by_row":
        return udf(RowByRow(), result_type=DataTypes.BYTES(), deterministic=False)

    def pass_through(partition: Any, offset: Any, value: Any) -> pd.DataFrame:
        return pd.DataFrame({"value": value, "topic": topic})

    columns = [DataTypes.FIELD("value", DataTypes.BYTES()), DataTypes.FIELD("topic", DataTypes.STRING())]
    return udf(pass_through, result_type=DataTypes.ROW(columns), func_type="pandas", deterministic=False)


def build_insert(kind: str, pipeline: Pipeline) -> str:
    """Return the INSERT statement of a job."""
    if kind == "pass_through":
        return tables.build_insert(pipeline).replace("learn(", "answer(")
    value = "`value`" if kind == "copy" else "answer(`partition`, `offset`, `value`)"
    return f"""
        INSERT INTO `{pipeline.prediction_topic}`
        SELECT {value}, '{pipeline.prediction_topic}' FROM `{pipeline.topic}`"""  # noqa: S608 (the names are ours)


def main() -> None:
    """Submit the job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", required=True, choices=["pass_through", "copy", "row_by_row"])
    parser.add_argument("--start", required=True, type=int, help="the first offset to read")
    arguments = parser.parse_args()
    settings, pipeline = Settings.load(), name_pipeline(arguments.kind)
    lineage = Lineage(pipeline.name, pipeline.name, "bench", {}, arguments.start, 1)
    table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for key, value in tables.build_options(lineage, settings, 1).items():
        table.get_config().set(key, value)
    if arguments.kind != "copy":
        table.create_temporary_system_function(
            "answer", make_function(arguments.kind, pipeline.prediction_topic)
        )
    table.execute_sql(tables.build_source_table(pipeline, settings, group_id(pipeline), [arguments.start]))
    table.execute_sql(tables.build_sink_table(pipeline, settings))
    table.execute_sql(build_insert(arguments.kind, pipeline))


if __name__ == "__main__":
    main()
