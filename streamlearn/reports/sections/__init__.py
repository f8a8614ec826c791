"""The sections of the page: figures and tables, with their findings and how to read them.

forecast.py    those of a pipeline that forecasts, except for lags
lags.py        by how many steps each driver leads the value
accuracy.py    those of a classifier
summaries.py   tables of what the SQL jobs of the warehouse have counted
"""
