"""Resets, on the real stack; the last tests of the stack, since they end the lineage."""

import json
import sys
import urllib.request

import redis
from conftest import Stack

from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.operations import flink_api
from streamlearn.pipelines.registry import load
from streamlearn.waiting import wait_until


def fetch_served_lineage(stack: Stack) -> str:
    with urllib.request.urlopen(stack.url + "/v2/models/digits", timeout=5) as response:
        return str(json.load(response)["parameters"].get("lineage"))


def test_keys_are_deleted_by_name_and_missing_ones_named(stack: Stack) -> None:
    with redis.Redis.from_url(stack.settings.redis) as client:
        client.set("somebody:else", "1")
    done = stack.run(sys.executable, "scripts/redis_clear.py", "somebody:else", "somebody:gone")
    assert done.stdout == "somebody:else: deleted\nsomebody:gone: not found\n"


def test_clearing_everything_is_refused_while_the_job_runs(stack: Stack) -> None:
    done = stack.run(sys.executable, "scripts/redis_clear.py", check=False)
    assert done.returncode == 1
    assert "is running; cancel it first, or say --force" in done.stderr


def test_after_a_reset_a_new_lineage_begins_behind_the_old_one(stack: Stack) -> None:
    digits = load("digits")
    stack.streamlearn("replay", "digits", "--rate", "0", "--limit", "300")
    old = LineageRegister(Broker(stack.settings), digits).current()
    assert old is not None
    wait_until(lambda: fetch_served_lineage(stack) == old.id, 60, "the old lineage to be served")
    with redis.Redis.from_url(stack.settings.redis) as client:
        client.set("somebody:else", "1")
        done = stack.streamlearn("reset", "digits", "--force")
        assert f"lineage {old.id} ended" in done.stdout
        assert client.keys("streamlearn:digits:*") == []
        assert client.get("somebody:else") == b"1"
    stack.streamlearn("train", "digits")
    new = LineageRegister(Broker(stack.settings), digits).current()
    assert new is not None
    assert new.id != old.id
    assert new.start > old.start
    stack.streamlearn("replay", "digits", "--rate", "0", "--limit", "300")
    wait_until(lambda: fetch_served_lineage(stack) == new.id, 90, "the new lineage to be served")
    job = flink_api.newest_job(stack.settings, "digits: learn")
    assert job is not None
    assert job.state == "RUNNING"
