"""The trend: one page and one picture that show every group over the nights, and what changed when."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from matplotlib.image import imread

from asrfair.nightly import History
from asrfair.nightly.trend import read_trend
from asrfair.nightly.trendpage import trend_page
from asrfair.nightly.trendpicture import PANELS, trend_picture
from asrfair.nightly.write_trend import write_trend

HOSTILE = "<script>alert(1)</script>"


def add(history: History, wer: float, *, change: str = "", failed: bool = False, groups: int = 3) -> None:
    """Commit a night with a few groups, whose last one has too few speakers."""
    names = [HOSTILE, *(f"group {number}" for number in range(1, groups))]

    def fill(folder: Path, number: int) -> dict[str, object]:
        marks = {"night": number, "suite": "s", "engine": "e", "condition": "clean"}
        rows = [{**marks, "attribute": "overall", "group": "all", "wer": wer, "ci_low": wer / 2, "ci_high": 2 * wer}]
        for place, name in enumerate(names):
            value = wer + place / 100
            few = place == groups - 1
            rows.append({**marks, "attribute": "accent", "group": name, "wer": value, "ci_low": value / 2})
            rows[-1] |= {"ci_high": 2 * value, "flag": "few_speakers" if few else ""}
        pd.DataFrame(rows).to_parquet(folder / "groups.parquet")
        gap = {**marks, "attribute": "accent", "gap": 0.05, "gap_ci_low": 0.0, "gap_ci_high": 0.1}
        pd.DataFrame([gap]).to_parquet(folder / "gaps.parquet")
        gate = {**marks, "attribute": "accent", "group": names[0], "rule": "max_increase", "baseline": 0.1}
        pd.DataFrame([{**gate, "status": "fail" if failed else "pass"}]).to_parquet(folder / "gates.parquet")
        told = (
            [{"night": number, "suite": "s", "kind": "normalizer", "name": "rules", "text": change}] if change else []
        )
        pd.DataFrame(told).to_parquet(folder / "changes.parquet")
        return {"suite": "s", "verdict": "fail" if failed else "pass", "finished": "2030-01-02T03:04:05+00:00"}

    history.commit(f"t{len(history.numbers())}", fill)


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Six nights, the third with other rules, the last failed."""
    found = History(tmp_path)
    for number in range(6):
        add(found, 0.1 + number / 100, change="normalizer changed" if number == 2 else "", failed=number == 5)
    found.accept(1, "first", "2030-01-01")
    return found


def test_every_group_has_a_picture_with_interval_marks_and_failures(history: History) -> None:
    """The worst group first, small ones folded away; a letter stands for each change; hostile names stay text."""
    page = trend_page(read_trend("s", history.nights(), 1))
    names = re.findall(r"<figcaption><b>(.*?)</b>", page)
    escaped = "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert ["everybody", "gap by accent", "group 1", escaped, "group 2"] == names
    assert HOSTILE not in page
    pictures = [ET.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page)]
    for picture in pictures:
        kinds = [element.get("class") for element in picture]
        assert 1 == kinds.count("band")
        assert 1 == kinds.count("mark")
        assert 6 == kinds.count("dot") + kinds.count("bad")
    assert [0, 0, 0, 1, 0] == [sum(item.get("class") == "bad" for item in picture) for picture in pictures]
    assert "15.0 % (7.5–30.0), +5.0 on the baseline" in page
    assert '<b>A</b></td><td class="n">night 3</td><td>normalizer changed</td>' in page
    assert "1 groups too small" not in page
    assert "1 group too small to be judged" in page
    assert '<td class="n">2030-01-02 03:04</td><td class="fail">failed</td>' in page


def test_the_files_lie_beside_the_history(history: History) -> None:
    """A page without scripts, and a picture of the size that a chat shows; the same nights give the same bytes."""
    page, picture = write_trend(history, "s")
    assert ["s.html", "s.png"] == [page.name, picture.name]
    assert "<script" not in page.read_text(encoding="utf-8")
    height, width, _ = imread(picture).shape
    assert width == 1155
    assert height > 300
    before = picture.read_bytes()
    write_trend(history, "s")
    assert before == picture.read_bytes()
    assert ["s.html", "s.png"] == sorted(path.name for path in page.parent.iterdir())


def test_no_night_one_night_and_many_groups(tmp_path: Path) -> None:
    """Nothing yet, a single night, and more groups than the picture has room for."""
    empty = read_trend("s", [], None)
    assert "There is no night yet" in trend_page(empty)
    assert trend_picture(empty)
    history = History(tmp_path)
    add(history, 0.0, groups=20)
    trend = read_trend("s", history.nights(), 1)
    assert 22 == trend_page(trend).count("<figure>")
    assert imread(io.BytesIO(trend_picture(trend))).shape[0] < 700
    assert PANELS < 20
