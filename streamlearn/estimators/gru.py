"""A gated recurrent unit: a small network that reads a sequence step by step, learned row by row.

K. Cho et al., "Learning phrase representations using RNN encoder–decoder", EMNLP 2014; the reset gate acts on
the recurrent product, as in cuDNN and PyTorch. From h = 0, for each step's fields x, the oldest first,

    r, z = σ(x W + h U + b)      reset and update gate; the columns of W, U and b are those of r, z and n
    n = tanh(x W + b + r · h U)
    h ← (1 − z) n + z h

and the prediction is h v + c after the last step. A row is learned by one step of Adam (D. P. Kingma, J. Ba,
ICLR 2015) down half its squared error: the gradient goes back through the whole row, and one that is longer
than `clip` is shortened (R. Pascanu et al., ICML 2013).

It is plain numpy, without a framework: row by row, calls cost more than arithmetic. The order of every sum is
fixed, and a snapshot holds the arrays as they are.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamlearn.estimators.row_regressor import RowRegressor

Array = NDArray[np.float64]

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8
"""Adam's constants, with the values that its authors propose."""


class GatedRecurrentUnit(RowRegressor):
    """Regression on sequences: one recurrent layer and a linear read-out, which begins at zero.

    Parameters
    ----------
    fields
        Numbers in a step. A row is a sequence of steps, flattened, the oldest step first.
    hidden
        Units of the layer.
    learning_rate
        Adam's step size.
    clip
        Largest norm of a row's gradient; a longer gradient is shortened to it.
    scale
        A typical size of the targets, in their unit: the network computes in multiples of it.
    seed
        Seed of the first weights.

    Attributes
    ----------
    weights_ : (n_weights,)
        W, U, b, v and c, one after the other.
    mean_, square_ : (n_weights,)
        Adam's moments: running means of the gradient and of its square.
    rows_ : int
        Rows learned.

    >>> x = np.sin(np.arange(400.0))[:, None] * np.ones(3)
    >>> model = GatedRecurrentUnit(hidden=4, learning_rate=0.02).partial_fit(x, 5 * x[:, 0])
    >>> bool(abs(model.predict([[1.0, 1.0, 1.0]])[0] - 5) < 1)
    True
    """

    learned = ("weights_", "mean_", "square_", "rows_")

    weights_: Array
    mean_: Array
    square_: Array
    rows_: int

    def __init__(
        self,
        fields: int = 1,
        hidden: int = 16,
        learning_rate: float = 0.001,
        clip: float = 1.0,
        scale: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.fields = fields
        self.hidden = hidden
        self.learning_rate = learning_rate
        self.clip = clip
        self.scale = scale
        self.seed = seed

    def begin(self) -> None:
        """Draw the first recurrent weights as PyTorch does; the read-out is zero, and so is every prediction.

        Raises
        ------
        ValueError
            The rows are no sequences of steps of `fields` numbers, or there are no hidden units.
        """
        if min(self.fields, self.hidden) < 1 or self.n_features_in_ % self.fields:
            raise ValueError(
                f"{self.n_features_in_} features are no sequence of steps of {self.fields} fields,"
                f" for {self.hidden} hidden units"
            )
        recurrent = 3 * self.hidden * (self.fields + self.hidden)
        bound = self.hidden**-0.5
        self.weights_ = np.zeros(recurrent + 4 * self.hidden + 1)
        self.weights_[:recurrent] = np.random.default_rng(self.seed).uniform(-bound, bound, recurrent)
        self.mean_, self.square_ = np.zeros_like(self.weights_), np.zeros_like(self.weights_)
        self.rows_ = 0

    def predict_one(self, x: Array) -> float:
        """Predict one row of shape (n_features,); nothing is checked."""
        return self.scale * self._read(self._parts(self.weights_), x).output

    def learn_one(self, x: Array, target: float) -> None:
        """Learn one row of shape (n_features,), after `begin`; nothing is checked."""
        gradient = self.gradient(x, target)
        norm = float(np.sqrt(gradient @ gradient))
        if norm > self.clip:
            gradient = gradient * (self.clip / norm)
        self.rows_ += 1
        self.mean_ = _BETA_1 * self.mean_ + (1 - _BETA_1) * gradient
        self.square_ = _BETA_2 * self.square_ + (1 - _BETA_2) * gradient * gradient
        size = np.sqrt(self.square_ / (1 - _BETA_2**self.rows_)) + _EPSILON
        rate = self.learning_rate / (1 - _BETA_1**self.rows_)
        self.weights_ = self.weights_ - rate * self.mean_ / size

    def gradient(self, x: Array, target: float) -> Array:
        """Return the gradient of half the squared error of one row by the weights, shape (n_weights,).

        The error is in units of `scale`.
        """
        parts = self._parts(self.weights_)
        trace = self._read(parts, x)
        error = trace.output - target / self.scale
        before, hidden = trace.states[:-1], self.hidden
        r, z, n = _gates(trace.inputs, trace.sums)
        # How much a step's state changes with each gate's sum; n's share of h U passes the reset gate first.
        inner = (1 - z) * (1 - n * n)
        moves = np.stack(
            [inner * trace.sums[:, 2 * hidden :] * r * (1 - r), (before - n) * z * (1 - z), inner], axis=1
        )
        through = moves.copy()
        through[:, 2] *= r
        slopes, slope, back = np.empty_like(before), error * parts.v, parts.u.T
        for step in reversed(range(len(slopes))):
            slopes[step] = slope
            slope = slope * z[step] + (through[step] * slope).ravel() @ back
        sums = (moves * slopes[:, None]).reshape(len(slopes), -1)
        products = (through * slopes[:, None]).reshape(len(slopes), -1)
        # By W, U, b, v and c.
        slopes_by_part = (
            trace.x.T @ sums,
            before.T @ products,
            sums.sum(axis=0),
            error * trace.states[-1],
            error,
        )
        return np.concatenate([np.ravel(part) for part in slopes_by_part])

    def _read(self, parts: "_Parts", x: Array) -> "_Trace":
        """Let the network read a row, and return all intermediate values."""
        steps = x.reshape(-1, self.fields)
        inputs = steps @ parts.w + parts.b
        sums, states = np.empty_like(inputs), np.zeros((len(steps) + 1, self.hidden))
        for step, (step_inputs, product) in enumerate(zip(inputs, sums, strict=True)):
            np.dot(states[step], parts.u, out=product)
            _, z, n = _gates(step_inputs, product)
            states[step + 1] = n + z * (states[step] - n)
        return _Trace(steps, inputs, sums, states, float(states[-1] @ parts.v + parts.c))

    def _parts(self, weights: Array) -> "_Parts":
        """Return W, U, b, v and c; all but c are views into `weights`."""
        width = 3 * self.hidden
        w_end = width * self.fields
        u_end = w_end + width * self.hidden
        return _Parts(
            weights[:w_end].reshape(self.fields, width),
            weights[w_end:u_end].reshape(self.hidden, width),
            weights[u_end : u_end + width],
            weights[u_end + width : -1],
            float(weights[-1]),
        )


class _Parts(NamedTuple):
    """The weights, each in its own shape."""

    w: Array
    u: Array
    b: Array
    v: Array
    c: float


class _Trace(NamedTuple):
    """The intermediate values of reading a row of T steps."""

    x: Array
    """(T, fields)"""
    inputs: Array
    """x W + b: (T, 3 hidden)."""
    sums: Array
    """h U, with the state before each step: (T, 3 hidden)."""
    states: Array
    """h, h₀ included: (T + 1, hidden)."""
    output: float
    """The prediction, in units of `scale`."""


def _gates(inputs: Array, sums: Array) -> tuple[Array, Array, Array]:
    """Return r, z and n, each of shape (…, hidden), from x W + b and h U, each of shape (…, 3 hidden)."""
    hidden = inputs.shape[-1] // 3
    # σ(a) = (1 + tanh(a/2)) / 2 overflows nowhere.
    both = 0.5 + 0.5 * np.tanh(0.5 * (inputs[..., : 2 * hidden] + sums[..., : 2 * hidden]))
    r, z = both[..., :hidden], both[..., hidden:]
    return r, z, np.tanh(inputs[..., 2 * hidden :] + r * sums[..., 2 * hidden :])
