"""Nets with one LSTM layer, by Keras on JAX: made, fitted and asked; the same for a seed each time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.pm25_lstm import article, fair
from benchmarks.pm25_lstm.examples import Prepared
from benchmarks.pm25_lstm.hours import Floats, Hours
from streamlearn.extras import needing
from streamlearn.settings import Settings, preset

_UNITS = 50
_BATCH = 72


@dataclass(frozen=True)
class Recipe:
    """How a net's examples are prepared, and how it is fitted to them by Adam."""

    name: str
    prepared: Callable[[Hours, Floats, int], Prepared]
    loss: str
    """As Keras names it, of scaled values."""
    epochs: int
    """At most."""
    shuffle: bool
    patience: int | None
    """Epochs without a better validation loss after which it ends, with its best weights; None: never."""


ARTICLE = Recipe("the article's LSTM", article.prepared, "mae", epochs=50, shuffle=False, patience=None)
FAIR = Recipe("fair LSTM", fair.prepared, "mae", epochs=100, shuffle=True, patience=8)
RECIPES = (ARTICLE, FAIR)


@dataclass(frozen=True)
class Net:
    """A fitted net's forecasts, and how its fitting went."""

    seed: int
    forecasts: Floats
    """PM2.5 of each hour after the first year, in µg/m³."""
    loss: list[float]
    """After each epoch, of the examples that are learned."""
    validation_loss: list[float]


def ready() -> Any:
    """Import Keras, on JAX and the CPU; a configuration of the user's own is not read.

    Raises
    ------
    MissingExtra
        Keras or JAX is not installed.
    """
    with needing("lstm"):
        import jax

        jax.config.update("jax_platforms", "cpu")
        preset({"KERAS_BACKEND": "jax", "KERAS_HOME": str(Settings.load().cache.absolute() / "keras")})
        import keras
    return keras


def fitted(
    recipe: Recipe,
    prepared: Prepared,
    seed: int,
    told: Callable[[str], None] = lambda line: None,
) -> Net:
    """Fit a new net and let it forecast the test hours; `told` gets a line an epoch."""
    keras = ready()
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    train, validation = prepared.train, prepared.validation
    net = keras.Sequential([keras.Input(train.x.shape[1:]), keras.layers.LSTM(_UNITS), keras.layers.Dense(1)])
    net.compile(loss=recipe.loss, optimizer="adam")
    history = net.fit(
        train.x,
        train.y,
        epochs=recipe.epochs,
        batch_size=_BATCH,
        shuffle=recipe.shuffle,
        validation_data=(validation.x, validation.y),
        callbacks=_callbacks(keras, recipe, lambda line: told(f"{recipe.name}, seed {seed}: {line}")),
        verbose=0,
    ).history
    said = net.predict(prepared.test.x, batch_size=_BATCH, verbose=0)[:, 0]
    return Net(seed, prepared.forecasts(said), history["loss"], history["val_loss"])


def _callbacks(keras: Any, recipe: Recipe, told: Callable[[str], None]) -> list[Any]:
    def say(epoch: int, logs: dict[str, float]) -> None:
        losses = f"loss {logs['loss']:.4f}, validation {logs['val_loss']:.4f}"
        told(f"epoch {epoch + 1}/{recipe.epochs}, {losses}")

    found = [keras.callbacks.LambdaCallback(on_epoch_end=say)]
    if recipe.patience is not None:
        stop = keras.callbacks.EarlyStopping(patience=recipe.patience, restore_best_weights=True)
        found.append(stop)
    return found
