"""What a process of the server holds in memory.

model_cache.py  the model in memory, replaced when Redis announces another version
arrivals.py     takes up pipelines that `streamlearn train` tells of, while the server runs
poller.py       keeps an answer fresh while somebody asks for it
jobs.py         how the jobs in Flink fare, for `/v2/health/ready`
backlog.py      how far the models are behind their streams
recent.py       the records of recent predictions by id, for feedback
"""
