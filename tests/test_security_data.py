"""Data from anybody: pages that run nothing, tables that were damaged, names that are hostile, releases at once."""

from __future__ import annotations

import json
import multiprocessing
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from nightly_nights import go, write_suite
from test_lastmile_merge import site

from asrfair.cli.main import run as command
from asrfair.data.runfile import write_run_file
from asrfair.errors import InputError
from asrfair.lastmile.export import make_export
from asrfair.lastmile.export_ledger import read_ledger, spent_epsilon
from asrfair.lastmile.kit import consent_page
from asrfair.lastmile.pages import Page
from asrfair.stats import analyse_run
from asrfair.types import GroupSettings, StatisticsSettings

HOSTILE = "</title><script>alert(1)</script>\" onload=x '&"


class Head(HTMLParser):
    """Gathers policies and scripts, with how many elements stood before the policy."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.before, self.policies, self.scripts = 0, [], 0
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one element."""
        found = dict(attrs)
        if tag == "meta" and (found.get("http-equiv") or "").lower() == "content-security-policy":
            self.policies.append(found["content"] or "")
        elif not self.policies and tag not in {"html", "head", "meta"}:
            self.before += 1
        self.scripts += tag == "script"
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def assert_closed(text: str) -> None:
    """Hold a page to a policy that comes first, lets nothing be loaded or run, and text that made no element."""
    head = Head(text)
    (policy,) = head.policies
    rules = {part.split()[0]: part.split()[1:] for part in policy.split(";")}
    assert rules["default-src"] == ["'none'"]
    assert rules["base-uri"] == rules["form-action"] == ["'none'"]
    assert "script-src" not in rules
    assert set(rules["img-src"]) == {"data:"}
    assert (head.before, head.scripts, head.handlers) == (0, 0, [])


def test_pages_of_a_kit_run_nothing(tmp_path: Path) -> None:
    """The kit's pages carry the policy, and what was written into a kit makes no element of them."""
    page = Page(title=HOSTILE)
    page.text(HOSTILE)
    page.items([HOSTILE])
    page.table([HOSTILE], [[HOSTILE]])
    page.line(HOSTILE)
    assert_closed(page.html())
    assert_closed(consent_page(site(tmp_path / "kit", 1)).html())


def test_the_page_of_a_trend_runs_nothing(tmp_path: Path) -> None:
    """Names of suites, groups and engines come from files; the trend page carries the policy and shows them as text."""
    suite = write_suite(tmp_path, name="a")
    text = suite.read_text(encoding="utf-8").replace('name = "a"', f"name = {json.dumps(HOSTILE)}")
    suite.write_text(text, encoding="utf-8")
    table = pd.read_csv(tmp_path / "manifest.csv", dtype=str)
    table.loc[table["accent"] == "us", "accent"] = HOSTILE
    table.to_csv(tmp_path / "manifest.csv", index=False)
    page = go(suite, tmp_path / "history").trend[0].read_text(encoding="utf-8")
    assert "alert(1)" in page
    assert_closed(page)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with measured conditions."""
    folder = tmp_path_factory.mktemp("damage")
    suite = write_suite(folder, audio=True, count=20)
    assert 0 == command(["run", str(suite), "--out", str(folder / "run"), "--workers", "1", "--no-html"])
    return folder / "run"


def unchecked(run: Path) -> None:
    """Leave the tables' checksums out, as whoever makes a hostile folder can: damage reaches who reads the table."""
    write_run_file(run, {**json.loads((run / "run.json").read_text()), "volatile": {}})


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("ledger.csv", lambda content: content.replace(b"utterance_id", b"utterance\x07id", 1)),
        ("ledger.csv", lambda content: content.replace(b"utterance_id", b"utterance", 1)),
        ("ledger.csv", lambda content: content.replace(b"reason", b"speaker_id", 1)),
        ("ledger.csv", lambda content: b"\xff\xfe" + content),
        ("achieved.parquet", lambda content: content[: len(content) // 2]),
        ("achieved.parquet", lambda content: content[:40] + bytes(60) + content[100:]),
        ("achieved.parquet", lambda content: b"nothing that was ever a table"),
    ],
)
def test_a_damaged_table_is_named(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, damage, checked: bool
) -> None:
    """A ledger whose header is not one, and half of achieved.parquet: exit code 2 and the file's name, no traceback."""
    run = tmp_path / "run"
    shutil.copytree(made, run)
    path = run / name
    path.write_bytes(damage(path.read_bytes()))
    if not checked:
        unchecked(run)
    if checked:
        capsys.readouterr()
        assert 2 == command(["report", str(run), "--no-html"])
        assert name in capsys.readouterr().err
        return
    with pytest.raises(InputError, match=re.escape(name)):
        analyse_run(run, GroupSettings(by=(("accent",),)), StatisticsSettings(draws=100), full=True)


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0", "../../etc/passwd", "ward 7\u202e\x07", "our-room@snr=5;DROP", HOSTILE]
)
def test_a_hostile_name_of_a_condition_does_not_leave(tmp_path: Path, name: str) -> None:
    """What a run's conditions are called leaves only if asrfair ships it; another becomes a number, wherever it stands."""
    kit = site(tmp_path / "kit", 1)
    run = kit.run_folder("room")
    scores = pd.read_parquet(run / "scores.parquet").assign(condition=name)
    scores.to_parquet(run / "scores.parquet")
    content = json.loads((run / "run.json").read_text())
    content["conditions"] = [{"name": name, "fingerprint": "0" * 64}]
    write_run_file(run, content)
    made = make_export(kit)
    assert {re.sub(r"@.*", "", row[2]) for row in made.body["rows"]} == {"own-room-1"}
    for part in re.findall(r"[A-Za-z]{4,}", name.replace("our-room", "")):
        assert part not in made.text
    content["conditions"] = [{"name": "clean", "fingerprint": "0" * 64}]
    write_run_file(run, content)
    with pytest.raises(InputError, match="that run\\.json does not have"):
        make_export(kit)


def _release(folder: Path, number: int, epsilon: float, barrier) -> None:
    from asrfair.lastmile.private import plan_release, release
    from asrfair.lastmile.settings import read_kit

    kit = read_kit(folder)
    plan = plan_release(kit, epsilon, attributes=["accent"])
    barrier.wait(60)
    try:
        release(kit, plan, folder / f"{number}.json", plan.code)
    except InputError:
        return


@pytest.mark.slow
def test_four_releases_at_once_do_not_overspend(tmp_path: Path) -> None:
    """Four processes that all planned before any released: one gets through, and epsilon stays in its budget."""
    pytest.importorskip("opendp")
    kit = site(tmp_path / "kit", 3)
    spent = 0.0
    processes = multiprocessing.get_context("fork")
    for round_ in range(3):
        barrier = processes.Barrier(4)
        children = [
            processes.Process(target=_release, args=(kit.folder, 10 * round_ + number, 0.9, barrier))
            for number in range(4)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join(120)
            assert child.exitcode == 0
        spent += 0.9
        assert spent == pytest.approx(spent_epsilon(kit))
    assert 3 == len(read_ledger(kit)) == len(list(kit.folder.glob("[0-9]*.json")))
