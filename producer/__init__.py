"""Replays a data set into its pipeline's topic, at an even pace.

replay.py      pacing, sending, counting what the broker has acknowledged
__main__.py    `python -m producer` is `streamlearn replay`
"""
