"""What streamlearn is measured beside.

copies.py         the digits under names of their own
loops.py          River and scikit-learn with kafka-python, each a program of its own
flink_program.py  jobs that pass on, copy, or learn row by row
mlserver.py       MLServer, in a virtual environment of its own
"""
