"""How good a stream and its answers are lately: measured on a bounded sample of both topics.

sample.py        the records that the newest answers are for, and the oldest ones, read on from look to look
delays.py        how long answers took, and how many records waited, over time
kinds.py         the score by kind of record: new to the model, seen before, feedback
calibration.py   whether probabilities mean what they say
shift.py         how much the distribution of each field has moved
"""
