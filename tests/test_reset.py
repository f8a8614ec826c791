"""Resets, on the real stack."""

import sys
from pathlib import Path

import redis
from stacks import Stack, running_trial

from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.waiting import wait_until


def test_keys_are_deleted_by_name_and_missing_ones_named(stack: Stack) -> None:
    with redis.Redis.from_url(stack.settings.redis) as client:
        client.set("somebody:else", "1")
    done = stack.run(sys.executable, "scripts/redis_clear.py", "somebody:else", "somebody:gone")
    assert done.stdout == "somebody:else: deleted\nsomebody:gone: not found\n"


def test_clearing_everything_is_refused_while_the_job_runs(stack: Stack) -> None:
    done = stack.run(sys.executable, "scripts/redis_clear.py", check=False)
    assert done.returncode == 1
    assert "is running; cancel it first, or say --force" in done.stderr


def test_after_a_reset_a_new_lineage_begins_behind_the_old_one(stack: Stack, tmp_path: Path) -> None:
    with running_trial(stack, "copies:renewed") as trial:
        settings = trial.settings
        register = LineageRegister(Broker(settings), trial.pipeline)
        with trial.running_server(tmp_path) as server, redis.Redis.from_url(settings.redis) as client:

            def served() -> str | None:
                return server.ask("/v2/models/renewed")["parameters"].get("lineage")  # type: ignore[no-any-return]

            trial.replay(300)
            trial.settle()
            old = register.current()
            assert old is not None
            wait_until(lambda: served() == old.id, 60, "the old lineage to be served")
            refused = trial.streamlearn("reset", check=False)
            assert (refused.returncode, "learn is running; cancel it first" in refused.stderr) == (1, True)
            client.set("somebody:else", "1")
            done = trial.streamlearn("reset", "--force")
            assert f"lineage {old.id} ended" in done.stdout
            assert client.keys("streamlearn:renewed:*") == []
            assert client.get("somebody:else") == b"1"
            trial.streamlearn("train")
            new = register.current()
            assert new is not None
            assert new.id != old.id
            assert new.start > old.start
            trial.replay(300)
            wait_until(lambda: served() == new.id, 90, "the new lineage to be served")
            assert trial.newest_job().state == "RUNNING"
