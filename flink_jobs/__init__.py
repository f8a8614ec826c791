"""The Flink job that predicts each record, then learns from it; and what submits it.

sql/             topics as tables, and jobs that are SQL files
rules/           the job that splits streams by rules
java/            where Java and Flink are, and how Flink's processes are started
checkpoints.py   where the checkpoints and savepoints of a job are
submit.py        chooses lineage and checkpoint, then calls `flink run`
workers.py       where workers find Python and the settings, if Flink is elsewhere
tables.py        the job's options and SQL
plan.py          these, as `learn.py` gets them
learn.py         the program that `flink run` executes
learn_udf.py     the SQL function `learn`
task.py          what it does on the worker: `streamlearn.engine.worker` between Flink's batches
pace.py          a limit on how fast it takes records
metrics.py       what Flink shows of the learning, group `online_ml`
keep.py          watches jobs, and submits each that Flink has lost
reset.py         ends a lineage and deletes its models
skip.py          gets past a record that ends the job each time
"""
