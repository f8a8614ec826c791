"""What is tried without a stack, to choose by.

partitions.py   several learners that share a stream
stations.py     one model of many series, or a model for each
estimators.py   estimators over two streams
drafts.py       what `init` drafts, over tables of many kinds
corrections.py  models of the digits: how many corrections turn an answer
"""
