"""The routes beside the protocols, in the order of a model's life: predict, send feedback, look, go back.

forecast.py   forecasts, as JSON and CSV
asking.py     predictions whose labels come later
feedback.py   labelled records, sent to the pipeline's input topic
versions.py   the kept versions: list, pin, unpin, download
summaries.py  the warehouse's summaries of a pipeline, as JSON and CSV
lags.py       which drivers lead the forecast value, and by how many steps
"""
