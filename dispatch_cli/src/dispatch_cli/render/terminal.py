"""The terminal: colour where somebody looks, plain wide lines where a program reads."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Final

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from dispatch_cli.render.clean import clean

WIDE: Final = 1_000
"""Columns where there is no terminal, so that no line is cut or wrapped."""

CELL_CHARS_MAX: Final = 500
_SPACED: Final = (0, 2, 0, 0)


def show(*things: RenderableType) -> None:
    """Print to standard output, through click, so that trouble with writing is met in one place."""
    watched = sys.stdout.isatty()
    page = StringIO()
    console = Console(
        file=page,
        force_terminal=watched or None,
        no_color=None if watched else True,
        width=None if watched else WIDE,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for thing in things:
        console.print(thing)
    click.echo("\n".join(map(str.rstrip, page.getvalue().split("\n"))), nl=False)


def cell(value: object, style: str = "") -> Text:
    """A value as harmless text; None is nothing."""
    text = "" if value is None else clean(str(value))
    return Text(text if len(text) <= CELL_CHARS_MAX else text[: CELL_CHARS_MAX - 1] + "…", style=style)


def listing(
    headings: Sequence[str], rows: Iterable[Sequence[Text | str]], *, whole: Sequence[str] = ()
) -> Table:
    """A table without lines; columns that are empty are left out.

    Columns in ``whole`` are never cut; those that begin with '#' hold numbers.
    """
    table = Table(box=None, padding=_SPACED, header_style="bold", pad_edge=False)
    cells = [[each if isinstance(each, Text) else cell(each) for each in row] for row in rows]
    widths = [max((row[number].cell_len for row in cells), default=0) for number in range(len(headings))]
    for heading, width in zip(headings, widths, strict=True):
        if width:
            table.add_column(
                heading.removeprefix("#").upper(),
                justify="right" if heading.startswith("#") else "left",
                no_wrap=True,
                min_width=width if heading in whole else None,
            )
    for row in cells:
        table.add_row(*(each for each, width in zip(row, widths, strict=True) if width))
    return table


def pairs(rows: Iterable[tuple[str, Text | str | None]]) -> Table:
    """Names and values below each other; what is None or empty is left out."""
    table = Table(box=None, padding=_SPACED, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        text = value if isinstance(value, Text) else cell(value)
        if text.plain:
            table.add_row(name, text)
    return table


def interactive() -> bool:
    """Whether somebody watches standard error."""
    return sys.stderr.isatty()
