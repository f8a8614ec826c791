"""Headers as names of fields: identifiers, each once."""

import keyword
import re
import unicodedata
from collections.abc import Sequence

_TAKEN = {*keyword.kwlist, "bool", "float", "int", "str", "datetime", "msgspec", "property"}
"""Names that mean something else in the struct."""


_REFUSED = re.compile(r'["\\\x00-\x1f]')


def can_rename(name: str) -> bool:
    """Return whether msgspec lets a field have this name in JSON.

    >>> can_rename("PM2.5"), can_rename('5"')
    (True, False)
    """
    return not _REFUSED.search(name)


def name_fields(names: Sequence[str]) -> dict[str, str]:
    """Return a field's name for each column: an identifier in small letters, each once.

    >>> list(name_fields(["PM2.5", "Length (cm)", "class", "2nd", "length [cm]"]).values())
    ['pm2_5', 'length_cm', 'class_', 'n_2nd', 'length_cm_2']
    """
    fields: dict[str, str] = {}
    for name in names:
        text = unicodedata.normalize("NFKC", name).casefold()
        text = re.sub(r"\W+", "_", text).strip("_") or "column"
        text = text if text.isidentifier() else f"n_{text}"
        text = f"{text}_" if text in _TAKEN else text
        first, number = text, 1
        while text in fields.values():
            number += 1
            text = f"{first.rstrip('_')}_{number}"
        fields[name] = text
    return fields
