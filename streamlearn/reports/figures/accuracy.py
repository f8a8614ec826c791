"""What is drawn of a classification. Each function returns an SVG."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlearn.learning.curves import Floats, rolling_accuracy, thinned
from streamlearn.reports.decisions import Decisions, Hard
from streamlearn.reports.figures.style import BASELINE, GREY, NARROW, OURS, WIDE, legend_above, line, svg

_POINTS = 500
_FAINT = 0.25
"""The share of the largest weight below which its sign is not written."""


def accuracy_over_time(found: Decisions, window: int) -> str:
    """The rolling accuracy beside that of saying the commonest label."""
    ours, theirs = rolling_accuracy(found.truths.tolist(), found.guesses.tolist(), window)
    # The share of the first few records is only a leap.
    chosen = np.arange(len(ours))[window // 10 :]
    chosen = chosen[thinned(len(chosen), _POINTS)]

    def draw(axes: Any) -> None:
        axes.plot(chosen + 1, 100 * ours[chosen], **line(OURS), label="model")
        axes.plot(chosen + 1, 100 * theirs[chosen], **line(BASELINE), label="the commonest label")
        axes.set_xlabel("records scored")
        axes.set_ylabel(f"right (%), of the last {window}")
        axes.set_ylim(0, 101)
        legend_above(axes)

    return svg(draw, WIDE)


def confusion(found: Decisions, *, shares: bool) -> str:
    """Label against prediction: counts, or shares of each label in percent."""
    counts = found.confusion
    whole = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shown: NDArray[Any] = 100 * counts / whole if shares else counts
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts / whole)
    names = [str(label) for label in found.classes]

    def draw(axes: Any) -> None:
        # The colour tells mistakes from each other; on the diagonal, which is nearly all, it would hide them.
        axes.imshow(wrong, cmap="Oranges", vmin=0, vmax=max(float(wrong.max()), 1e-9) * 1.6)
        for row, column in np.ndindex(shown.shape):
            value = shown[row, column]
            text = f"{value:.1f}" if shares else f"{value}"
            axes.text(
                column,
                row,
                text if counts[row, column] else "·",
                ha="center",
                va="center",
                fontsize=8,
                fontweight="bold" if row == column else "normal",
            )
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("taken for")
        axes.set_ylabel("label")
        axes.grid(visible=False)

    return svg(draw, (NARROW[0], 5.0))


def by_class(found: Decisions) -> str:
    """Recall and precision of each class."""
    rows = np.arange(len(found.classes))

    def draw(axes: Any) -> None:
        recall, precision = 100 * found.recall, 100 * found.precision
        axes.hlines(rows, np.fmin(recall, precision), np.fmax(recall, precision), color=GREY, linewidth=1)
        axes.plot(recall, rows, **{**OURS, "linestyle": ""}, label="recall")
        axes.plot(
            precision, rows, **{**BASELINE, "linestyle": ""}, label="precision", markerfacecolor="white"
        )
        axes.set_yticks(rows, [str(label) for label in found.classes])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_ylabel("class")
        axes.set_xlabel("%")
        legend_above(axes)

    return svg(draw, (NARROW[0], max(2.5, 1 + 0.3 * len(rows))))


def pictures(hard: Sequence[Hard], shape: tuple[int, int], across: int) -> str:
    """Records as pictures, dark ink on white, each with its label and what it was taken for."""
    down = -(-len(hard) // across)
    ink = max(float(one.features.max()) for one in hard)

    def draw(panels: Any) -> None:
        for axes in np.ravel(panels):
            axes.set_axis_off()
        for axes, one in zip(np.ravel(panels), hard, strict=False):
            axes.imshow(one.features.reshape(shape), cmap="Greys", vmin=0, vmax=ink, interpolation="nearest")
            axes.set_title(f"{one.truth} → {one.guess}\n{one.wrong} of {one.seen}", fontsize=9)

    return svg(draw, (WIDE[0], 0.2 + 1.45 * down), down, ncols=across, squeeze=False)


def weights_as_pictures(found: Decisions, weights: Floats, shape: tuple[int, int]) -> str:
    """The weights of each class as a picture, with one scale for all."""
    across = min(5, len(weights))
    down = -(-len(weights) // across)
    most = _most(weights)

    def draw(panels: Any) -> None:
        flat = np.ravel(panels)
        for axes in flat:
            axes.set_axis_off()
        for axes, row, name in zip(flat, weights, _names(found, weights), strict=False):
            image = axes.imshow(
                row.reshape(shape), cmap="PuOr_r", vmin=-most, vmax=most, interpolation="nearest"
            )
            axes.set_title(name, fontsize=10)
            _signs(axes, row.reshape(shape), most)
        flat[0].figure.colorbar(image, ax=flat.tolist(), label="weight", shrink=0.9)

    return svg(draw, (WIDE[0], 0.4 + 1.9 * down), down, ncols=across, squeeze=False)


def weights_as_map(found: Decisions, weights: Floats) -> str:
    """The weights of each class, a column a feature."""
    most = _most(weights)

    def draw(axes: Any) -> None:
        image = axes.imshow(
            weights, cmap="PuOr_r", vmin=-most, vmax=most, aspect="auto", interpolation="nearest"
        )
        _signs(axes, weights, most)
        axes.set_yticks(range(len(weights)), _names(found, weights))
        axes.set_xlabel("number of the feature")
        axes.set_ylabel("class")
        axes.grid(visible=False)
        axes.figure.colorbar(image, ax=axes, label="weight")

    return svg(draw, (WIDE[0], 1.6 + 0.3 * len(weights)))


def _most(weights: Floats) -> float:
    return max(float(np.abs(weights).max()), 1e-12)


def _names(found: Decisions, weights: Floats) -> list[str]:
    """A model of two classes has one row of weights, which speak for the second class."""
    labels = found.classes if len(weights) == len(found.classes) else found.classes[-len(weights) :]
    return [str(label) for label in labels]


def _signs(axes: Any, weights: Floats, most: float) -> None:
    """Write the sign into each cell with a large weight: a grey print has no colours."""
    for row, column in zip(*np.nonzero(np.abs(weights) > _FAINT * most), strict=True):
        dark = abs(weights[row, column]) > 0.6 * most
        sign = "+" if weights[row, column] > 0 else "−"
        axes.text(column, row, sign, ha="center", va="center", fontsize=8, color="white" if dark else "black")
