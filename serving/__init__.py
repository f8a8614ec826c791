"""Serves the newest model over HTTP: a Flask application, run by gunicorn.

processes.py     how gunicorn's processes listen, begin and end
app.py           create_app: settings in, application out
bodies.py        a request's body, whole, within limits of size and time
access.py        host names, origins, the token, how often
telemetry.py     request ids, the access log, metrics
tensors.py       the protocol's tensors ⇄ arrays, as JSON and in bytes
signature.py     a pipeline's records as tensors, and its answers
model_cache.py   the model in memory, replaced when Redis has another
inference.py     /v2: health, readiness, what is served, infer
v1.py            /v1: the older protocol
forecast.py      forecasts, as JSON and CSV
lags.py          which drivers lead what is forecast
versions.py      the versions kept, pinning, a file of one
feedback.py      labelled records for the stream; recent.py: predictions by their id
digits.py        the tutorial's /predict
drawing.py       a drawing (SVG) → the 8×8 picture that the model knows; picture.py: as UCI's were prepared
errors.py        every error as JSON of one shape
pages/           the pages, kept up to date while one watches
openapi.py       the description of all this, and a page of it
files.py         the files that the processes share
"""
