"""Which series leads which, and by how many steps.

Offline, on whole series (`streamlearn lags`):

readers/             CSV files and other raw tables → series
grid.py              times → the steps of a grid
series.py            series side by side on one grid
gaps.py              missing steps: short gaps filled, the longest complete run
correlations.py      cross-correlations of two series
prewhitening.py      … with x's own past taken out of both
hypothesis_tests.py  stationarity, and Granger's tests
analysis.py          everything about each pair
summary.py           sentences, tables and plain data about it

In a learner, step by step:

windows.py           the last readings of a series
lag_sets.py          which lags of which series features are made from
lagged_sums.py       sums over pairs of steps, in constant memory
running.py           cross-correlations from such sums
choice.py            the lags that those suggest
"""
