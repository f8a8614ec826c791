"""Other parameters over the records that are there: the same fold with them, and nothing else."""

import json
import uuid
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from helpers import KEY, LINEAGE, ListStream, Make, append, commit, inputs, rollback
from reading import create_topic

from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.register import LineageRegister
from streamlearn.broker.topics import ensure_topics
from streamlearn.cli.main import main
from streamlearn.engine.backtest import Outcome, backtest, format_table
from streamlearn.engine.partitions import Partitions
from streamlearn.errors import ConfigurationError, PipelineFails
from streamlearn.learning.learner import predict_then_learn
from streamlearn.operations.history.backtest import LIVE, parse_variants, read_part, read_parts
from streamlearn.pipelines.digits import first, pipeline
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.stream.ports import Input


def run(stream: ListStream, *texts: str, last: int | None = None, **options: Any) -> list[Outcome]:
    with ExitStack() as journals:
        part = read_part(stream, LINEAGE, 0, stream.end(), last, journals)
        return backtest(pipeline, parse_variants(pipeline, texts), [part], key=KEY, **options)


def test_the_first_variant_is_the_live_model_and_others_a_plain_loop_cut_alike(
    make: Make, stream: ListStream
) -> None:
    rows, cuts = inputs(900), (100, 131, 500, 700)
    worker = make()
    commit(stream, worker, rows, *cuts)
    live, other = run(stream, "step=0.5")
    assert worker.learner is not None
    assert (live.name, live.score, live.records) == (LIVE, worker.learner.score, 900)
    plain = replace(pipeline, parameters={**pipeline.parameters, "step": 0.5}, earlier=())
    learner = plain.new_learner()
    # Calls of the worker that are longer than a chunk are cut again.
    edges = [0, 100, 131, 387, 500, 700, 900]
    for start, end in pairwise(edges):
        predict_then_learn(learner, [plain.codec.decode(row.value) for row in rows[start:end]], end)
    assert (other.name, other.score) == ("step=0.5", learner.score)
    assert other.score != live.score
    assert other.cost_us > 0


def test_control_records_and_dead_letters_are_obeyed_as_live(make: Make, stream: ListStream) -> None:
    rows = inputs(600)
    rows[300] = rollback(300, 200)
    rows[301] = rollback(301, 200, key="somebody's own")
    rows[40] = rows[40]._replace(value=b"broken")
    worker = make()
    commit(stream, worker, rows, 100, 200, 300, 301, 302)
    live, other = run(stream, "step=0.5")
    assert worker.learner is not None
    assert (live.score, live.set_aside) == (worker.learner.score, 2)
    assert (other.score.samples, other.set_aside) == (live.score.samples, 2)
    assert "| set aside |" in next(format_table([live, other]))


def test_the_newest_records_alone_and_a_beginning_that_is_not_scored(make: Make, stream: ListStream) -> None:
    commit(stream, make(), inputs(600), 100, 200, 300, 400)
    live, _ = run(stream, "step=0.5", last=300, skip=100)
    assert (live.records, live.score.samples) == (300, 200)
    # A point of the curve is of the last tenth only.
    assert [point.records for point in live.curve] == [100, 300]
    whole, _ = run(stream, "step=0.5")
    assert whole.curve[-1].figures["accuracy"] != whole.score.value


def test_records_whose_answers_are_gone_are_left_out(make: Make, stream: ListStream) -> None:
    commit(stream, make(), inputs(400), 100, 200)
    stream.first_answered = 200
    live, _ = run(stream, "step=0.5")
    assert live.records == 200


def test_parameters_that_fail_on_every_record_are_named(make: Make, stream: ListStream) -> None:
    commit(stream, make(), inputs(300), 100)
    with pytest.raises(PipelineFails, match=r"with decay=-1: .*step × decay"):
        run(stream, "decay=-1", max_in_a_row=10)


def test_each_combination_is_a_variant_and_the_pipeline_as_it_is_comes_first() -> None:
    own = first.parameters["alpha"]
    variants = parse_variants(first, ["alpha=0.1,1.0", "penalty=l1,l2", f"alpha={own}"])
    assert list(variants)[:3] == [LIVE, "alpha=0.1, penalty=l1", "alpha=0.1, penalty=l2"]
    assert variants[LIVE] == first.parameters
    assert variants["alpha=1.0, penalty=l2"] == {**first.parameters, "alpha": 1.0, "penalty": "l2"}


def test_a_parameter_of_the_estimator_inside_is_told_by_a_dot() -> None:
    inside = replace(
        first, parameters={"estimator": "SGDClassifier", "parameters": {"eta0": 0.1, "alpha": 1}}
    )
    variants = parse_variants(inside, ["parameters.eta0=0.5"])
    assert variants["parameters.eta0=0.5"]["parameters"] == {"eta0": 0.5, "alpha": 1}
    assert variants[LIVE] == inside.parameters
    with pytest.raises(ConfigurationError, match=r"has no parameter 'eta0'; is it 'parameters\.eta0'"):
        parse_variants(replace(inside, learning=replace(first.learning, estimator=dict.fromkeys)), ["eta0=1"])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("step", "write NAME=VALUE"),
        ("step=", "write NAME=VALUE"),
        ("stpe=1", "has no parameter 'stpe'; is it 'step'?"),
        (f"step={','.join(map(str, range(1, 20)))}", "try 16 at most"),
    ],
)
def test_what_cannot_be_tried_is_refused(text: str, error: str) -> None:
    with pytest.raises(ConfigurationError, match=error.replace("?", r"\?")):
        parse_variants(pipeline, [text])


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["backtest", *map(str, arguments)], env={"STREAMLEARN_HOME": "nowhere"})


def test_a_file_is_learned_without_a_stack_and_drawn(tmp_path: Path) -> None:
    file, figure = tmp_path / "history.jsonl", tmp_path / "step.svg"
    file.write_bytes(b"\n".join(row.value or b"" for row in inputs(400)))
    done = call("digits", "--set", "step=0.5", "--file", file, "--figure", figure)
    assert done.exit_code == 0, done.output
    assert f"digits: 400 records of {file}" in done.stdout
    names = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("|")]
    assert names == ["parameters", "---", LIVE, "step=0.5"]
    drawn = figure.read_text()
    assert all(f">{text}<" in drawn for text in ("step=0.5", LIVE, "accuracy", "records"))


def test_a_forecast_stands_beside_its_baseline(pm25_csv: str, tmp_path: Path) -> None:
    hours = Path(pm25_csv).read_text().splitlines()[:400]
    from streamlearn.datasets import pm25

    records = [json.dumps(record) for record, _ in zip(pm25.records(passes=1), hours, strict=False)]
    file, figure = tmp_path / "hours.jsonl", tmp_path / "ridge.png"
    file.write_text("\n".join(records))
    done = call("pm25", "--set", "ridge=10", "--file", file, "--skip", "100", "--figure", figure)
    assert done.exit_code == 0, done.output
    lines = [line.split("|") for line in done.stdout.splitlines() if line.startswith("|")]
    assert [line[1].strip() for line in lines[2:]] == [LIVE, "ridge=10", "(baseline)"]
    assert lines[0][3].strip() == "h1_rmse"
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--set", "stpe=1", "--offline"), "is it 'step'?"),
        (("--set", "step=1", "--offline", "--last", "5"), "--last takes the newest records of the topic"),
        (("--set", "step=1", "--offline", "--figure", "x.txt"), "a figure is a .png, .svg, .pdf file"),
        ((), "Missing option '--set'"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments: tuple[str, ...], error: str) -> None:
    done = call("digits", *arguments)
    assert done.exit_code in {1, 2}
    assert error in done.stderr
    assert "Traceback" not in done.output


def test_the_records_of_all_partitions_are_read_and_nothing_is_written(broker: Settings) -> None:
    name = f"test-{uuid.uuid4().hex[:8]}"
    own = replace(pipeline, name=name, topic=name, prediction_topic=f"{name}-predictions")
    create_topic(broker.kafka, name, 2)
    with Broker(broker) as client:
        ensure_topics(client, own)
        append(client, [(name, row.value or b"", row.offset % 2) for row in inputs(600)])
        register = LineageRegister(client, own)
        lineage = register.claim()
        store = Store.of(broker)
        job = Partitions(
            own,
            lineage,
            broker,
            store=store,
            open_stream=lambda partition: KafkaStream(client, own, partition),
            committed=lambda partition: None,
            alone=True,
        )
        job.admit()
        for partition in (0, 1):
            rows = [
                Input(partition, record.offset, record.value)
                for record in client.read(name, partition=partition)
            ]
            for start in range(0, 300, 75):
                outputs = job.answer(rows[start : start + 75])
                append(client, [(output.topic, output.value, partition) for output in outputs])
        topics = [
            name,
            own.prediction_topic,
            own.dead_letter_topic,
            own.control_topic,
            "streamlearn.lineages",
        ]
        before = [client.stable_end(topic) for topic in topics], store.versions(name, lineage.id)
        variants = parse_variants(own, ["step=0.5"])
        live, _ = backtest(own, variants, read_parts(client, own, lineage))
        scores = [job.worker(partition).learner.score for partition in (0, 1)]  # type: ignore[union-attr]
        assert live.score.samples == sum(score.samples for score in scores) == 450
        assert live.score.right == sum(score.right for score in scores)
        assert before == ([client.stable_end(topic) for topic in topics], store.versions(name, lineage.id))
        newest, _ = backtest(own, variants, read_parts(client, own, lineage, last=200))
        assert newest.records == 200
        store.close()
