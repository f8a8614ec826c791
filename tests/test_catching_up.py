"""A backlog on the real stack: taken no faster than is allowed, and told by records and seconds."""

from pathlib import Path
from typing import Any

from stacks import Server, Stack, open_topics, running_trial

from streamlearn.operations.looking import gather_facts
from streamlearn.operations.verdict import judge
from streamlearn.waiting import wait_until

BACKLOG = 5000


def read_backlog(server: Server) -> tuple[int, float]:
    """Return the records and the seconds by which the model is behind, as both places tell."""
    parameters: dict[str, Any] = server.get("/v2/models/limited")["parameters"]
    behind: dict[str, Any] = server.ask("/v2/health/ready")["behind"].get("limited", {})
    if "behind_records" not in parameters or not behind:
        return 0, 0.0
    return min(parameters["behind_records"], behind["records"]), min(
        parameters["behind_s"], behind["seconds"]
    )


def test_a_backlog_is_taken_at_the_rate_that_is_set_while_the_job_runs(stack: Stack, tmp_path: Path) -> None:
    with (
        # What is submitted with a limit takes few records at once, so that checkpoints go on.
        running_trial(stack, "copies:limited", catch_up_rate=20.0) as trial,
        open_topics(trial) as topics,
        trial.running_server(tmp_path) as server,
    ):
        trial.replay(10)
        topics.settle()
        said = trial.streamlearn("models rate", "20").stdout
        assert said == "limited takes at most 20 records a second, until you say otherwise\n"
        trial.replay(BACKLOG)

        def is_behind() -> bool:
            # Until the job has heard of it, all may have been answered.
            if topics.records.read().end == len(topics.predictions.read().values):
                trial.replay(BACKLOG)
            records, seconds = read_backlog(server)
            return records > BACKLOG / 2 and seconds > 3

        wait_until(is_behind, 120, "the model to be behind", every_s=0.5)
        (facts,) = gather_facts(trial.settings, [trial.pipeline])
        assert facts.behind_s is not None
        assert ", the oldest waiting for " in judge(facts).format()
        answered = len(topics.predictions.read().values)
        wait_until(
            lambda: len(topics.predictions.read().values) > answered + 40,
            120,
            "answers to be committed all the while",
            every_s=0.2,
        )
        assert read_backlog(server)[0] > BACKLOG / 4
        trial.streamlearn("models rate", "0")
        topics.settle()
        wait_until(lambda: server.get("/v2/models/limited")["parameters"]["behind_records"] == 0,
                   60, "the model to be level with its stream", every_s=0.2)  # fmt: skip
        assert trial.verify()["differences"] == []
