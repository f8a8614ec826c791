"""Values as a person writes them in Python."""

import json
from typing import Any

WIDTH = 110


def format_value(value: Any, indent: int, used: int) -> str:
    """Write a tuple, mapping or plain value: on one line if it fits, else an item a line."""
    line = write_value(value)
    if indent + used + len(line) <= WIDTH or not isinstance(value, tuple | dict):
        return line
    inner = " " * (indent + 4)
    if isinstance(value, dict):
        items = [
            f"{write_value(key)}: {format_value(item, indent + 4, len(key) + 5)},"
            for key, item in value.items()
        ]
        return "\n".join(["{", *(inner + item for item in items), " " * indent + "}"])
    return "\n".join(["(", *(f"{inner}{write_value(item)}," for item in value), " " * indent + ")"])


def write_value(value: Any) -> str:
    """Write a plain value on one line."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{write_value(key)}: {write_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, tuple):
        return f"({', '.join(map(write_value, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def quote(text: str) -> str:
    """Write a text as Python does, in double quotes."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def make_plain(text: str) -> str:
    """Return a text that can end neither a comment nor a docstring, and escapes nothing."""
    return "".join(
        character if character.isprintable() and character not in '"\\' else "�" for character in text
    )
