"""The commands of the streams' warehouse.

topics.py  `streamlearn topics`: the catalogue beside what the broker says
"""
