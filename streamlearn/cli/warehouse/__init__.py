"""The commands of the streams' warehouse.

accept.py  `streamlearn accept`: what a SQL job has said, compared with its SQL in batch mode
sql.py     `streamlearn sql`: topics as tables, SQL files as jobs
topics.py  `streamlearn topics`: the catalogue beside what the broker says
"""
