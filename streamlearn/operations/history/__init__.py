"""What is done with records that are there already.

backfill.py   a history learned, and a lineage begun from it
repair.py     a lineage's records with a span replaced: copied, learned, compared
backtest.py   the records of a lineage, for other parameters to be tried on
"""
