"""The Flink job that predicts each record, then learns from it; and what submits it.

tables.py      the source and sink tables, as SQL
learn_udf.py   the adapter between Flink's batches and `streamlearn.engine.worker`
metrics.py     what Flink shows of the learning, group `online_ml`
learn.py       the program that `flink run` executes
submit.py      which lineage, which checkpoint, and the `flink run`
keep.py        sees to it that the job runs
reset.py       ends a lineage and deletes its models
"""
