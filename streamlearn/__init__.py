"""The core, imported by the three programs; it imports none of them, nor Kafka, Flink or Flask.

Data flows through the modules in this order::

    settings ─▶ datasets ─▶ messages ─▶ pipeline(s) ─▶ learner ─▶ scores ─▶ checkpoint ─▶ store
    where and    what is     bytes ⇄     topic, type,   predict,   how well   learner ⇄     versions
    how          replayed    records     estimator      learn                 bytes         in Redis
"""
