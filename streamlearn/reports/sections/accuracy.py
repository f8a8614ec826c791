"""The sections on a classification: what is drawn, what it says in words, and how to read it."""

from collections.abc import Iterator

import numpy as np

from streamlearn.reports.decisions import Decisions, hardest
from streamlearn.reports.figures import accuracy
from streamlearn.reports.page import Grid, Picture, Section
from streamlearn.reports.wording import count, number, percent

_WINDOW = 500
_ACROSS, _DOWN = 8, 4
_ROWS = 20


def score(found: Decisions) -> Grid:
    """The accuracy, over all and over the newest, beside the commonest label."""
    rows = []
    for name, chosen in (
        ("all", slice(None)),
        (f"the newest {count(_window(found))}", slice(-_window(found), None)),
    ):
        right, truths = found.right[chosen], found.truths[chosen]
        commonest = np.bincount(truths).max() / len(truths)
        rows.append(
            [
                name,
                percent(right.mean(), 2),
                percent(commonest, 2),
                count(int(right.sum())),
                count(len(right)),
            ]
        )
    head = ("", "accuracy", "commonest label", "right", "scored")
    return Grid("Prequential accuracy: each record predicted by a model that had not learned it", head, rows)


def sections(found: Decisions) -> Iterator[Section]:
    """Yield the sections on a classification."""
    yield _over_time(found)
    yield _confusion(found)
    yield _by_class(found)
    yield from _hardest(found)
    yield from _weights(found)


def _over_time(found: Decisions) -> Section:
    window = _window(found)
    picture = Picture(
        title=f"{percent(found.right.mean())} of {count(len(found.right))} are right,"
        f" {percent(found.right[-window:].mean())} of the last {count(window)}",
        alt="Line chart of the rolling share of right predictions, and of the commonest label's share.",
        caption=f"The share right among the last {count(window)} records. Blue, solid: the model."
        " Orange, dashed: saying the label that is commonest there, which knows what is to come.",
        svg=accuracy.accuracy_over_time(found, window),
        wide=True,
    )
    return Section("Accuracy over time", "", [picture])


def _confusion(found: Decisions) -> Section:
    counts = found.confusion
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    truth, guess = np.unravel_index(int(wrong.argmax()), wrong.shape)
    most = int(wrong[truth, guess])
    title = "Nothing was taken for something else"
    if most:
        title = (
            f"The commonest mistake: {found.classes[truth]} taken for {found.classes[guess]},"
            f" {count(most)} times of {count(int(counts[truth].sum()))}"
        )
    rows = 100 * wrong / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    truth, guess = np.unravel_index(int(rows.argmax()), rows.shape)
    largest = f"{found.classes[truth]} is taken for {found.classes[guess]} in {number(rows[truth, guess])} %"
    how = (
        "A row is a label, a column what it was taken for; bold: right."
        " The darker a cell, the larger the share of its row."
    )
    pictures = [
        Picture(title, "Confusion matrix in counts.", how, accuracy.confusion(found, shares=False)),
        Picture(
            f"As shares of each label, at most {largest}" if most else "As shares of each label",
            "Confusion matrix in percent of each label.",
            f"{how} In percent; each row adds up to 100.",
            accuracy.confusion(found, shares=True),
        ),
    ]
    return Section("What is taken for what", "", pictures)


def _by_class(found: Decisions) -> Section:
    recall, precision = found.recall, found.precision
    known = np.where(np.isnan(recall), np.inf, recall)
    least = int(known.argmin())
    picture = Picture(
        title=f"{found.classes[least]} is hardest to find: {percent(recall[least])} of them are recognised",
        alt="Dot chart of recall and precision by class.",
        caption="Recall (dots): of the records of a class, the share that was recognised. Precision (hollow"
        " diamonds): of what was said to be of a class, the share that is.",
        svg=accuracy.by_class(found),
    )
    counts = found.confusion
    rows = [
        (
            str(label),
            percent(recall[at]),
            percent(precision[at]),
            count(int(counts[at].sum())),
            count(int(counts[:, at].sum())),
        )
        for at, label in enumerate(found.classes)
    ]
    table = Grid("Class by class", ("class", "recall", "precision", "of the class", "said to be"), rows)
    return Section("Recall and precision", "", [picture], [table])


def _hardest(found: Decisions) -> Iterator[Section]:
    hard = hardest(found, _ACROSS * _DOWN)
    if not hard:
        return
    worst = hard[0]
    title = f"The hardest: {worst.truth}, taken for {worst.guess}, wrong {worst.wrong} times of {worst.seen}"
    text = "Equal records count as one, however often they came; the most often wrong stand first."
    if found.picture is None:
        rows = [[str(one.truth), str(one.guess), count(one.wrong), count(one.seen)] for one in hard[:_ROWS]]
        head = ("label", "mostly taken for", "wrong", "seen")
        yield Section("The hardest records", text, (), [Grid(title, head, rows)])
        return
    listed = ", ".join(f"{one.truth} taken for {one.guess}" for one in hard[:_ACROSS])
    picture = Picture(
        title=title,
        alt=f"Pictures of the {len(hard)} records most often wrong: {listed}, …",
        caption="Above each: its label → what it was mostly taken for, and how often it was wrong of how"
        " often it came.",
        svg=accuracy.pictures(hard, found.picture, _ACROSS),
        wide=True,
    )
    yield Section("The hardest records", text, [picture])


def _weights(found: Decisions) -> Iterator[Section]:
    weights = found.weights
    if weights is None:
        return
    zeros = f"{percent(float((weights == 0).mean()))} of {count(weights.size)} weights are exactly 0"
    how = (
        "Orange, +: more there speaks for the class. Purple, −: it speaks against. White: it does not matter."
    )
    if found.picture is not None:
        drawn = accuracy.weights_as_pictures(found, weights, found.picture)
        alt = "The weights of each class as a picture."
    else:
        drawn = accuracy.weights_as_map(found, weights)
        alt = "Map of the weights, a row a class, a column a feature."
    yield Section("What the model looks at", "", [Picture(zeros, alt, how, drawn, wide=True)])


def _window(found: Decisions) -> int:
    return max(1, min(_WINDOW, len(found.truths) // 2))
