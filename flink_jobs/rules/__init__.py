"""The job that splits streams by rules.

job.py      submitted from where it stood, stopped, kept in mind by the stack; its tables
program.py  the program that `flink run` executes
route.py    the SQL function `route`: `streamlearn.warehouse.rules.router` as Flink calls it
"""
