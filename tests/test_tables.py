"""The SQL of a job, as text; `test_job.py` and `test_many_partitions.py` run it."""

from flink_jobs import tables
from streamlearn.broker.answer_keys import make_answer_key
from streamlearn.pipelines.digits import pipeline
from streamlearn.settings import Settings


def test_the_sql_of_one_partition_names_no_key() -> None:
    source = tables.build_source_table(pipeline, Settings(), "group", [7])
    assert "'scan.startup.specific-offsets' = 'partition:0,offset:7'" in source
    text = tables.build_sink_table(pipeline, Settings()) + tables.build_insert(pipeline)
    assert "key" not in text
    assert "CASE" not in text


def test_a_job_with_a_limit_takes_few_rows_at_once() -> None:
    """A checkpoint waits for all that a worker has been given."""
    sizes = [
        tables.count_rows_at_once(Settings(catch_up_rate=rate), parallelism)
        for rate, parallelism in ((0, 1), (100, 1), (100, 4), (0.5, 1), (1e6, 1))
    ]
    assert sizes == [(1024, 4096), (100, 100), (25, 25), (1, 1), (256, 256)]


def test_the_answers_of_several_partitions_have_the_keys_of_theirs() -> None:
    source = tables.build_source_table(pipeline, Settings(), "group", [7, 0])
    assert "'partition:0,offset:7;partition:1,offset:0'" in source
    sink = tables.build_sink_table(pipeline, Settings(), 2)
    assert "`key` BYTES," in sink
    assert "'key.fields' = 'key'" in sink
    first, second = make_answer_key(0).hex(), make_answer_key(1).hex()
    case = f"CASE `partition` WHEN 0 THEN x'{first}' WHEN 1 THEN x'{second}' END"
    insert = tables.build_insert(pipeline, 2)
    assert case in insert
    assert insert.count("learn(") == 1
