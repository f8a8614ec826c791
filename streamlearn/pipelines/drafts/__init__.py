"""A pipeline drafted from a file: what `streamlearn init` writes.

names.py        headers → names of fields
columns.py      what each column seems to hold
labels.py       what is to be predicted, and the classes
inference.py    the whole file
module_text.py  → the text of a module
"""
