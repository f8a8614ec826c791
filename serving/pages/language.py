"""English and Chinese: which one a request is answered in, and its texts.

Texts are written in English where they are used, marked with `_`; `locales/zh.po` has their translations. The
catalogue is read as it is, so nothing needs to be compiled before the server runs.
"""

import io
from functools import cache
from pathlib import Path

from babel.messages import mofile, pofile
from babel.support import NullTranslations, Translations
from flask import Flask, Response, g, request

LANGUAGES = {"en": "English", "zh": "中文"}
"""The languages, and what each calls itself; the first is that of the sources."""

TAGS = {"en": "en", "zh": "zh-Hans"}
"""As HTML names them."""

LOCALES = Path(__file__).parent / "locales"

_COOKIE = "lang"
_YEAR_S = 365 * 24 * 3600


def register(app: Flask) -> None:
    """Teach templates to translate, and remember who has chosen a language."""
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        gettext, lambda one, many, count: _texts(chosen()).ungettext(one, many, count), newstyle=True
    )
    app.after_request(_remember)


def chosen() -> str:
    """Return the language of this request: that which was asked for, was chosen before, or is preferred."""
    if "language" not in g:
        wanted = (request.args.get("lang"), request.cookies.get(_COOKIE))
        preferred = request.accept_languages.best_match([*LANGUAGES, *TAGS.values()])
        found = [one for one in wanted if one in LANGUAGES]
        g.language = found[0] if found else (preferred or "en")[:2]
    return str(g.language)


def gettext(text: str) -> str:
    """Translate into the language of this request."""
    return str(_texts(chosen()).ugettext(text))


@cache
def _texts(language: str) -> NullTranslations:
    path = LOCALES / f"{language}.po"
    if not path.exists():
        return NullTranslations()
    with path.open("rb") as source:
        catalogue = pofile.read_po(source, locale=language)
    compiled = io.BytesIO()
    mofile.write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


def _remember(response: Response) -> Response:
    if request.args.get("lang") in LANGUAGES:
        response.set_cookie(_COOKIE, chosen(), max_age=_YEAR_S, samesite="Lax", httponly=True)
    if "language" in g:
        response.vary.add("Accept-Language")
        response.vary.add("Cookie")
    return response
