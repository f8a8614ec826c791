"""Commands for records that are there already.

backtest.py   `backtest`: other parameters over the same records
backfill.py   `backfill`: begin with what a history teaches
repair.py     `repair`: learn again with a span replaced
"""
