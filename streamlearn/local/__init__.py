"""The whole pipeline on one machine, from PyPI and Maven alone: what `streamlearn up` runs.

secrets.py        makes the passwords that are not set
configuration.py  the options of Redis, Kafka and Flink, and their files
services.py       the processes: their commands and ports
supervisor.py     supervisord, which starts and restarts them
processes.py      finds the processes of a stack, and the one that holds a port
health.py         tests whether each part answers
submitter.py      keeps every pipeline's job running
up.py             starts and stops the stack, and reports its status
chaos.py          kills parts at random, under load, and verifies
container.py      the same parts, one a container, for docker-compose.yml
probe.py          tests whether a container is healthy
"""
