"""The page: sections in one HTML file, without scripts or outside resources, with figures as inline SVG.

The template escapes everything except the figures, which `figures/style.py` has made.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamlearn.errors import FileError
from streamlearn.extras import require_extra
from streamlearn.reports.figures.style import inline_svg

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Figure:
    """A figure with its words."""

    title: str
    """What the figure shows; its main finding where there is one."""
    alt: str
    """The text alternative, for readers who cannot see the figure."""
    caption: str
    """How to read the figure."""
    svg: str
    """As `figures.style.render_svg` returns it."""
    wide: bool = False
    """Whether the figure needs the whole width of the page."""


@dataclass(frozen=True)
class Table:
    """A table: the first column names the row, the others hold numbers as text."""

    caption: str
    head: Sequence[str]
    """The name of each column; that of the first may be empty."""
    rows: Sequence[Sequence[str]]
    wide: bool = False
    """Whether the table needs the whole width of the page; it then stands before the figures."""


@dataclass(frozen=True)
class Section:
    """A part of the page, with an entry in its table of contents."""

    title: str
    text: str = ""
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()

    @property
    def anchor(self) -> str:
        """The title in the form of an address inside the page.

        >>> Section("What drives PM2.5?").anchor
        'what-drives-pm2-5'
        """
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class PageHead:
    """The part of the page above its sections."""

    title: str
    facts: Sequence[tuple[str, str]]
    """Which answers the report is made from: names and values."""
    notes: Sequence[str]
    """What a reader should know about the answers, one sentence each, without a full stop."""
    score: Table | None
    """None for a kind of learning without figures."""


def check_installed() -> None:
    """Check that the packages of the extra `report` are installed, before the work rather than after it.

    Raises
    ------
    MissingExtra
        A package that the page or its figures need is not installed.
    """
    with require_extra("report"):
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
        import statsmodels  # noqa: F401


def render_page(head: PageHead, sections: Sequence[Section]) -> str:
    """Return the page as HTML.

    Raises
    ------
    MissingExtra
        jinja2 is not installed.
    """
    with require_extra("report"):
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    numbers = itertools.count(1)
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = lambda svg: Markup(inline_svg(svg, f"f{next(numbers)}-"))  # noqa: S704
    html: str = environment.get_template("report.html").render(head=head, sections=sections)
    return html


def write_page(html: str, file: Path) -> None:
    """Write the page into a file.

    Raises
    ------
    FileError
        The file cannot be written.
    """
    try:
        file.write_text(html, encoding="utf-8")
    except OSError as error:
        raise FileError(f"{file} cannot be written: {error.strerror}") from error
