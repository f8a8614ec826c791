"""The figures, in one style.

style.py       colours, lines, legends, and SVG that fits into a page
forecast.py    the figures of a series and its forecasts
accuracy.py    the figures of a classifier
lag_pairs.py   a pair of series and its cross-correlations, as files of `streamlearn lags`
variants.py    scores of other parameters over time, as a file of `streamlearn backtest`
"""
