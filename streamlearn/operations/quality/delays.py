"""How long answers took, and how many records waited, over time.

An answer carries no time of its record, and needs none: Kafka keeps a timestamp of both. The time between
them is how long a record stood in its topic until its answer was written. Readers of committed answers see it
at the next checkpoint, so up to the checkpoint interval later.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

STRETCHES = 40
"""Into how many stretches of equal length the time is cut."""

_LEAST_STRETCH_S = 2.0


class Delays(msgspec.Struct):
    """What was measured in each of equally long stretches of time."""

    times: list[float]
    """Where each stretch ends, in seconds since 1970, ascending."""
    median_s: list[float | None]
    """What half of the records answered in it waited at most; None where none was answered."""
    slow_s: list[float | None]
    """What 95 % of them waited at most."""
    waiting: list[int | None]
    """How many offsets had no answer at its end; None where that is not known."""
    count: int
    """How many answers were measured."""
    overall_s: tuple[float, float]
    """Median and 95th percentile of all of them."""


def find_stretches(first_s: float, now_s: float) -> list[float]:
    """Return where the stretches from one moment to another end; none of them is shorter than two seconds.

    >>> find_stretches(100.0, 105.0)
    [102.5, 105.0]
    """
    count = int(np.clip((now_s - first_s) // _LEAST_STRETCH_S, 1, STRETCHES))
    ends: list[float] = np.linspace(first_s, now_s, count + 1)[1:].tolist()
    return ends


def measure_delays(
    pairs: Sequence[tuple[float, float]], times: Sequence[float], waiting: Sequence[int | None]
) -> Delays | None:
    """Return the delays of answers in stretches that end at `times`; None where there is no answer.

    Parameters
    ----------
    pairs
        When a record was written, and when its answer was, in seconds since 1970. Clocks differ: an answer
        that seems older than its record took no time.
    waiting
        How many records waited at each of `times`.

    >>> measure_delays([(0.0, 0.5), (1.0, 3.0)], [2.0, 4.0], [1, 0]).median_s
    [0.5, 2.0]
    """
    if not pairs:
        return None
    written, answered = np.array(pairs, dtype=np.float64).T
    took = np.maximum(answered - written, 0.0)
    places = np.minimum(np.searchsorted(times, answered), len(times) - 1)
    cut = [took[places == number] for number in range(len(times))]
    return Delays(
        [round(time, 1) for time in times],
        [_quantile(part, 0.5) for part in cut],
        [_quantile(part, 0.95) for part in cut],
        list(waiting),
        len(took),
        (round(float(np.quantile(took, 0.5)), 3), round(float(np.quantile(took, 0.95)), 3)),
    )


def _quantile(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", share: float) -> float | None:
    return round(float(np.quantile(values, share)), 3) if len(values) else None


def count_waiting(
    ends: Sequence[dict[int, int]], answers: Sequence[tuple[float, int, int]], times: Sequence[float]
) -> list[int | None]:
    """Return how many offsets waited for their answer at each of some moments.

    Parameters
    ----------
    ends
        For each of `times`, the offset after the newest record that stood in each partition then.
    answers
        When an answer was written, to which partition's record, and at which offset; in any order.

    Returns
    -------
    None for a moment before the first answer that is known of any partition.

    >>> count_waiting([{0: 5}, {0: 9}], [(1.0, 0, 2), (3.0, 0, 8)], [2.0, 4.0])
    [2, 0]
    """
    rows = sorted(answers)
    answered: dict[int, int] = {}
    partitions = {partition for _, partition, _ in rows}
    waiting: list[int | None] = []
    at = 0
    for time, end in zip(times, ends, strict=True):
        while at < len(rows) and rows[at][0] <= time:
            _, partition, offset = rows[at]
            answered[partition] = max(answered.get(partition, -1), offset)
            at += 1
        known = answered.keys() >= partitions and bool(answered)
        waiting.append(
            sum(max(0, end.get(partition, 0) - 1 - offset) for partition, offset in answered.items())
            if known
            else None
        )
    return waiting
