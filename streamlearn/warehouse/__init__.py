"""The streams' warehouse: which topics there are, layer by layer, and what is in them.

catalogue.py   the catalogue: every topic with its key, columns, retention and owner, from `catalogue/*.toml`
derived.py     the topics of a pipeline that the catalogue does not list, from its record type
histories.py   the topics from which lineages begin, and which of them are needed still
summaries.py   the summaries of each pipeline, by the names that they have in HTTP and on pages
copying.py     their rows, copied from the topics into Redis
acceptance.py  rows that a stream has said, compared with those that a batch gives
inspection.py  what the broker says of the topics, and where that differs from the catalogue
rules/         conditions in SQL by which one stream is split into many, and their history
"""
