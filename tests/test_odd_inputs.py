"""A hundred thousand odd inputs over Kafka and HTTP: every one is accounted for, and nothing ends.

What is odd: fields that are missing, null, extreme or of another type, and bytes that are cut off, changed or
no JSON at all.
"""

import http.client
import json
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from reading import send
from stacks import Server, Stack, running_trial

from streamlearn.engine.check import sample
from streamlearn.engine.odd_records import make_odd_records
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load

OVER_KAFKA = 80_000
OVER_HTTP = 20_000
BATCH = 5_000
CLIENTS = 4


def mangle(value: bytes, rng: random.Random) -> bytes:
    """Cut off, change, repeat or replace some bytes."""
    at, until = sorted(rng.choices(range(len(value) + 1), k=2))
    return rng.choice(
        [
            value[:at],
            value[:at] + rng.randbytes(rng.randrange(1, 9)) + value[until:],
            value[:at] + value[at:until] * 2 + value[until:],
            value.replace(b"0", rng.choice([b"1e400", b"-", b"null", b'"\\ud800"', b"9" * 400]), 1),
            b"[" * rng.randrange(1, 5000),
            rng.randbytes(rng.randrange(64)),
            value + value,
            b"\0\0\0\0\7" + value,
        ]
    )


def make_values(pipeline: Pipeline, count: int, seed: int) -> Iterator[bytes]:
    """Yield values for the topic of a pipeline: a third as they should be, a third odd, a third mangled."""
    rng = random.Random(seed)
    good = sample(pipeline, count // 3 + 1)
    odd = [record.value for record in make_odd_records(pipeline, good[0])]
    fresh = iter(good)
    for number in range(count):
        mangled = mangle(rng.choice(good[:100]), rng)
        yield next(fresh) if number % 3 == 0 else rng.choice([rng.choice(odd), mangled])


@pytest.mark.release
@pytest.mark.parametrize("name", ["odd", "odd_series"])
def test_odd_records_are_all_accounted_for(stack: Stack, pm25_csv: str, name: str) -> None:
    assert pm25_csv
    with running_trial(stack, f"copies:{name}") as trial:
        values = list(make_values(trial.pipeline, OVER_KAFKA // 2, seed=3))
        for start in range(0, len(values), BATCH):
            send(trial.settings.kafka, trial.pipeline.topic, [*values[start : start + BATCH]])
        report = trial.verify()
        assert report["predictions"] + report["dead_letters"] == len(values)
        assert report["predictions"] > len(values) // 4
        assert report["dead_letters"] > len(values) // 4
        assert trial.count_restores() == 1, "a record has ended the worker"


@pytest.mark.release
def test_odd_requests_are_refused_and_none_fails(stack: Stack, tmp_path: Path) -> None:
    pipeline = load("copies:odd_served")
    values = list(make_values(pipeline, OVER_HTTP, seed=4))
    tensor = {"name": "x", "shape": [1, 64], "datatype": "FP64", "data": json.loads(values[0])["x"]}
    bodies = [json.dumps({"inputs": [tensor]}).encode(), json.dumps({"id": "a", "outputs": [{}]}).encode()]
    paths = ["infer", "feedback", "generate", "versions/1/infer", "versions/x/infer", "pin"]
    with running_trial(stack, "copies:odd_served") as trial, trial.running_server(tmp_path) as server:
        trial.replay(500)
        trial.settle()

        def ask(part: int) -> Counter[int]:
            own = random.Random(part)
            answers: Counter[int] = Counter()
            for value in values[part::CLIENTS]:
                body = own.choice([value, mangle(own.choice(bodies), own), b'{"inputs":' + value + b"}"])
                answers[post(server, f"/v2/models/odd_served/{own.choice(paths)}", body)] += 1
            return answers

        with ThreadPoolExecutor(CLIENTS) as clients:
            answers = sum(clients.map(ask, range(CLIENTS)), Counter())
        print(answers)
        assert sum(answers.values()) == OVER_HTTP
        assert not [status for status in answers if status >= 500], answers
        assert answers[400] > OVER_HTTP // 4
        assert answers[200] > 0
        trial.verify()


def post(server: Server, path: str, body: bytes) -> int:
    """Return the status of an answer."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()
