"""The store against a real Redis."""

from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from streamlearn.errors import Fenced, StoreUnavailable
from streamlearn.storage.redis_client import retry
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Restore, VersionInfo
from streamlearn.storage.writer import Writer


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


def save(writer: Writer, *versions: int, head: bool = True) -> None:
    for version in versions:
        writer.save(version, str(version).encode(), VersionInfo(f"d{version}", version, {}), head=head)


def test_of_versions_that_are_dropped_nothing_is_left(store: Store, redis_url: str) -> None:
    import redis

    writer = store.admit("digits", "aaaa", 1)
    save(writer, 9, 10, 100, 1000)
    writer.delete([9, 10])
    assert writer.roll_back(100) == 1
    assert list(store.versions("digits", "aaaa")) == writer.versions() == [100]
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys("*snapshot*") == [b"streamlearn:digits:snapshot:aaaa:100"]
    assert writer.roll_back(50) == 1
    assert list(store.versions("digits", "aaaa")) == writer.versions() == []
    assert writer.roll_back(50) == 0


def test_going_back_serves_the_newest_that_is_left_and_announces_it(store: Store, redis_url: str) -> None:
    import redis

    writer = store.admit("digits", "aaaa", 1)
    save(writer, 10, 20, 30)
    with redis.Redis.from_url(redis_url) as client, client.pubsub() as announcements:
        announcements.subscribe("streamlearn:digits:head")
        assert announcements.get_message(timeout=5)["type"] == "subscribe"
        assert writer.roll_back(20) == 1
        assert announcements.get_message(timeout=5)["data"] == b"d20"
    served = store.served("digits")
    assert served is not None
    head, data = served
    assert (head.version, head.digest, head.samples, data) == (20, "d20", 20, b"20")


def test_a_version_that_is_only_kept_is_not_served(store: Store) -> None:
    """A worker that learns again keeps what it has so far; going back beyond it must not serve it."""
    writer = store.admit("digits", "aaaa", 1)
    save(writer, 10)
    save(writer, 20, head=False)
    assert writer.roll_back(30) == 0
    newest = store.newest("digits")
    assert newest is not None
    assert newest.version == 10
    assert writer.versions() == [10, 20]


def test_a_version_is_stamped_by_the_clock_of_redis(store: Store, redis_url: str) -> None:
    import redis

    with redis.Redis.from_url(redis_url) as client:
        before = client.time()[0]
        save(store.admit("digits", "aaaa", 1), 10)
        after = client.time()[0]
    info, newest = store.version_info("digits", "aaaa", 10), store.newest("digits")
    assert info is not None
    assert newest is not None
    assert before <= info.time_s == newest.time_s <= after


def test_what_the_last_thousand_workers_found_is_kept(store: Store) -> None:
    writer = store.admit("digits", "aaaa", 1)
    for offset in range(1003):
        writer.record_restore(Restore("aaaa", offset, None, 0, 0, {}, 0.0))
    assert [restore.offset for restore in store.restores("digits")] == list(range(3, 1003))


def test_progress_that_is_not_renewed_expires(store: Store, redis_url: str) -> None:
    """So that a worker that was killed does not seem to be learning again for ever."""
    import redis

    writer = store.admit("digits", "aaaa", 1)
    writer.show_progress("half way")
    with redis.Redis.from_url(redis_url) as client:
        assert 0 < client.ttl("streamlearn:digits:recovery") <= 60
    writer.show_progress(None)
    assert store.recovery_progress("digits") is None


def test_the_progress_of_any_partition_is_told(store: Store) -> None:
    admission = store.admit("digits", "aaaa", 1)
    admission.take_partition(2, alone=False).show_progress("half way")
    assert store.recovery_progress("digits") == "partition 2: half way"
    admission.show_progress("begun")
    assert store.recovery_progress("digits") == "partition 0: begun"


def test_of_two_live_writers_the_older_can_do_nothing(store: Store) -> None:
    old = store.admit("digits", "aaaa", 1)
    old.save(10, b"ten", VersionInfo("d", 0, {}))
    new = store.admit("digits", "aaaa", 1)
    for act in (
        lambda: old.save(20, b"x", VersionInfo("d", 0, {})),
        lambda: old.roll_back(0),
        lambda: old.delete([10]),
        lambda: old.record_restore(Restore("aaaa", 0, None, 0, 0, {}, 0.0)),
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


def test_heads_that_were_announced_meanwhile_are_told_once(store: Store) -> None:
    """A server that looks seldom would else hear of old ones for ever longer."""
    store.wait_for_head("digits", 0)
    writer = store.admit("digits", "aaaa", 1)
    save(writer, *range(1, 101))
    told = 0
    with ThreadPoolExecutor() as executor:
        # The last of them may still be on their way.
        while wait([waiting := executor.submit(store.wait_for_head, "digits", 60)], timeout=0.5).done:
            told += 1
        save(writer, 101)
        waiting.result(30)
    assert 1 <= told < 10
