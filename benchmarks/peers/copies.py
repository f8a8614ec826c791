"""The digits under names of their own: each contender has topics of its own."""

from dataclasses import replace

from streamlearn.pipelines import digits
from streamlearn.pipelines.base import Pipeline


def name_pipeline(kind: str) -> Pipeline:
    """Return the digits under the name of a contender, whose answers go to a topic of its own."""
    return replace(digits.pipeline, name=f"bench_{kind}", prediction_topic=f"bench_{kind}")


def _split(kind: str) -> Pipeline:
    return replace(name_pipeline(kind), topic=f"bench_{kind}_records")


one = _split("one")
four = _split("four")
PARTITIONS = {"one": 1, "four": 4}
"""How many partitions the topics of each of the two have, which are pipelines of whole jobs."""
