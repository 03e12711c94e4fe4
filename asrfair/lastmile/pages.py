"""Pages for people: written once, shown as Markdown and as one HTML file that needs nothing from the network."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from asrfair.data.wholefile import PAGE_POLICY, write_whole
from asrfair.errors import printable
from asrfair.report.tables import markdown_text

Kind = Literal["heading", "text", "list", "table", "line"]

_STYLE = """
body { font: 17px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a;
  overflow-wrap: anywhere; font-variant-ligatures: none; }
h1, h2, p, ul { max-width: 46rem; }
.wide { overflow-x: auto; } .wide table { overflow-wrap: normal; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.25rem; margin-top: 2rem; }
table { border-collapse: collapse; min-width: min(100%, 46rem); } td, th { border: 1px solid #999; padding: .3rem .5rem; text-align: left; }
.line { border-bottom: 1px solid #333; min-height: 2.2rem; margin-top: 1rem; }
@media print {
  @page { size: A4 landscape; margin: 12mm; }
  body { max-width: none; margin: 0; font-size: 11pt; } h2 { break-after: avoid; } tr { break-inside: avoid; }
  .wide { overflow: visible; } .wide table { width: 100%; font-size: 7.5pt; overflow-wrap: anywhere; hyphens: auto; }
  td, th { padding: .12rem .2rem; }
}
"""


@dataclass(frozen=True, kw_only=True)
class Block:
    """One piece of a page: a heading, a paragraph, a list, a table (first row is its head) or a line to write on."""

    kind: Kind
    text: str = ""
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(kw_only=True)
class Page:
    """A page that grows from top to bottom."""

    title: str
    language: str = "en"
    blocks: list[Block] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """Add a heading."""
        self.blocks.append(Block(kind="heading", text=text))

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self.blocks.append(Block(kind="text", text=text))

    def items(self, lines: Sequence[str]) -> None:
        """Add a list."""
        self.blocks.append(Block(kind="list", rows=tuple((line,) for line in lines)))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Add a table."""
        cells = tuple(tuple(str(cell) for cell in row) for row in rows)
        self.blocks.append(Block(kind="table", rows=(tuple(head), *cells)))

    def line(self, label: str) -> None:
        """Add a line to be filled in by hand."""
        self.blocks.append(Block(kind="line", text=label))

    def markdown(self) -> str:
        """Return the page as Markdown; text from files cannot become mark-up."""
        parts = [f"# {_plain(self.title)}"]
        for block in self.blocks:
            if block.kind == "heading":
                parts.append(f"## {_plain(block.text)}")
            elif block.kind == "text":
                parts.append(_plain(block.text))
            elif block.kind == "list":
                parts.append("\n".join(f"- {_plain(row[0])}" for row in block.rows))
            elif block.kind == "line":
                parts.append(f"{_plain(block.text)}: ______________________________")
            else:
                head, *rows = ["| " + " | ".join(_plain(cell) for cell in row) + " |" for row in block.rows]
                parts.append("\n".join([head, "|" + " --- |" * len(block.rows[0]), *rows]))
        return "\n\n".join(parts) + "\n"

    def html(self) -> str:
        """Return the page as HTML, everything escaped."""
        parts = [
            (
                f'<!doctype html><html lang="{html.escape(self.language, quote=True)}"><head><meta charset="utf-8">'
                f"{PAGE_POLICY}"
                '<meta name="viewport" content="width=device-width, initial-scale=1">'
                f"<title>{_shown(self.title)}</title><style>{_STYLE}</style></head><body><main><h1>{_shown(self.title)}</h1>"
            )
        ]
        for block in self.blocks:
            if block.kind == "heading":
                parts.append(f"<h2>{_shown(block.text)}</h2>")
            elif block.kind == "text":
                parts.append(f"<p>{_shown(block.text)}</p>")
            elif block.kind == "list":
                parts.append("<ul>" + "".join(f"<li>{_shown(row[0])}</li>" for row in block.rows) + "</ul>")
            elif block.kind == "line":
                parts.append(f'<p class="line">{_shown(block.text)}:</p>')
            else:
                head, *rows = block.rows
                top = "".join(f'<th scope="col">{_shown(cell)}</th>' for cell in head)
                body = "".join("<tr>" + "".join(f"<td>{_shown(c)}</td>" for c in row) + "</tr>" for row in rows)
                parts.append(
                    f'<div class="wide" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
                )
        return "\n".join([*parts, "</main></body></html>"]) + "\n"

    def write(self, stem: Path) -> list[Path]:
        """Write ``STEM.md`` and ``STEM.html``."""
        files = [stem.with_name(stem.name + ".md"), stem.with_name(stem.name + ".html")]
        for path, text in zip(files, (self.markdown(), self.html()), strict=True):
            write_whole(path, text)
        return files


def _plain(text: str) -> str:
    return markdown_text(printable(text, limit=5000))


def _shown(text: str) -> str:
    return html.escape(printable(text, limit=5000))
