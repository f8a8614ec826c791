"""The store against a real Redis."""

import pytest

from streamlearn.errors import Fenced, StoreUnavailable
from streamlearn.storage.redis_client import retry
from streamlearn.storage.store import Store
from streamlearn.storage.versions import VersionInfo


def test_a_saved_version_is_the_head_and_can_be_read(store: Store) -> None:
    writer = store.admit("digits", "aaaa", 1)
    assert store.served("digits") is None
    writer.save(10, b"ten", VersionInfo("d10", 9, {}))
    served = store.served("digits")
    assert served is not None
    head, data = served
    assert (head.lineage, head.version, head.digest, head.samples, data) == ("aaaa", 10, "d10", 9, b"ten")
    assert store.served("digits", head) == (head, None)


def test_versions_are_kept_until_they_are_dropped(store: Store) -> None:
    writer = store.admit("digits", "aaaa", 1)
    for version in (9, 10, 100, 1000):
        writer.save(version, str(version).encode(), VersionInfo("d", 0, {}))
    assert writer.versions() == [9, 10, 100, 1000]
    writer.delete([9, 10])
    assert writer.roll_back(100) == 1
    assert writer.versions() == [100]
    assert writer.read(100) == b"100"
    assert writer.read(1000) is None


def test_of_two_live_writers_the_older_can_do_nothing(store: Store) -> None:
    old = store.admit("digits", "aaaa", 1)
    old.save(10, b"ten", VersionInfo("d", 0, {}))
    new = store.admit("digits", "aaaa", 1)
    for act in (
        lambda: old.save(20, b"x", VersionInfo("d", 0, {})),
        lambda: old.roll_back(0),
        lambda: old.delete([10]),
    ):
        with pytest.raises(Fenced):
            act()
    new.save(11, b"eleven", VersionInfo("d", 0, {}))
    assert new.versions() == [10, 11]


def test_a_writer_of_an_older_submission_is_not_admitted(store: Store) -> None:
    store.admit("digits", "aaaa", 3)
    with pytest.raises(Fenced):
        store.admit("digits", "aaaa", 2)
    store.admit("digits", "aaaa", 4)


def test_pipelines_do_not_fence_each_other(store: Store) -> None:
    digits = store.admit("digits", "aaaa", 1)
    store.admit("other", "aaaa", 9)
    digits.save(1, b"x", VersionInfo("d", 0, {}))


def test_clear_leaves_what_is_not_ours(store: Store, redis_url: str) -> None:
    import redis

    with redis.Redis.from_url(redis_url) as client:
        client.set("somebody:else", "1")
        store.admit("digits", "aaaa", 1).save(1, b"x", VersionInfo("d", 0, {}))
        store.admit("other", "aaaa", 1).save(1, b"x", VersionInfo("d", 0, {}))
        assert store.clear("digits") == 5
        assert store.served("other") is not None
        assert store.clear() == 5
        assert client.keys() == [b"somebody:else"]
    assert store.delete("somebody:else")
    assert not store.delete("somebody:else")


def test_an_absent_redis_is_named_and_waited_for() -> None:
    store = Store("redis://localhost:1/0")
    with pytest.raises(StoreUnavailable, match="does not answer"):
        store.ping()
    calls = []

    def third_time() -> str:
        calls.append(1)
        if len(calls) < 3:
            raise StoreUnavailable("away")
        return "here"

    assert retry(third_time, 10) == "here"
    with pytest.raises(StoreUnavailable):
        retry(store.ping, 0)
