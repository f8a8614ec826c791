"""The built-in pipelines under other names, on topics of their own: a group of tests each."""

from dataclasses import replace

from streamlearn.pipelines import digits, pm25, pm25_gru, stations
from streamlearn.pipelines.base import Pipeline


def _copy(pipeline: Pipeline, name: str, topic: str = "") -> Pipeline:
    return replace(pipeline, name=name, topic=topic or name, prediction_topic=f"{name}_answers")


table = _copy(digits.pipeline, "table")
series = _copy(pm25.pipeline, "series")
lagged = _copy(pm25.pipeline, "lagged")
survivor = _copy(digits.pipeline, "survivor")
renewed = _copy(digits.pipeline, "renewed")
spoiled = _copy(digits.pipeline, "spoiled")
passes = _copy(digits.pipeline, "passes")
limited = _copy(digits.pipeline, "limited")
sent_again = replace(_copy(digits.pipeline, "sent_again"), identity="ts", remembers=1000)
asked = _copy(digits.pipeline, "asked")
years = _copy(pm25.pipeline, "years")
linear = _copy(pm25.pipeline, "hours", "hours")
recurrent = _copy(pm25_gru.pipeline, "hours_gru", "hours")
elsewhere = _copy(digits.pipeline, "elsewhere")
many = _copy(digits.pipeline, "many")
four = _copy(digits.pipeline, "four")
eight = _copy(digits.pipeline, "eight")
odd = _copy(digits.pipeline, "odd")
odd_series = _copy(pm25.pipeline, "odd_series")
odd_served = _copy(digits.pipeline, "odd_served")
air = _copy(stations.pipeline, "air")
taught = _copy(digits.pipeline, "taught")
mended = _copy(pm25.pipeline, "mended")
measured = _copy(digits.pipeline, "measured")
promoted = _copy(digits.pipeline, "promoted")
