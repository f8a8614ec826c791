"""Everything said to Kafka outside Flink, shared by the producer, the job's submitter and the server.

client.py     settings → connected clients, in our own errors
layout.py     the topics of a pipeline: created as they must be, refused if they are not
records.py    bounded reads of a partition, transactions respected
tail.py       the newest records of some topics, for those who watch
journal.py    the answers of one lineage, in the order of its records
lineages.py   the register of lineages: which one is open, which submission is the newest
stream.py     a pipeline's records and journal, as the core asks for them
verifying.py  what `verify` needs from outside, and its report in words
rows.py       a topic's records as rows, for those who look for lags
versions.py   the versions that are kept, which is served, files of them
controlling.py  control records: an earlier version, other lags
"""
