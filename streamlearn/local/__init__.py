"""The whole pipeline on one machine, from PyPI and Maven alone: what `streamlearn up` runs.

secrets.py        passwords that it makes for itself
configuration.py  what Redis, Kafka and Flink are told
services.py       the processes: their commands and ports
supervisor.py     supervisord, which runs and restarts them
processes.py      finding what is ours and what holds a port
health.py         whether each part answers
up.py             up, down, status
chaos.py          kills parts at random, under load, and verifies
container.py      the same parts, one a container, for docker-compose.yml
probe.py          whether a container is well
"""
