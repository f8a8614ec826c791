"""The figures of a classifier. Each function returns an SVG as text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlearn.learning.curves import Floats, rolling_accuracy, thin_indices
from streamlearn.reports.decisions import Decisions, HardRecord
from streamlearn.reports.figures.style import (
    BASELINE_STYLE,
    MODEL_STYLE,
    NARROW,
    WIDE,
    draw_dumbbells,
    drop_marker,
    place_legend_above,
    render_svg,
)

_MAX_POINTS = 500
"""Points of a line."""
_MIN_SIGNED_SHARE = 0.25
"""The share of the largest weight from which a weight's sign is written."""


def draw_rolling_accuracy(decisions: Decisions, window: int) -> str:
    """Draw the accuracy over the last `window` records, beside always predicting the commonest label."""
    accuracy, baseline = rolling_accuracy(decisions.truths.tolist(), decisions.predictions.tolist(), window)
    # Shares of the first few records only jump.
    rows = np.arange(len(accuracy))[window // 10 :]
    rows = rows[thin_indices(len(rows), _MAX_POINTS)]

    def draw(axes: Any) -> None:
        axes.plot(rows + 1, 100 * accuracy[rows], **drop_marker(MODEL_STYLE), label="model")
        axes.plot(rows + 1, 100 * baseline[rows], **drop_marker(BASELINE_STYLE), label="the commonest label")
        axes.set_xlabel("records scored")
        axes.set_ylabel(f"correct (%), of the last {window}")
        axes.set_ylim(0, 101)
        place_legend_above(axes)

    return render_svg(draw, WIDE)


def draw_confusion_matrix(decisions: Decisions, *, as_shares: bool) -> str:
    """Draw labels against predictions: counts, or shares of each label in percent."""
    counts = decisions.confusion
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cells: NDArray[Any] = 100 * counts / totals if as_shares else counts
    mistakes = np.where(np.eye(len(counts), dtype=bool), 0, counts / totals)
    names = [str(label) for label in decisions.classes]

    def draw(axes: Any) -> None:
        # Nearly all records are on the diagonal: colour there would hide the mistakes.
        axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=max(float(mistakes.max()), 1e-9) * 1.6)
        for row, column in np.ndindex(cells.shape):
            value = cells[row, column]
            text = f"{value:.1f}" if as_shares else shorten_count(int(value))
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
        axes.set_xlabel("prediction")
        axes.set_ylabel("label")
        axes.grid(visible=False)

    return render_svg(draw, (NARROW[0], 5.0))


def shorten_count(count: int) -> str:
    """Return a count in at most four characters, as wide as a cell of ten classes.

    >>> [shorten_count(count) for count in (987, 9_999, 10_000, 139_995, 999_999, 1_437_600)]
    ['987', '9999', '10k', '140k', '1.0M', '1.4M']
    """
    if count < 10_000:
        return str(count)
    return f"{count / 1e3:.0f}k" if count < 999_500 else f"{count / 1e6:.1f}M"


def draw_recall_and_precision(decisions: Decisions) -> str:
    """Draw recall and precision of each class."""
    names = [str(label) for label in decisions.classes]

    def draw(axes: Any) -> None:
        recall, precision = 100 * decisions.recall, 100 * decisions.precision
        draw_dumbbells(axes, names, recall, precision, labels=("recall", "precision"))
        axes.set_ylabel("class")
        axes.set_xlabel("%")
        place_legend_above(axes)

    return render_svg(draw, (NARROW[0], max(2.5, 1 + 0.3 * len(names))))


def draw_hard_records(records: Sequence[HardRecord], image_shape: tuple[int, int], columns: int) -> str:
    """Draw records as images, large values dark, each under its label and its most frequent mistake."""
    rows = -(-len(records) // columns)
    largest = max(float(record.features.max()) for record in records)

    def draw(panels: Any) -> None:
        for axes in np.ravel(panels):
            axes.set_axis_off()
        for axes, record in zip(np.ravel(panels), records, strict=False):
            image = record.features.reshape(image_shape)
            axes.imshow(image, cmap="Greys", vmin=0, vmax=largest, interpolation="nearest")
            title = f"{record.truth} → {record.mistaken_for}\n{record.wrong} of {record.seen}"
            axes.set_title(title, fontsize=9)

    return render_svg(draw, (WIDE[0], 0.2 + 1.45 * rows), rows, ncols=columns, squeeze=False)


def draw_weight_images(decisions: Decisions, weights: Floats, image_shape: tuple[int, int]) -> str:
    """Draw the weights of each class as an image, all on one scale."""
    columns = min(5, len(weights))
    rows = -(-len(weights) // columns)
    largest = _largest_absolute(weights)

    def draw(panels: Any) -> None:
        flat = np.ravel(panels)
        for axes in flat:
            axes.set_axis_off()
        for axes, row, name in zip(flat, weights, _name_rows(decisions, weights), strict=False):
            image = axes.imshow(
                row.reshape(image_shape), cmap="PuOr_r", vmin=-largest, vmax=largest, interpolation="nearest"
            )
            axes.set_title(name, fontsize=10)
            _write_signs(axes, row.reshape(image_shape), largest)
        flat[0].figure.colorbar(image, ax=flat.tolist(), label="weight", shrink=0.9)

    return render_svg(draw, (WIDE[0], 0.4 + 1.9 * rows), rows, ncols=columns, squeeze=False)


def draw_weight_map(decisions: Decisions, weights: Floats) -> str:
    """Draw the weights as a map: a row a class, a column a feature."""
    largest = _largest_absolute(weights)

    def draw(axes: Any) -> None:
        image = axes.imshow(
            weights, cmap="PuOr_r", vmin=-largest, vmax=largest, aspect="auto", interpolation="nearest"
        )
        _write_signs(axes, weights, largest)
        axes.set_yticks(range(len(weights)), _name_rows(decisions, weights))
        axes.set_xlabel("feature number")
        axes.set_ylabel("class")
        axes.grid(visible=False)
        axes.figure.colorbar(image, ax=axes, label="weight")

    return render_svg(draw, (WIDE[0], 1.6 + 0.3 * len(weights)))


def _largest_absolute(weights: Floats) -> float:
    return max(float(np.abs(weights).max()), 1e-12)


def _name_rows(decisions: Decisions, weights: Floats) -> list[str]:
    """Return the class of each row: a model of two classes has one row, which speaks for the second."""
    return [str(label) for label in decisions.classes[-len(weights) :]]


def _write_signs(axes: Any, weights: Floats, largest: float) -> None:
    """Write the sign into each cell with a large weight, because a grey print has no colours."""
    for row, column in zip(*np.nonzero(np.abs(weights) > _MIN_SIGNED_SHARE * largest), strict=True):
        dark = abs(weights[row, column]) > 0.6 * largest
        sign = "+" if weights[row, column] > 0 else "−"
        axes.text(column, row, sign, ha="center", va="center", fontsize=8, color="white" if dark else "black")
