"""Serves the newest model over HTTP: a Flask application, run by gunicorn.

app.py           create_app: settings in, application out
model_cache.py   the model in memory, replaced when Redis has another
errors.py        every error as JSON of one shape
inference.py     /v2: health, readiness, what is served
digits.py        the page to draw a digit on, and the tutorial's /predict
drawing.py       a drawing (SVG) → the 8×8 picture that the model knows
"""
