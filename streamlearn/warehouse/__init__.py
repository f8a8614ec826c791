"""The streams' warehouse: which topics there are, layer by layer, and what is in them.

catalogue.py   the catalogue: every topic with its key, columns, retention and owner, from `catalogue/*.toml`
derived.py     the topics of a pipeline that the catalogue does not list, from its record type
inspection.py  what the broker says of the topics, and where that differs from the catalogue
"""
