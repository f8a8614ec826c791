"""One page of figures of how a pipeline has fared, made from its answers: `streamlearn report`.

sources.py             answers and their records, from Kafka or from a quiet pass: the same structure
forecasts.py           answers of a series → arrays on one grid of steps: values, forecasts, errors, drivers
calibration.py         intervals made from errors known by then, and how often the truth came inside
breakdowns.py          errors by group of steps; the worst days
decisions.py           answers of a classification → confusion, recall, precision, the hardest records
drawing.py             figures: one style, SVG for a page, the same bytes each time
forecast_figures.py    what is drawn of a series
accuracy_figures.py    what is drawn of a classification
forecast_sections.py   the sections on a series, with what they find in words
lag_sections.py        the section on what drives it
accuracy_sections.py   the sections on a classification
words.py               numbers and comparisons as people write them
page.py                sections → one HTML file
contents.py            which sections a pipeline has
commands.py            the command

Only `sources.py` talks to Kafka and Redis.
"""
