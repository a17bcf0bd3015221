"""Text from elsewhere: what a terminal or a table program would act on is shown, not done."""

import os

import pytest

from pcedge.core.text import csv_cell, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Flasche grün – 検査.png", "Flasche grün – 検査.png"),
        ("two\tcolumns\nand lines", "two\tcolumns\nand lines"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31m", r"\x9b31m"),
        ("over\rwritten\b", r"over\x0dwritten\x08"),
        ("gnp\u202e.exe", r"gnp\u202e.exe"),
        (os.fsdecode(b"gr\xfcn.png"), r"gr\xfcn.png"),
        ("\ud83d", r"\ud83d"),
    ],
)
def test_what_a_terminal_would_act_on_is_visible(text: str, expected: str) -> None:
    assert shown(text) == expected
    assert shown(text).encode() == expected.encode()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_would_be_a_formula_is_text(start: str) -> None:
    cell = csv_cell(f"{start}cmd|' /C calc'!A0")

    assert isinstance(cell, str)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize("value", [-1.5, 3, None, "a-b", "test/good/1.png"])
def test_numbers_and_plain_names_stay(value: object) -> None:
    assert csv_cell(value) == value
