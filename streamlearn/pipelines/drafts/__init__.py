"""A pipeline drafted from a file or a topic: what `streamlearn init` writes.

names.py          headers → names of fields
columns.py        what each column seems to hold
wire.py           … and how a topic has it
labels.py         what is to be predicted, and the classes
series.py         of a forecast: its steps, and how far ahead
inference.py      all columns
python_text.py    values as Python has them
struct_text.py    → the text of a record type
forecast_text.py  → the text of a module that forecasts
module_text.py    → the text of any module
"""
