"""Model versions: their bytes, and where they are kept.

snapshot.py        learner ⇄ bytes, signed, without pickle
archive.py         the state in them: the same bytes in any process
direct_archive.py  the same, many times faster, for most states
bundle.py          the snapshots of several partitions in one piece
versions.py        what describes a version
keys.py            the names of the keys in Redis
redis_client.py    the connection to Redis, in our own errors
store.py           versions in Redis: reading, pinning, deleting all; admitting the writer
writer.py          saving them, by the one live worker
retention.py       which versions are worth keeping
summary_store.py   the newest rows of the warehouse's summaries in Redis: taking them over, reading
"""
