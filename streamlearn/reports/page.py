"""Sections → one HTML file: no script, no outside resource; figures stand inside it as SVG.

The template escapes everything; only figures, which `drawing.py` has made, go in as they are.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamlearn.errors import DataUnavailable
from streamlearn.extras import needing
from streamlearn.reports.figures.style import inlined

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Picture:
    """A figure of the page."""

    title: str
    """What it shows, as a finding where that can be said."""
    alt: str
    """What is to be seen, for those who cannot see it."""
    caption: str
    """How to read it."""
    svg: str
    wide: bool = False


@dataclass(frozen=True)
class Grid:
    """A table of the page: the first column names the row, the others are numbers."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    wide: bool = False
    """Whether it needs the whole width; it stands before the figures then."""


@dataclass(frozen=True)
class Section:
    """A part of the page, with an entry in its table of contents."""

    title: str
    text: str = ""
    pictures: Sequence[Picture] = ()
    tables: Sequence[Grid] = ()

    @property
    def key(self) -> str:
        """The title as an address inside the page.

        >>> Section("What drives PM2.5?").key
        'what-drives-pm2-5'
        """
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Head:
    """What stands above the sections."""

    title: str
    facts: Sequence[tuple[str, str]]
    """What is reported on: name and value."""
    notes: Sequence[str]
    score: Grid | None


def check_installed() -> None:
    """Say before the work, not after it, what is missing.

    Raises
    ------
    MissingExtra
        A package that the page or its figures need is not installed.
    """
    with needing("report"):
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
        import statsmodels  # noqa: F401


def rendered(head: Head, sections: Sequence[Section]) -> str:
    """Return the page."""
    with needing("report"):
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    numbers = iter(range(1, 1 + sum(len(section.pictures) for section in sections)))
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["drawn"] = lambda one: Markup(inlined(one.svg, f"f{next(numbers)}-"))  # noqa: S704
    page: str = environment.get_template("report.html").render(head=head, sections=sections)
    return page


def write(page: str, file: Path) -> None:
    """Write the page.

    Raises
    ------
    DataUnavailable
        The file cannot be written.
    """
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise DataUnavailable(f"{file} cannot be written: {error.strerror}") from error
