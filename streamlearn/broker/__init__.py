"""All access to Kafka outside Flink.

broker.py         `Broker`: settings → connections, questions and bounded reads, in our own errors
bulk.py           long stretches of a topic, by librdkafka
topics.py         the topics of a pipeline: created as they must be, refused if they are not
register.py       the register of lineages: which one is open, which submission is the newest
placement.py      the partition that a record goes to
answer_keys.py    the key that brings an answer into the partition of its record's number
kafka_journal.py  the answers of one lineage, in the order of its records
kafka_stream.py   a pipeline's records and journal: the ports of `stream/ports.py`
description.py    what Kafka says of topics: shape, size, rate, who is behind in reading
tail.py           the newest records of some topics, for those who watch
follower.py       everything in some topics, read on from given offsets
rows.py           a topic's records as rows, for those who look for lags
"""
