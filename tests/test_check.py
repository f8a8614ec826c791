"""`streamlearn check`: what is wrong with a pipeline is noticed, by the check that is there for it."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import threadpoolctl
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import SGDClassifier, SGDRegressor

from streamlearn.engine.check import Finding, check, sample
from streamlearn.engine.odd_records import make_odd_records
from streamlearn.learning import Tabular
from streamlearn.pipelines import Pipeline, user_code
from streamlearn.pipelines.digits import first, pipeline
from streamlearn.pipelines.registry import load
from streamlearn.pipelines.user_code import find_user_code


class Forgetful(SGDClassifier):
    """Learns each chunk a little less, and keeps out of its state how many it has learned."""

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Any:  # noqa: N803
        self._chunks = getattr(self, "_chunks", 0) + 1
        return super().partial_fit(X / self._chunks, y, classes=classes)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_chunks"}


@pytest.mark.parametrize(("estimator", "passes"), [(SGDClassifier, True), (Forgetful, False)])
def test_state_that_a_snapshot_lacks_is_noticed(estimator: Any, passes: bool) -> None:
    assert isinstance(first.learning, Tabular)
    learning = replace(first.learning, estimator=estimator)
    subject = replace(first, learning=learning, trusted_types=("test_check.Forgetful",))
    findings = {finding.what: finding.passed for finding in check(subject, sample(subject, 200))}
    assert findings["learning repeats exactly"]
    assert findings["a snapshot goes on exactly"] is passes


class Trip(msgspec.Struct):
    km: float
    stops: float | None = None
    wait_s: float | None = None


def plain(trips: Any) -> Any:
    return np.array([[trip.km / 100] for trip in trips])


def make_trips(**change: Any) -> Pipeline:
    learning = Tabular(features=plain, label="wait_s", estimator=SGDRegressor)
    trips = Pipeline("trips", "trips", "trips_predict", Trip, learning, {"random_state": 1})
    tabular = {name: change.pop(name) for name in ("features", "estimator") if name in change}
    return replace(trips, learning=replace(learning, **tabular), **change)


TRIPS = [b'{"km":%d,"stops":1.0,"wait_s":%d}' % (n * 17 % 50, n * 17 % 50) for n in range(400)]


def find(subject: Pipeline, what: str, values: list[bytes] = TRIPS) -> Finding:
    return next(finding for finding in check(subject, values) if finding.what.startswith(what))


def test_a_record_that_is_set_aside_at_first_is_not_blamed_on_odd_ones() -> None:
    large = b'{"km":1,"note":"%s"}' % (b"x" * (1 << 20))
    findings = {finding.what: finding for finding in check(make_trips(), [TRIPS[0], large, *TRIPS[1:]])}
    assert not findings["every record is answered with a prediction"].passed
    assert "good records are answered afterwards" not in findings


def test_an_honest_pipeline_passes_every_check() -> None:
    findings = list(check(make_trips(), TRIPS))
    assert all(finding.passed for finding in findings), findings
    assert not any(finding.noted for finding in findings), findings
    assert len(findings) == 12


class Fragile(SGDRegressor):
    """Cannot predict any more after a large number, which it has learned without a word."""

    def partial_fit(self, X: Any, y: Any) -> Any:  # noqa: N803
        self.is_spoiled_ = getattr(self, "is_spoiled_", False) or bool(np.abs(X).max() > 100)
        return super().partial_fit(np.clip(X, -1, 1), y)

    def predict(self, X: Any) -> Any:  # noqa: N803
        if self.is_spoiled_:
            raise ValueError("it is spoiled")
        return super().predict(np.clip(X, -1, 1))


def test_a_model_that_an_odd_record_spoils_is_told_with_what_keeps_it_out() -> None:
    trips = make_trips(estimator=Fragile, trusted_types=("test_check.Fragile",))
    finding = find(trips, "good records are answered afterwards")
    assert not finding.passed
    assert (
        "ValueError: it is spoiled; an odd one has spoiled the model: keep it out by bounds" in finding.detail
    )


def slow(trips: Any) -> Any:
    """Features that take 3 ms of CPU time a record."""
    end = time.process_time() + 0.003 * len(trips)
    while time.process_time() < end:
        pass
    return plain(trips)


class Heavy(SGDRegressor):
    """Holds more than it needs."""

    def partial_fit(self, X: Any, y: Any) -> Any:  # noqa: N803
        self.ballast_ = np.random.default_rng(0).random(200_000)
        return super().partial_fit(X, y)


def test_a_large_snapshot_is_told() -> None:
    trips = make_trips(estimator=Heavy, trusted_types=("test_check.Heavy",))
    round_trip = find(trips, "its state survives", TRIPS[:40])
    assert (round_trip.passed, round_trip.noted) == (True, True)
    assert "bytes; the job writes one after each batch: take a smaller model" in round_trip.detail


def test_what_is_slow_is_told_with_what_to_do() -> None:
    slowness = find(make_trips(features=slow), "it is slow", TRIPS[:40])
    assert (slowness.passed, slowness.noted) == (True, True)
    assert "take a smaller model or fewer features, or a topic of several partitions" in slowness.detail
    assert not find(make_trips(), "it is fast enough").noted


def test_an_estimator_that_cannot_learn_from_a_stream_is_told_with_what_to_take() -> None:
    finding = find(make_trips(estimator=RandomForestRegressor), "its estimator")
    assert not finding.passed
    assert finding.detail.startswith("RandomForestRegressor has no partial_fit; take one")


def test_without_a_seed_the_advice_is_to_give_one() -> None:
    finding = find(make_trips(parameters={}), "learning repeats exactly")
    assert not finding.passed
    assert "give the estimator a random_state" in finding.detail


def test_a_model_worse_than_the_baseline_is_said() -> None:
    def unscaled(trips: Any) -> Any:
        return np.array([[1e4 * trip.km] for trip in trips])

    finding = find(make_trips(features=unscaled), "it learns")
    assert finding.noted
    assert "rmse is worse than the baseline's" in finding.detail


def logarithm_of_stops(trips: Any) -> Any:
    return np.array([[trip.km / 100, np.log(trip.stops)] for trip in trips])


def test_what_odd_records_do_to_its_own_code_is_said() -> None:
    subject = make_trips(features=logarithm_of_stops)
    assert find(subject, "no odd record ends the stream").passed
    finding = find(subject, "its own code fails on odd records")
    assert finding.noted
    assert "stops left out: TypeError" in finding.detail
    assert "RuntimeWarning: divide by zero encountered in log" in find(subject, "its code warns").detail


def test_an_odd_record_that_would_end_the_stream_is_named() -> None:
    def opens_a_file(trips: Any) -> Any:
        if any(trip.km < 0 for trip in trips):
            raise OSError("the disk is full")
        return plain(trips)

    finding = find(make_trips(features=opens_a_file), "no odd record ends the stream")
    assert not finding.passed
    assert finding.detail.startswith("km = -1: OSError: the disk is full, in ")


def test_odd_records_leave_no_field_as_it_is() -> None:
    odd = {record.what: record.value for record in make_odd_records(make_trips(), TRIPS[0])}
    assert odd["km left out"] == b'{"stops":1.0,"wait_s":0}'
    assert odd["stops = null"] == b'{"km":0,"stops":null,"wait_s":0}'
    assert {"km = 1e308", "wait_s = -1e308", "wait_s = true", "a field that nobody knows"} < odd.keys()
    of_lists = {record.what for record in make_odd_records(pipeline, sample(pipeline, 1)[0])}
    assert {"x = []", "x[0] = null", "x[0] = 1e308"} < of_lists


MODULE = """\
import msgspec, numpy as np
from pathlib import Path
from sklearn.linear_model import SGDRegressor
from streamlearn.learning import Tabular
from streamlearn.pipelines import Pipeline
{imports}

class Trip(msgspec.Struct):
    km: float
    stops: float | None = None
    wait_s: float | None = None

def features(trips):
    return np.array([[trip.km / 100] for trip in trips])

learning = Tabular(features=features, label="wait_s", estimator=SGDRegressor)
pipeline = Pipeline("trips", "trips", "trips_predict", Trip, learning, {{"random_state": 1}})
"""

Write = Callable[[str, str], Pipeline]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a module of one's own into the current folder, with more imports; load its pipeline."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, imports: str) -> Pipeline:
        file = tmp_path / (f"{name}.py" if "." not in name else f"{name.replace('.', '/')}.py")
        file.parent.mkdir(exist_ok=True)
        file.write_text(MODULE.format(imports=imports))
        return load(f"{name}:pipeline")

    return write


def test_what_a_module_imports_from_its_folder_is_sent_along(write: Write, tmp_path: Path) -> None:
    (tmp_path / "trips_scale.py").write_text("import trips_units")
    (tmp_path / "trips_units.py").write_text("KM = 1000")
    (tmp_path / "trips_other.py").write_text("raise SystemExit")
    subject = write("trips_with_sibling", "import trips_scale")
    assert [file.name for file in find_user_code(subject)] == [
        "trips_with_sibling.py", "trips_scale.py", "trips_units.py",
    ]  # fmt: skip
    assert find(subject, "it runs on a worker").passed


def test_a_module_in_the_checkout_does_not_take_the_projects_own_packages_along(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("streamlearn", "serving"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "walks_scale.py").touch()
    subject = write("walks", "import serving, walks_scale")
    # Elsewhere a folder of that name is the author's.
    assert len(find_user_code(subject)) == 4
    monkeypatch.setattr(user_code, "_CHECKOUT", tmp_path)
    assert [file.name for file in find_user_code(subject)] == ["walks.py", "walks_scale.py"]


def test_a_file_that_a_worker_would_not_have_is_told_and_a_package_takes_it_along(
    write: Write, tmp_path: Path
) -> None:
    read = 'DATA = Path(__file__).with_name("trips.csv").read_text()'
    (tmp_path / "trips.csv").write_text("1")
    finding = find(write("trips_with_file", read), "it runs on a worker")
    assert not finding.passed
    assert "No such file or directory" in finding.detail
    assert "sent are only trips_with_file.py" in finding.detail
    package = tmp_path / "trips_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "trips.csv").write_text("1")
    finding = find(write("trips_package.module", read), "it runs on a worker")
    assert (finding.passed, finding.detail) == (True, "trips_package/")


def test_tests_compute_as_a_process_that_learns() -> None:
    """With one BLAS thread: with several, those of test processes side by side would wait for each other."""
    assert {library["num_threads"] for library in threadpoolctl.threadpool_info()} == {1}
