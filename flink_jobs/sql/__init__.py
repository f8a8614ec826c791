"""SQL on the streams: Flink's SQL client, and jobs that are SQL files.

*.sql          the built-in jobs, one statement set a pipeline
tables.py      every topic of the catalogue as a table: DDL for a stream, and for a bounded look at one
client.py      Flink's SQL client: opened for a person, or called with a script
jobs.py        a SQL file as a job: submitted from where it stood, stopped, kept in mind by the stack
acceptance.py  a job's SQL once more in batch mode, compared with what its stream has said
"""
