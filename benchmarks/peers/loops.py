"""Other ways to learn the digits from Kafka, each a program of its own that ends after some records.

    python -m benchmarks.peers.loops river --kafka localhost:9092 --start 0 --records 20000

river           River's one-vs-rest logistic regression, record by record
sklearn         scikit-learn's SGDClassifier, in chunks of 256
sklearn_crc32c  the same, with crc32c installed beside kafka-python

kafka-python computes checksums in Python unless crc32c is installed, which it does not ask for: the first two
go without. All read with kafka-python, predict, then learn, and send each prediction, as a person would write
it: without transactions, snapshots or checks. At the end the program prints, as JSON, how many records it has
answered, and the wall clock and CPU seconds from the first one on.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from benchmarks.peers.copies import name_pipeline
from streamlearn.pipelines import digits

if TYPE_CHECKING:
    from kafka import KafkaConsumer, TopicPartition

_CHUNK_ROWS = 256
_CLASSES = list(range(10))

Answer = Callable[[Sequence[Any]], list[Any]]
"""Predicts, then learns some digits; returns the predictions."""


def make_river() -> Answer:
    """Return the loop that River's documentation shows."""
    from river import linear_model, multiclass

    model = multiclass.OneVsRestClassifier(linear_model.LogisticRegression())

    def answer(records: Sequence[Any]) -> list[Any]:
        predictions = []
        for record in records:
            x = dict(enumerate(record["x"]))
            predictions.append(model.predict_one(x))
            model.learn_one(x, record["actual_y"])
        return predictions

    return answer


def make_sklearn() -> Answer:
    """Return the estimator of the pipeline `digits_sgd`, without streamlearn around it."""
    import numpy as np
    from sklearn.linear_model import SGDClassifier

    estimator = SGDClassifier(**digits.first.parameters)

    def answer(records: Sequence[Any]) -> list[Any]:
        x, y = np.array([record["x"] for record in records]), [record["actual_y"] for record in records]
        known = hasattr(estimator, "coef_")
        predictions = estimator.predict(x).tolist() if known else [None] * len(records)
        estimator.partial_fit(x, y, classes=_CLASSES)
        return list(predictions)

    return answer


PEERS = {
    "river": (make_river, 1),
    "sklearn": (make_sklearn, _CHUNK_ROWS),
    "sklearn_crc32c": (make_sklearn, _CHUNK_ROWS),
}
"""What makes each peer, and how many records it takes at a time."""


@click.command(help=__doc__)
@click.argument("name", type=click.Choice(list(PEERS)))
@click.option("--kafka", required=True, help="The bootstrap server, host:port.")
@click.option("--start", type=int, required=True, help="The offset of the first record.")
@click.option("--records", type=int, required=True, help="How many to answer.")
def main(name: str, kafka: str, start: int, records: int) -> None:
    """Answer some records, and print what that has taken."""
    if not name.endswith("_crc32c"):
        sys.modules["crc32c"] = None  # type: ignore[assignment]
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    make, chunk_rows = PEERS[name]
    answer = make()
    consumer = KafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    producer = KafkaProducer(bootstrap_servers=kafka, linger_ms=5)
    partition, output_topic = TopicPartition(digits.pipeline.topic, 0), name_pipeline("peer").prediction_topic
    consumer.assign([partition])
    consumer.seek(partition, start)
    started, cpu_s = time.perf_counter(), time.process_time()
    incoming = _poll(consumer, partition, records)
    while chunk := list(islice(incoming, chunk_rows)):
        decoded = [json.loads(record.value) for record in chunk]
        for record, prediction in zip(decoded, answer(decoded), strict=True):
            producer.send(output_topic, json.dumps({**record, "predict_y": prediction}).encode(), partition=0)
    producer.flush()
    taken = {"wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - cpu_s}
    producer.close()
    consumer.close()
    click.echo(json.dumps({"records": records, **taken}))


def _poll(consumer: "KafkaConsumer", partition: "TopicPartition", count: int) -> Iterator[Any]:
    """Yield the next records."""
    while count:
        for record in consumer.poll(timeout_ms=1000, max_records=count).get(partition, ()):
            count -= 1
            yield record


if __name__ == "__main__":
    main()
