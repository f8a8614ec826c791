"""What is learned from: pipelines, and the registry of those there are.

definition.py   what is fixed with a lineage, in plain values
fingerprint.py  a fingerprint of code, so that an edit is noticed
display.py      how a pipeline is shown
base.py         `Pipeline`: topics, record type, learning
user_code.py    which files one of your own consists of
registry.py     which pipelines there are, and how one is loaded
announced.py    those of one's own that a running server is told of
drafts/         a pipeline drafted from a file or a topic

The built-in pipelines:

digits.py         a handwritten digit, of ten classes
digits_sgd.py     the same by the tutorial's linear classifier
pm25.py           PM2.5 for some hours ahead
pm25_features.py  … what its experts see of the last 25 hours
pm25_gru.py       the same forecast by a recurrent network
stations.py       the same of many stations
"""

from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.display import Band, Display, Label

__all__ = ["Band", "Display", "Label", "Pipeline"]
