"""Text from elsewhere, made harmless for where it is shown: a terminal, a table program."""

import re
from collections.abc import Iterable, Mapping

# Control characters move the cursor, set titles or colours; bidirectional ones show a text in another order;
# surrogates are bytes of a file name that are not UTF-8, which no terminal takes. Tab and line feed stay.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# How a cell begins that Excel, LibreOffice and others take for a formula (OWASP, "CSV injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ESCAPED_BYTES = range(0xDC80, 0xDD00)


def shown(text: str) -> str:
    r"""The text, with what a terminal would act on in visible form: ``\x1b``, ``\xfc``, ``\u202e``."""
    return _UNSAFE.sub(_visible, text)


def csv_cell(value: object) -> object:
    """A value as a cell of a CSV file: text that would be taken for a formula begins with ``'``."""
    if isinstance(value, str):
        text = shown(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    return value


def csv_row(values: Iterable[object]) -> list[object]:
    """Values as a row of a CSV file: see :func:`csv_cell`."""
    return [csv_cell(value) for value in values]


def counted(reasons: Mapping[str, int]) -> str:
    """Numbers by what they are of, in a row: ``3 hidden files, 1 folders``."""
    return ", ".join(f"{number} {reason}" for reason, number in reasons.items())


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code in _ESCAPED_BYTES:  # as Python keeps the bytes of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
