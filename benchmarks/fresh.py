"""How soon a record is answered and learned. `scripts/bench fresh`.

Starts a stack of its own and sends digits at an even pace. For each it measures two times, from its sending:

served     until the model that the server answers with has learned it
committed  until its answer can be read by those who see committed transactions only

Both are percentiles over the records of a round. The served model is looked at a hundred times a second.
"""

import http.client
import json
import threading
import time
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import click
import numpy as np
from kafka import TopicPartition
from numpy.typing import NDArray

from benchmarks.measuring import Results, spread, take_turns, takes_output
from benchmarks.servers import running_stack
from streamlearn.broker.broker import Broker
from streamlearn.datasets import digits as dataset
from streamlearn.pipelines import digits
from streamlearn.settings import Settings
from streamlearn.stream.journal import read_entry
from streamlearn.stream.records import encode

RATES = (10, 100, 1000)

_LOOK_EVERY_S = 0.01
_POLL_MS = 10
_PATIENCE_S = 30.0
_WARM_UP_RECORDS = 2000

Times = NDArray[np.float64]


class Watcher(threading.Thread):
    """Notes when each of some records, from an offset on, has reached its goal.

    Parameters
    ----------
    start
        The offset of the first record.
    count
        How many records there are.
    """

    def __init__(self, settings: Settings, start: int, count: int) -> None:
        super().__init__(daemon=True)
        self._settings = settings
        self._start = start
        self.reached_s: Times = np.full(count, np.nan)
        """When each record has reached it; NaN: not yet."""
        self.stopped = threading.Event()

    def note(self, offset: int) -> None:
        """Note that the records below an offset have reached it by now."""
        reached = self.reached_s[: max(0, offset - self._start)]
        reached[np.isnan(reached)] = time.monotonic()

    @property
    def is_done(self) -> bool:
        """Whether all have reached it."""
        return not np.isnan(self.reached_s).any()


class ServedWatcher(Watcher):
    """Asks the server which version it answers with: version v has learned all records below offset v."""

    def run(self) -> None:
        """Ask again and again."""
        tensor = {"name": "x", "shape": [1, 64], "datatype": "FP64", "data": [8.0] * 64}
        body = json.dumps({"inputs": [tensor]}).encode()
        headers = {"Content-Type": "application/json"}
        connection = http.client.HTTPConnection("localhost", self._settings.http_port, timeout=10)
        while not self.stopped.is_set() and not self.is_done:
            connection.request("POST", "/v2/models/digits/infer", body, headers)
            answer = json.loads(connection.getresponse().read())
            if "model_version" in answer:
                self.note(int(answer["model_version"]))
            time.sleep(_LOOK_EVERY_S)
        connection.close()


class CommittedWatcher(Watcher):
    """Reads the answers that are committed."""

    def run(self) -> None:
        """Read on and on."""
        partition = TopicPartition(digits.pipeline.prediction_topic, 0)
        with Broker(self._settings) as broker, broker.consumer() as consumer:
            consumer.assign([partition])
            consumer.seek_to_end(partition)
            while not self.stopped.is_set() and not self.is_done:
                for record in consumer.poll(timeout_ms=_POLL_MS).get(partition, ()):
                    if entry := read_entry(record.value, partition.topic):
                        self.note(entry.offset + 1)


def measure(settings: Settings, rate: int, seconds: float) -> dict[str, Times]:
    """Send records at a rate; return, for each goal, the seconds from sending to reaching it, by record.

    Raises
    ------
    click.ClickException
        Some have not reached it half a minute after the last was sent.
    """
    count = max(10, round(rate * seconds))
    values = cycle([encode(record) for record in dataset.records(seed=1, passes=1)])
    sent_s = np.empty(count)
    with Broker(settings) as broker, broker.producer() as producer:
        start = broker.stable_end(digits.pipeline.topic)
        watchers = {
            "served": ServedWatcher(settings, start, count),
            "committed": CommittedWatcher(settings, start, count),
        }
        for watcher in watchers.values():
            watcher.start()
        # The committed answers are watched from the end of their topic on.
        time.sleep(1.0)
        began = time.monotonic()
        for number, value in zip(range(count), values, strict=False):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            sent_s[number] = time.monotonic()
            producer.send(digits.pipeline.topic, value=value, partition=0)
    for name, watcher in watchers.items():
        watcher.join(_PATIENCE_S)
        watcher.stopped.set()
        if not watcher.is_done:
            raise click.ClickException(f"some records are not {name} after {_PATIENCE_S:.0f} s")
    latencies = {name: watcher.reached_s - sent_s for name, watcher in watchers.items()}
    for name, times in latencies.items():
        click.echo(f"{rate} a second: {name} p95 {1000 * np.percentile(times, 95):.0f} ms")
    return latencies


def summarize(outcomes: dict[str, list[dict[str, Times]]]) -> list[dict[str, Any]]:
    """Return a row for each rate and goal; the spread is that of the rounds' 95th percentiles."""
    rows = []
    for rate, rounds in outcomes.items():
        for goal in rounds[0]:
            in_ms = [1000 * latencies[goal] for latencies in rounds]
            rows.append(
                {
                    "name": f"{goal}, {rate}",
                    "records": len(in_ms[0]),
                    "p50_ms": float(np.median([np.percentile(times, 50) for times in in_ms])),
                    **spread([float(np.percentile(times, 95)) for times in in_ms], "p95_ms"),
                    "longest_ms": float(max(times.max() for times in in_ms)),
                }
            )
    return rows


@click.command(help=__doc__.replace("\n\nserved ", "\n\n\b\nserved "))
@click.option("--quick", is_flag=True, help="One round of ten seconds at each rate.")
@click.option(
    "--rounds", type=click.IntRange(min=1), help="How often each rate is measured; 3, or 1 if quick."
)
@click.option("--seconds", type=click.FloatRange(min=1), help="How long; 30, or 10 if quick.")
@click.option("--rate", "rates", multiple=True, type=click.IntRange(min=1), help="Records a second.")
@takes_output("fresh")
def main(
    quick: bool, rounds: int | None, seconds: float | None, rates: tuple[int, ...], output: Path
) -> None:
    """Measure and print."""
    rounds, seconds = rounds or (1 if quick else 3), seconds or (10.0 if quick else 30.0)
    with running_stack() as settings:
        measure(settings, rate=1000, seconds=_WARM_UP_RECORDS / 1000)
        calls = {f"{rate} a second": partial(measure, settings, rate, seconds) for rate in rates or RATES}
        outcomes = take_turns(calls, rounds)
        interval_ms = settings.checkpoint_interval_ms
    results = Results(
        "From sending a record to a served model, and to a committed answer",
        summarize(outcomes),
        {"rounds": rounds, "seconds": seconds, "checkpoint_interval_ms": interval_ms},
    )
    results.print()
    results.write(output)
    results.draw(output.with_suffix(".svg"), "p95_ms", "95th percentile, ms")


if __name__ == "__main__":
    main()
