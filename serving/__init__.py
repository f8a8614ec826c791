"""Serves the newest models over HTTP: a Flask application, run by gunicorn.

How the server starts:

launch.py        the command's process becomes gunicorn
processes.py     gunicorn's configuration: each process listens on a socket of its own
app.py           `create_app`: settings in, Flask application out
files.py         the paths of the files that the processes share

How a request flows:

bodies.py        reads its body, within limits of size and time
telemetry.py     gives it an id and a line in the log, counts it; serves `/metrics`
access.py        checks its host name, origin, token and rate
openapi.py       describes every route; serves `/openapi.json` and `/docs`
protocol/        the routes of the Open Inference Protocol (V2) and of V1
api/             the routes for forecasts, feedback, versions and lags
drawing/         the route for a drawn digit
pages/           the pages for people, kept up to date while somebody watches
models.py        what the routes share: find the model, call it, encode the answer, remember the records
state/           what a process holds: models, arrivals, jobs, backlogs, recent predictions
errors.py        answers every error with JSON of one shape
"""
