"""The core, imported by the three programs; it imports none of them, nor Kafka, Flink or Flask.

Data flows through the modules in this order::

    settings ─▶ datasets ─▶ messages ─▶ pipeline(s) ─▶ learner ─▶ scores ─▶ checkpoint ─▶ store
    where and    what is     bytes ⇄     topic, type,   predict,   how well   learner ⇄     versions
    how          replayed    records     estimator      learn                 bytes         in Redis

`worker` does this for one attempt of a job, a chunk at a time (`answers`, `control`); `recovery` finds the
learner that goes on after a restart, from the store or again from the `stream` and its `journal`; `verify`
does all of it once more and compares. `store` reads versions in Redis, `writer` writes them. `figures` makes
series to look at from committed answers; `flink_api` asks Flink how a job fares. `lags` finds which series
leads which, beside all this; `running` does so within the learner, and `lag_sets` says which lags it uses.
`baselines` sets rivals beside `pm25`.
"""
