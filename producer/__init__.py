"""The producer: replays a data set into its pipeline's topic, at an even pace.

__main__.py    `python -m producer` is `streamlearn replay`
replay.py      paces and sends records, and counts those that the broker has acknowledged
"""
