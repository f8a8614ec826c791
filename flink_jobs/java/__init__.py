"""Java for the job: where it and Flink are, and how Flink's processes are started.

distribution.py   finds Flink and Java, fetches the jars
command_lines.py  the command lines of Flink's processes
class_archive.py  archives of the classes that they load
"""
