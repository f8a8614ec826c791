"""The commands of the streams' warehouse.

accept.py  `streamlearn accept`: what a SQL job has said, compared with its SQL in batch mode
rules.py   `streamlearn rules`: streams split by conditions
sql.py     `streamlearn sql`: topics as tables, SQL files as jobs
topics.py  `streamlearn topics`: the catalogue beside what the broker says
"""
