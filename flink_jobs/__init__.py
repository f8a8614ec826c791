"""The Flink job that predicts each record, then learns from it; and what submits it.

distribution.py  finds Flink and Java, fetches the jars
checkpoints.py   where the checkpoints and savepoints of a job are
lock.py          one submission or reset of a pipeline at a time
submit.py        chooses lineage and checkpoint, then calls `flink run`
learn.py         the program that `flink run` executes
tables.py        the source and sink tables, as SQL
learn_udf.py     the adapter between Flink's batches and `streamlearn.engine.worker`
metrics.py       what Flink shows of the learning, group `online_ml`
keep.py          watches jobs, and submits each that Flink has lost
reset.py         ends a lineage and deletes its models
skip.py          gets past a record that ends the job each time
"""
