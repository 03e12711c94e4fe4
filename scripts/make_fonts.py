"""Makes asrfair/report/fonts/: what DejaVu Sans (which matplotlib brings) lacks, subset and without hinting.

Sources: Noto Sans (SIL Open Font License 1.1; Debian: fonts-noto-core) for Thai and the scripts of India, Ethiopia and
South-East Asia; Droid Sans Fallback (Apache License 2.0; Debian: fonts-droid-fallback) for Chinese and Japanese, reduced to
the characters of GB 2312, the first level of JIS X 0208 and Big5's frequent half; Nanum Gothic (SIL Open Font License 1.1;
Debian: fonts-nanum) for Korean, reduced to the syllables of KS X 1001.

    python scripts/make_fonts.py FOLDER…       folders that hold the sources, searched for their names
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

OUT = Path(__file__).resolve().parent.parent / "asrfair" / "report" / "fonts"
NOTO = {
    "Bengali": (0x0980, 0x09FF),
    "Devanagari": (0x0900, 0x097F),
    "Ethiopic": (0x1200, 0x137F),
    "Gujarati": (0x0A80, 0x0AFF),
    "Gurmukhi": (0x0A00, 0x0A7F),
    "Kannada": (0x0C80, 0x0CFF),
    "Khmer": (0x1780, 0x17FF),
    "Malayalam": (0x0D00, 0x0D7F),
    "Myanmar": (0x1000, 0x109F),
    "Oriya": (0x0B00, 0x0B7F),
    "Sinhala": (0x0D80, 0x0DFF),
    "Tamil": (0x0B80, 0x0BFF),
    "Telugu": (0x0C00, 0x0C7F),
    "Thai": (0x0E00, 0x0E7F),
}
COMMON = [0x20, 0x200B, 0x200C, 0x200D, 0x25CC, 0x0964, 0x0965]
"""Space, joiners, the dotted circle and the dandas that several scripts share."""


def east_asian() -> set[int]:
    """Return the frequent characters of the national standards, kana and full-width signs."""
    found = set(range(0x3000, 0x3100)) | set(range(0xFF01, 0xFF5F))
    found |= characters("gb2312", range(0xB0, 0xF8), range(0xA1, 0xFF))
    found |= characters("euc_jp", range(0xB0, 0xD0), range(0xA1, 0xFF))
    return found | characters("big5", range(0xA4, 0xC7), range(0x40, 0xFF))


def characters(encoding: str, first: range, second: range) -> set[int]:
    """Return the characters that an encoding of two bytes has in this part of it."""
    found = set()
    for pair in product(first, second):
        try:
            found.add(ord(bytes(pair).decode(encoding)))
        except (UnicodeDecodeError, TypeError):
            continue
    return found


def main(folders: list[str]) -> None:
    """Write every font, and print its size."""
    OUT.mkdir(parents=True, exist_ok=True)
    for script, (first, last) in NOTO.items():
        make(f"NotoSans{script}-Regular.ttf", folders, {*range(first, last + 1), *COMMON})
    make("DroidSansFallbackFull.ttf", folders, east_asian())
    # The licence reserves the font's name for the whole of it.
    make(
        "NanumGothic.ttf",
        folders,
        {*characters("euc_kr", range(0xB0, 0xC9), range(0xA1, 0xFF)), *COMMON},
        name="Asrfair Hangul",
    )


def make(file: str, folders: list[str], wanted: set[int], *, name: str = "") -> None:
    """Subset one font; a name replaces its own."""
    source = next(path for folder in folders for path in sorted(Path(folder).rglob(file)))
    options = subset.Options(
        hinting=False,
        layout_features=["*"],
        name_IDs=[0, 1, 2, 13, 14],
        drop_tables=["DSIG", "TSI0", "TSI1", "TSI2", "TSI3", "TSI5"],
    )
    font = TTFont(source, recalcTimestamp=False)
    shortener = subset.Subsetter(options)
    shortener.populate(unicodes=wanted)
    shortener.subset(font)
    if name:
        font["name"].names = [record for record in font["name"].names if record.nameID not in {1, 4, 6, 16}]
        for platform, encoding, language in ((1, 0, 0), (3, 1, 0x409)):
            font["name"].setName(name, 1, platform, encoding, language)
    out = OUT / (f"{name.replace(' ', '')}.ttf" if name else file)
    font.save(out)
    print(f"{out.stat().st_size:>9,} {out.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
