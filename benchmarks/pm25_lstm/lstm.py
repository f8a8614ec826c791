"""Nets with one LSTM layer, by Keras on JAX. The same seed gives the same net."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.pm25_lstm import article, fair
from benchmarks.pm25_lstm.examples import ExampleSets
from benchmarks.pm25_lstm.hours import YEAR, Floats, Hours
from streamlearn.extras import require_extra
from streamlearn.settings import Settings, preset_env

_UNITS = 50
_BATCH = 72

ReportLine = Callable[[str], None]
"""Gets a line of progress."""


@dataclass(frozen=True)
class Recipe:
    """How a net's examples are prepared, and how it is fitted to them by Adam."""

    name: str
    prepare: Callable[[Hours, Floats, int], ExampleSets]
    """Hours, their readings, and the number of hours in the first year → the examples."""
    loss: str
    """Keras' name of it; it is computed from scaled values."""
    epochs: int
    """At most."""
    shuffle: bool
    patience: int | None
    """Epochs without a better validation loss after which fitting ends, at the best weights; None: never."""


ARTICLE = Recipe("the article's LSTM", article.prepare, "mae", epochs=50, shuffle=False, patience=None)
FAIR = Recipe("fair LSTM", fair.prepare, "mae", epochs=100, shuffle=True, patience=8)
RECIPES = (ARTICLE, FAIR)


@dataclass(frozen=True)
class Net:
    """A fitted net's forecasts, and its losses while it was fitted."""

    seed: int
    forecasts: Floats
    """PM2.5 of each hour after the first year, in µg/m³."""
    loss: list[float]
    """After each epoch, of the examples that are learned."""
    validation_loss: list[float]


def import_keras() -> Any:
    """Import Keras, on JAX and the CPU; your own Keras configuration is not read.

    Raises
    ------
    MissingExtra
        Keras or JAX is not installed.
    """
    with require_extra("lstm"):
        import jax

        jax.config.update("jax_platforms", "cpu")
        preset_env({"KERAS_BACKEND": "jax", "KERAS_HOME": str(Settings.load().cache.absolute() / "keras")})
        import keras
    return keras


def fit_seeds(
    recipe: Recipe,
    hours: Hours,
    readings: Floats,
    seeds: Sequence[int],
    report: ReportLine,
    year: int = YEAR,
) -> list[Net]:
    """Prepare the examples once, and fit a net for each seed."""
    examples = recipe.prepare(hours, readings, year)
    return [fit(recipe, examples, seed, report) for seed in seeds]


def fit(recipe: Recipe, examples: ExampleSets, seed: int, report: ReportLine = lambda line: None) -> Net:
    """Fit a new net and forecast the test hours; `report` gets a line an epoch."""
    keras = import_keras()
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    train, validation = examples.train, examples.validation
    net = keras.Sequential([keras.Input(train.x.shape[1:]), keras.layers.LSTM(_UNITS), keras.layers.Dense(1)])
    net.compile(loss=recipe.loss, optimizer="adam")
    history = net.fit(
        train.x,
        train.y,
        epochs=recipe.epochs,
        batch_size=_BATCH,
        shuffle=recipe.shuffle,
        validation_data=(validation.x, validation.y),
        callbacks=_make_callbacks(keras, recipe, lambda line: report(f"{recipe.name}, seed {seed}: {line}")),
        verbose=0,
    ).history
    outputs = net.predict(examples.test.x, batch_size=_BATCH, verbose=0)[:, 0]
    return Net(seed, examples.unscale(outputs), history["loss"], history["val_loss"])


def _make_callbacks(keras: Any, recipe: Recipe, report: ReportLine) -> list[Any]:
    def report_epoch(epoch: int, logs: dict[str, float]) -> None:
        losses = f"loss {logs['loss']:.4f}, validation {logs['val_loss']:.4f}"
        report(f"epoch {epoch + 1}/{recipe.epochs}, {losses}")

    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=report_epoch)]
    if recipe.patience is not None:
        callbacks.append(keras.callbacks.EarlyStopping(patience=recipe.patience, restore_best_weights=True))
    return callbacks
