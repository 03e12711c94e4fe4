"""Executes the notebook on the demo run and stores its outputs, small and the same every time; or checks the stored ones.

asrfair demo --out demo-run
python scripts/execute_notebook.py demo-run            # store
python scripts/execute_notebook.py demo-run --check    # exit code 1 where text or the kinds of output differ

Pictures are stored in 16 colours; their bytes follow the versions of matplotlib and FreeType and are not compared.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

NOTEBOOK = Path(__file__).resolve().parent.parent / "notebooks" / "from-run-to-findings.ipynb"
COLOURS = 16


def small(png: str) -> str:
    """Return a picture in few colours."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def executed(run: Path) -> Any:
    """Return the notebook with fresh outputs; everything in them that differs between two executions is left out."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    os.environ["ASRFAIR_RUN"] = str(run.resolve())
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", ()):
            output.pop("metadata", None)
            data = output.get("data", {})
            if "image/png" in data:
                output["data"] = {"image/png": small(data["image/png"])}
            if output["output_type"] in {"display_data", "execute_result"}:
                output["metadata"] = {}
    return notebook


def said(notebook: Any) -> list[Any]:
    """Return what is compared of the outputs: all text, and that there is a picture."""
    return [
        [output.get("text") or {k: v if k != "image/png" else "" for k, v in output.get("data", {}).items()}
         for output in cell.get("outputs", ())]
        for cell in notebook.cells
    ]  # fmt: skip


def main() -> int:
    """Store or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the run folder of asrfair demo")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    fresh = executed(options.run)
    if options.check:
        stored = nbformat.read(NOTEBOOK, as_version=4)
        for number, (old, new) in enumerate(zip(said(stored), said(fresh), strict=True)):
            if old != new:
                print(f"cell {number} stores another output than it gives now:\n{old}\n{new}")
                print("If the new one is right: python scripts/execute_notebook.py RUN")
                return 1
        return 0
    nbformat.write(fresh, NOTEBOOK)
    print(f"{NOTEBOOK}: {NOTEBOOK.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
