"""Online machine learning on a stream: predict each record, then learn from it.

Read the folders in this order, which is that of the data; each lists its modules in its own `__init__.py`.

__main__.py    `python -m streamlearn` is the command
errors.py      every error, one class for each meaning
settings.py    every setting, from `STREAMLEARN_*` variables
names.py       the names by which pipelines are called
extras.py      what to install where an optional package is missing
waiting.py     waiting for a condition, with a deadline
estimators/    estimators that learn row by row
lags/          which series leads which, and by how many steps
learning/      learners: predict, score, then learn
datasets/      the data sets that can be replayed
stream/        records, control records and lineages, as they stand in topics
pipelines/     a pipeline: its topics, its type of record, its learning
storage/       model versions, as snapshots in Redis
broker/        Kafka: topics, records, the register of lineages
engine/        learning a stream, in a job and offline; restarts; verification
warehouse/     the catalogue of topics, compared with the broker
operations/    what you may do to a model: list, pin, roll back, change lags, verify
reports/       a page of figures about a pipeline's answers
local/         the whole stack on one machine
cli/           the command `streamlearn`

Imports go the same way: a folder imports those above it only (`[tool.importlinter]` in `pyproject.toml`). The
programs stand beside this package: `producer/` replays a data set into Kafka, `flink_jobs/` runs the engine
in Flink, `serving/` answers over HTTP. They import the folders down to `operations/`. Nothing is imported
here, so each program needs its own packages only.
"""
