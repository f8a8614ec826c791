"""An article's LSTM, a fair one, what others take, and the pipeline `pm25`, over the same hours of PM2.5.

hours.py               the data set as arrays
rules.py               what an hour without a reading counts as, and which forecasts are scored
examples.py            what a net learns from
article.py             examples as the article prepares them
fair.py                examples as a fair rival needs them
lstm.py                nets: fitting and forecasting
rivals.py              climatology, a dynamic harmonic regression, and gradient boosting
online.py              the pipeline, learning on or frozen after the first year
comparison.py          all models' residuals under a rule
bootstrap.py           intervals for differences in RMSE
article_report.py      the article's LSTM → Markdown and JSON
comparison_report.py   a comparison → Markdown and JSON
figures.py             the article's two plots, and one of a comparison

An hour is its number in the data set. A forecast belongs to the hour that it is of, and is made in the hour
before. The first year is learned, the other four are forecast. `docs/pm25.md` shows the results.
"""
