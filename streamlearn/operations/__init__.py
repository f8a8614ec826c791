"""Tasks that span Kafka, Redis and Flink, for the commands and the server.

flink_api.py        calls of Flink's REST interface
job_state.py        why a job does not learn
lock.py             one submission or reset of a pipeline at a time
model_versions.py   versions of a model: list, pin, export, import
lineage_changes.py  change a lineage while it learns: an earlier version, other lags
lag_choice.py       the lags that a text asks for, or that the stream suggests
lag_tables.py       the series of a pipeline's data set
flow.py             what flows through a pipeline, as its topics show
recent_score.py     how good the newest answers were
quality/            delays, calibration, kinds of records, and how inputs have moved
verdict.py          how a pipeline fares, in words
looking.py          one look at all that verdicts are made from
history/            what is done with records that are there already: learned with other parameters, or first
verification.py     what `streamlearn verify` reads, and its report
"""
