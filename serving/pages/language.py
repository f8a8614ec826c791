"""English and Chinese: choose the language of a request, and translate into it.

Texts stand in English where they are used, marked with `_` or `gettext`; `locales/zh.po` has their
translations. The catalogue is read as it is: nothing has to be compiled before the server runs.
"""

import io
from functools import cache
from pathlib import Path

from babel.messages import mofile, pofile
from babel.support import NullTranslations, Translations
from flask import Flask, Response, g, request

LANGUAGES = {"en": "English", "zh": "中文"}
"""The languages, and each one's own name; the first is that of the sources."""

TAGS = {"en": "en", "zh": "zh-Hans"}
"""The languages' names in HTML."""

LOCALES = Path(__file__).parent / "locales"

_COOKIE = "lang"
_YEAR_S = 365 * 24 * 3600


def register(app: Flask) -> None:
    """Let templates translate, and remember the language that a visitor chooses."""
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        gettext,
        lambda singular, plural, count: _load_texts(choose_language()).ungettext(singular, plural, count),
        newstyle=True,
    )
    app.after_request(_remember_language)


def choose_language() -> str:
    """Return the language of this request: by its query, else its cookie, else what the browser prefers."""
    if "language" not in g:
        chosen = (request.args.get("lang"), request.cookies.get(_COOKIE))
        preferred = request.accept_languages.best_match([*LANGUAGES, *TAGS.values()])
        known = [language for language in chosen if language in LANGUAGES]
        g.language = known[0] if known else (preferred or "en")[:2]
    return str(g.language)


def gettext(text: str) -> str:
    """Translate a text into the language of this request."""
    return str(_load_texts(choose_language()).ugettext(text))


@cache
def _load_texts(language: str) -> NullTranslations:
    path = LOCALES / f"{language}.po"
    if not path.exists():
        return NullTranslations()
    with path.open("rb") as source:
        catalogue = pofile.read_po(source, locale=language)
    compiled = io.BytesIO()
    mofile.write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


def _remember_language(response: Response) -> Response:
    if request.query_string and request.args.get("lang") in LANGUAGES:
        response.set_cookie(_COOKIE, choose_language(), max_age=_YEAR_S, samesite="Lax", httponly=True)
    if "language" in g:
        response.vary.add("Accept-Language")
        response.vary.add("Cookie")
    return response
