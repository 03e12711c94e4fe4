"""The report of a real run: EdAcc's four systems, scored and analysed by asrfair itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from edacc_card import EDACC_CARD
from markupsafe import escape

from asrfair.cli.main import run as command
from asrfair.report import all_tables, load_run
from asrfair.report.html.views import whole_names
from asrfair.report.sections import SECTIONS
from asrfair.say.answer import make_answer

pytestmark = pytest.mark.shared

SYSTEMS = ("distil-large-v3.5", "parakeet-tdt-0.6b-v3")


@pytest.fixture(scope="module")
def scored(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of two of EdAcc's systems, with its report."""
    folder = tmp_path_factory.mktemp("edacc")
    card = folder / "edacc.toml"
    card.write_text(EDACC_CARD.format(table=json.dumps(str(shared_data / "edacc" / "manifest.csv"))), encoding="utf-8")
    files = [f"{name}={shared_data / 'edacc' / 'hypotheses' / (name + '.csv')}" for name in SYSTEMS]
    arguments = ["score", "--manifest", str(card), "--where", "audited_group=1", "--by", "accent", "--draws", "200"]
    arguments += ["--min-speakers", "3", "--out", str(folder / "run"), *(a for f in files for a in ("--hypotheses", f))]
    assert 0 == command(arguments)
    return folder / "run"


@pytest.mark.slow
def test_real_tables_are_all_read(scored: Path) -> None:
    """Every table that the analysis writes and the report knows has a section, with all its rows."""
    tables = all_tables(load_run(scored))
    assert {"groups", "gaps", "differences", "comparisons", "influence", "metrics", "coverage", "ledger"} <= set(tables)
    for name, table in tables.items():
        lines = (scored / table.source).read_text(encoding="utf-8").count("\n") - 1
        assert lines == len(table.frame), name
        assert len(table.shown) >= 3, name


def test_real_findings_and_worst_utterances_stand_in_the_page(scored: Path) -> None:
    """The page has the answer that the claims give, and utterances of the compared speakers, word by word."""
    page = (scored / "report.html").read_text(encoding="utf-8")
    run = load_run(scored)
    answer = make_answer(run.tables, run.about)
    assert f'<p class="lead">{whole_names(answer.lead, (*run.engines, *run.conditions))}</p>' in page
    for text in (*answer.cautions, answer.badges.sure, answer.badges.breaks, answer.badges.next):
        assert str(escape(text)) in page
    assert re.search(r"<del>[^<]+</del>", page)
    present = set(re.findall(r'<(?:section|details class="part") id="([^"]+)"', page))
    assert {"groups", "engines", "map", "errors", "gaps", "ledger", "provenance"} <= present
    shown = {"answer", "found", "engines", "map", "errors", "specialists", "absent", "provenance"}
    assert present <= {section.anchor for section in SECTIONS} | shown


def test_flags_of_the_analysis_have_words(scored: Path) -> None:
    """No flag reaches a reader with an underscore in it."""
    for table in all_tables(load_run(scored)).values():
        for column in table.shown:
            if column.kind == "flag":
                assert not any("_" in column.show(row) for row in table.rows()), (table.name, column.name)
