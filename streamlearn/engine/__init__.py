"""The fold of a stream: predict, then learn, chunk by chunk, in a job or offline.

answering.py   what each record of a chunk is answered; the one place where chunks are learned
isolation.py   records that a pipeline's own code fails on, found and kept out of the model
worker.py      one attempt of a job: resume, then answer call after call
partitions.py  the same for all partitions that a worker of Flink has
recovery.py    the learner that goes on at an offset, after any start
relearning.py  learning again what a snapshot lacks, as the journal says
verify.py      the fold once more, compared with the stream's answers and versions
verification_report.py   what was compared, and how it came out
offline.py     the fold of a data set, with no stream
evaluate.py    its prequential score
backtest.py    other parameters over the same records, side by side
check.py       whether a pipeline of one's own keeps its promises
odd_records.py   records that a stream brings sooner or later, made for `check.py`
"""
