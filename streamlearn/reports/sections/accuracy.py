"""The sections of a classifier's report: figures and tables, with their findings and how to read them."""

from collections.abc import Iterator

import numpy as np

from streamlearn.reports.decisions import Decisions, find_hardest
from streamlearn.reports.figures import accuracy
from streamlearn.reports.page import Figure, Section, Table
from streamlearn.reports.wording import format_count, format_number, format_percent

_MAX_WINDOW = 500
"""Records of the rolling accuracy."""
_IMAGE_COLUMNS, _IMAGE_ROWS = 8, 4
"""Of the hardest records."""
_TABLE_ROWS = 20
"""Of the hardest records, where they are no images."""


def build_score_table(decisions: Decisions) -> Table:
    """Return the accuracy over all records and the newest, beside that of the commonest label."""
    window, everything = _choose_window(decisions), np.ones(len(decisions.late), dtype=bool)
    selections = {"all": everything, f"the newest {format_count(window)}": everything.copy()}
    selections[f"the newest {format_count(window)}"][:-window] = False
    if decisions.late.any():
        selections |= {"labels in their record": ~decisions.late, "labels that came later": decisions.late}
    rows = []
    for name, selected in selections.items():
        if not selected.any():
            continue
        correct, truths = decisions.correct[selected], decisions.truths[selected]
        commonest = np.bincount(truths).max() / len(truths)
        rows.append(
            [
                name,
                format_percent(correct.mean(), 2),
                format_percent(commonest, 2),
                format_count(int(correct.sum())),
                format_count(len(correct)),
            ]
        )
    head = ("", "accuracy", "commonest label", "correct", "scored")
    return Table("Prequential accuracy: each record predicted by a model that had not learned it", head, rows)


def build_sections(decisions: Decisions) -> Iterator[Section]:
    """Yield the sections that these decisions allow."""
    yield _build_accuracy_section(decisions)
    yield _build_confusion_section(decisions)
    yield _build_recall_section(decisions)
    yield from _build_hardest_section(decisions)
    yield from _build_weights_section(decisions)


def _build_accuracy_section(decisions: Decisions) -> Section:
    window, correct = _choose_window(decisions), decisions.correct
    figure = Figure(
        title=f"{format_percent(correct.mean())} of {format_count(len(correct))} predictions are correct,"
        f" {format_percent(correct[-window:].mean())} of the last {format_count(window)}",
        alt="Line chart of the rolling share of correct predictions, and of the commonest label's share.",
        caption=f"The share of correct predictions among the last {format_count(window)} records. Blue,"
        " solid: the model. Orange, dashed: always predicting the commonest label among them, a baseline that"
        " knows the labels in advance.",
        svg=accuracy.draw_rolling_accuracy(decisions, window),
        wide=True,
    )
    return Section("Accuracy over time", "", [figure])


def _build_confusion_section(decisions: Decisions) -> Section:
    classes, counts = decisions.classes, decisions.confusion
    mistakes = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    truth, prediction = np.unravel_index(int(mistakes.argmax()), mistakes.shape)
    shares = 100 * mistakes / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    share_truth, share_prediction = np.unravel_index(int(shares.argmax()), shares.shape)
    title, share_title = "No label was mistaken for another", "As shares of each label"
    if mistakes.any():
        mistake_count = format_count(int(mistakes[truth, prediction]))
        label_count = format_count(int(counts[truth].sum()))
        title = (
            f"The commonest mistake: {classes[truth]} mistaken for {classes[prediction]},"
            f" {mistake_count} of {label_count} times"
        )
        share_title += (
            f": at most {format_number(shares.max())}\u00a0% ({classes[share_truth]} mistaken for"
            f" {classes[share_prediction]})"
        )
    caption = (
        "A row is a label, a column a prediction; correct ones are bold. The darker a cell, the larger its"
        " share of the row."
    )
    figures = [
        Figure(
            title=title,
            alt="Confusion matrix in counts.",
            caption=caption,
            svg=accuracy.draw_confusion_matrix(decisions, as_shares=False),
        ),
        Figure(
            title=share_title,
            alt="Confusion matrix in percent of each label.",
            caption=f"{caption} In percent; each row adds up to 100.",
            svg=accuracy.draw_confusion_matrix(decisions, as_shares=True),
        ),
    ]
    return Section("Which labels are confused", "", figures)


def _build_recall_section(decisions: Decisions) -> Section:
    recall, precision, counts = decisions.recall, decisions.precision, decisions.confusion
    hardest = int(np.where(np.isnan(recall), np.inf, recall).argmin())
    figure = Figure(
        title=f"{decisions.classes[hardest]} is hardest to recognise: its recall is"
        f" {format_percent(recall[hardest])}",
        alt="Dot chart of recall and precision by class.",
        caption="Recall (dots): of the records of a class, the share predicted as that class. Precision"
        " (hollow diamonds): of the records predicted as a class, the share that belongs to it.",
        svg=accuracy.draw_recall_and_precision(decisions),
    )
    rows = [
        (
            str(label),
            format_percent(recall[index]),
            format_percent(precision[index]),
            format_count(int(counts[index].sum())),
            format_count(int(counts[:, index].sum())),
        )
        for index, label in enumerate(decisions.classes)
    ]
    head = ("class", "recall", "precision", "records", "predicted")
    return Section("Recall and precision", "", [figure], [Table("Recall and precision by class", head, rows)])


def _build_hardest_section(decisions: Decisions) -> Iterator[Section]:
    records = find_hardest(decisions, _IMAGE_COLUMNS * _IMAGE_ROWS)
    if not records:
        return
    worst = records[0]
    section_title = "The hardest records"
    title = (
        f"The hardest: {worst.truth} mistaken for {worst.mistaken_for},"
        f" wrong {worst.wrong} of {worst.seen} times"
    )
    text = "Records with equal features count as one. Those predicted wrongly most often come first."
    if decisions.image_shape is None:
        rows = [
            [
                str(record.truth),
                str(record.mistaken_for),
                format_count(record.wrong),
                format_count(record.seen),
            ]
            for record in records[:_TABLE_ROWS]
        ]
        head = ("label", "mostly mistaken for", "wrong", "seen")
        yield Section(section_title, text, (), [Table(title, head, rows)])
        return
    examples = ", ".join(
        f"{record.truth} mistaken for {record.mistaken_for}" for record in records[:_IMAGE_COLUMNS]
    )
    figure = Figure(
        title=title,
        alt=f"Images of the {len(records)} records most often predicted wrongly: {examples}, …",
        caption="Above each image: the label → what it was mostly mistaken for, and how often the prediction"
        " was wrong of how often the record came.",
        svg=accuracy.draw_hard_records(records, decisions.image_shape, _IMAGE_COLUMNS),
        wide=True,
    )
    yield Section(section_title, text, [figure])


def _build_weights_section(decisions: Decisions) -> Iterator[Section]:
    weights = decisions.weights
    if weights is None:
        return
    if decisions.image_shape is not None:
        svg = accuracy.draw_weight_images(decisions, weights, decisions.image_shape)
        alt = "The weights of each class as an image."
    else:
        svg = accuracy.draw_weight_map(decisions, weights)
        alt = "Map of the weights, a row a class, a column a feature."
    zeros = format_percent(float((weights == 0).mean()))
    figure = Figure(
        title=f"{zeros} of {format_count(weights.size)} weights are exactly 0",
        alt=alt,
        caption="Orange, +: a large value there speaks for the class. Purple, −: it speaks against the class."
        " White: the value does not matter.",
        svg=svg,
        wide=True,
    )
    yield Section("What the model looks at", "", [figure])


def _choose_window(decisions: Decisions) -> int:
    return max(1, min(_MAX_WINDOW, len(decisions.truths) // 2))
