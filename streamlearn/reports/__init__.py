"""`streamlearn report`: one page of figures that show how good a pipeline's predictions were.

sources.py       a pipeline's records and answers, from Kafka or offline, in the same form
forecasts.py     the answers of a pipeline that forecasts, as arrays on one grid of steps
calibration.py   prediction intervals, and how often the truth was inside
breakdowns.py    errors by group of steps; the worst days
decisions.py     the answers of a classifier beside the labels; the hardest records
figures/         the figures, in one style, as SVG
wording.py       numbers and comparisons as text
sections/        the sections of the page: figures and tables with their findings
contents.py      which sections a pipeline's report has
page.py          sections in one HTML file

Only `sources.py` reads from Kafka and Redis. The same answers give the same bytes.
"""
