"""Commands for records that are there already.

backtest.py   `backtest`: other parameters over the same records
"""
