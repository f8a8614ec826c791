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
