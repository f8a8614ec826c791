"""The commands of the streams' warehouse.

sql.py     `streamlearn sql`: topics as tables, SQL files as jobs
topics.py  `streamlearn topics`: the catalogue beside what the broker says
"""
