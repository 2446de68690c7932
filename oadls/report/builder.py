"""A report under construction: sections of text, tables, figures and pictures of cells.

Every table is also written as tables/NAME.csv, every figure as figures/NAME.png and .pdf; the page
itself carries them all, so that one file opens from disk without a network. Where what a picture is
drawn from is gone, the page shows the one that the report had before.
"""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jinja2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from oadls.publish import publish_table, publish_text
from oadls.report.figures import DPI, plot_cells, save
from oadls.report.images import PicturesGone
from oadls.tables import numbers_in, read_table

Level = Literal["info", "warning", "alarm"]
MISSING = "There are none: the images are not there any more, or have changed since the run."
BEFORE = (
    " As the report showed it before: the images, or the checkpoint, are not there any more or "
    "have changed since the run."
)
LARGEST = 320  # px a side of a picture in the page
PIXELS_PER_INCH = 118  # at most, of a figure in the page: its letters are then those of the text


@dataclass(frozen=True)
class CellPicture:
    """Pictures of one cell, side by side, with what is said of it.

    images : (H, W, 3) uint8 RGB each
    lines : caption, the first line in bold
    """

    images: Sequence[np.ndarray]
    lines: Sequence[str]


@dataclass
class Section:
    """A part of the page that a link can point at."""

    id: str
    title: str
    blocks: list[dict[str, Any]] = field(default_factory=list)


class Page:
    """Collects the sections and writes the files.

    folder : where they are written
    before : of the report that may have been written earlier
    """

    def __init__(self, folder: Path, before: Path | None = None) -> None:
        self.folder, self.before = folder, before or folder
        self.sections: list[Section] = []

    def section(self, id: str, title: str) -> None:
        """Begin a section; what follows belongs to it."""
        self.sections.append(Section(id, title))

    def text(self, text: str) -> None:
        """A paragraph."""
        self._add(kind="text", text=text)

    def heading(self, text: str) -> None:
        """A heading below the section's."""
        self._add(kind="heading", text=text)

    def note(self, text: str, level: Level = "warning") -> None:
        """What a reader must not miss."""
        self._add(kind="note", text=text, level=level)

    def tiles(self, tiles: Sequence[tuple[str, str, str]]) -> None:
        """Large numbers: (name, value, what stands below it)."""
        self._add(kind="tiles", tiles=list(tiles))

    def save_table(self, name: str, table: pd.DataFrame) -> None:
        """A table for other programs alone."""
        publish_table(self.folder / "tables" / f"{name}.csv", table)

    def table(
        self,
        name: str,
        table: pd.DataFrame,
        caption: str,
        *,
        digits: int = 3,
        most: int | None = None,
    ) -> None:
        """A table, as it is in the CSV, rounded and with dashes in the page.

        most : rows that the page shows; the CSV has all
        """
        self.save_table(name, table)
        self.show_table(table.head(len(table) if most is None else most), caption, digits=digits)

    def show_table(self, table: pd.DataFrame, caption: str, *, digits: int = 3) -> None:
        """A table for readers alone, the short form of one that was saved."""
        self._add(
            kind="table",
            caption=caption,
            columns=[str(column).replace("_", " ") for column in table.columns],
            numeric=[_is_number(table[column]) for column in table.columns],
            rows=[[shown(value, digits) for value in row] for row in table.itertuples(index=False)],
        )

    def figure(self, name: str, figure: Figure, caption: str, *, wide: bool = False) -> None:
        """A figure; those that follow each other stand side by side where there is room."""
        path = self.folder / "figures" / f"{name}.png"
        save(figure, path)
        self._show_figure(path, caption, width=figure.get_figwidth(), wide=wide)

    def figure_before(self, name: str, caption: str, *, wide: bool = True) -> bool:
        """The figure that the report had before; returns whether there is one."""
        path = self.before / "figures" / f"{name}.png"
        if not path.is_file():
            return False
        with Image.open(path) as picture:
            width = picture.width / DPI
        self._show_figure(path, caption + BEFORE, width=width, wide=wide)
        return True

    def table_before(self, name: str, caption: str) -> None:
        """The table that the report had before, as its CSV says it."""
        file = self.before / "tables" / f"{name}.csv"
        if file.is_file():
            told = read_table(file)
            self.show_table(told.apply(numbers_in), caption + BEFORE)

    def _show_figure(self, path: Path, caption: str, *, width: float, wide: bool) -> None:
        source = _embed(path.read_bytes(), "png")
        px = round(width * PIXELS_PER_INCH)
        self._gather("figures", {"source": source, "caption": caption, "wide": wide, "width": px})

    def cells(self, name: str, make: Callable[[], Sequence[CellPicture]], caption: str) -> None:
        """Pictures of cells; as a figure they are one sheet.

        make : draws them; where it raises PicturesGone, the page shows those that it had before
        """
        try:
            cells = make()
        except PicturesGone:
            if not self.figure_before(name, caption):
                self.text(f"{caption} {MISSING}")
            return
        save(
            plot_cells([(cell.images, cell.lines) for cell in cells]),
            self.folder / "figures" / name,
        )
        items = [
            {"sources": [_embed(*_jpeg(image)) for image in cell.images], "lines": cell.lines}
            for cell in cells
        ]
        self._add(kind="cells", items=items, caption=caption)

    def write(self, **facts: Any) -> Path:
        """Render report.html; facts fill the template's head and foot."""
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("oadls.report", "."),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        html = environment.get_template("page.html").render(sections=self.sections, **facts)
        place = self.folder / "report.html"
        publish_text(place, html)
        return place

    def _add(self, **block: Any) -> None:
        self.sections[-1].blocks.append(block)

    def _gather(self, kind: str, item: dict[str, Any]) -> None:
        blocks = self.sections[-1].blocks
        if not blocks or blocks[-1]["kind"] != kind:
            self._add(kind=kind, items=[])
        blocks[-1]["items"].append(item)


def shown(value: Any, digits: int) -> str:
    """A value as the page shows it."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        least = 10.0**-digits
        return f"< {least:.{digits}f}" if 0 < value < least / 2 else f"{value:.{digits}f}"
    return str(value)


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def interval_text(interval: Sequence[float] | None, digits: int = 3) -> str:
    """[low, high] as a reader wants it; "not given" where there is none."""
    if interval is None:
        return "not given"
    return "{:.{d}f} to {:.{d}f}".format(*interval, d=digits)


def _jpeg(image: np.ndarray) -> tuple[bytes, str]:
    picture = Image.fromarray(image)
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue(), "jpeg"


def _embed(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
