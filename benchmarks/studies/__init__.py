"""What is tried without a stack, to choose by.

partitions.py   several learners that share a stream
estimators.py   estimators over two streams
"""
