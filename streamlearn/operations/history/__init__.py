"""What is done with records that are there already.

backtest.py   the records of a lineage, for other parameters to be tried on
"""
