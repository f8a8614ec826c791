"""A stream on the wire: its records, what changes it from outside, and the ports that `broker/` implements.

records.py       wire records ⇄ structs, predictions, dead letters
explanations.py  what records that cannot be read look like
control.py       signed control records, ordered among the data
lineage.py       what a lineage is
ports.py         what the engine asks of Kafka: `Stream` and `Journal`
journal.py       answers → the chunks in which their records were learned
"""
