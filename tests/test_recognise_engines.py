"""The table of engines, their options, and the engines fake and precomputed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jiwer
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from transcribe_child import go, make_manifest, spec

from asrfair.cli.main import app
from asrfair.errors import EngineError, InputError, MissingExtraError
from asrfair.recognise.engines import ENGINES, Engine, EngineContext, EngineTraits, create, traits_of
from asrfair.recognise.engines.fake import FakeOptions, inject
from asrfair.recognise.engines.table import EngineEntry, entries
from asrfair.types import EngineSpec, Utterance

CONTEXT = EngineContext()


def utterance(reference: str, utterance_id: str = "u", **attributes: str) -> Utterance:
    """An utterance with a reference and attributes."""
    return Utterance(utterance_id=utterance_id, speaker_id="s", reference=reference, attributes=attributes)


# --- the table -----------------------------------------------------------------------------------------------------


def test_every_engine_of_the_table_can_be_looked_up() -> None:
    """Each entry that is installed leads to a class with traits or a way to them."""
    for name, entry in entries().items():
        assert entry.summary
        if not entry.missing() and entry.origin == "built-in":
            from asrfair.recognise.engines.table import load_class

            found = load_class(name)
            assert callable(getattr(found, "traits_for", None)) or isinstance(found.traits, EngineTraits)


def test_unknown_names_and_options_name_the_nearest_known_one() -> None:
    """A typing error in an engine's name or option is answered with what may have been meant."""
    with pytest.raises(InputError, match="Did you mean 'pocketsphinx'"):
        traits_of(EngineSpec(name="pocketsphynx", label="x"), CONTEXT)
    with pytest.raises(InputError, match="Did you mean 'substitutions'"):
        traits_of(spec("fake", substitution=0.1), CONTEXT)
    with pytest.raises(InputError, match="less than or equal to 1"):
        traits_of(spec("fake", substitutions=1.5), CONTEXT)


def test_a_missing_extra_names_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine whose package is absent says what installs it, without a traceback."""
    entry = EngineEntry(target="a:b", summary="s", packages=("not_installed_at_all",), extra="some")
    monkeypatch.setitem(ENGINES, "absent", entry)
    with pytest.raises(MissingExtraError, match=r"pip install 'asrfair\[some\]'"):
        traits_of(EngineSpec(name="absent", label="x"), CONTEXT)
    monkeypatch.setitem(ENGINES, "absent", EngineEntry(target="a:b", summary="s", packages=("not_installed_at_all",)))
    with pytest.raises(EngineError, match="pip install not_installed_at_all"):
        traits_of(EngineSpec(name="absent", label="x"), CONTEXT)


def test_classes_that_are_no_engines_are_refused() -> None:
    """A module that does not exist, an attribute that is not there, a class without traits."""
    for name in ("no_such_module:Engine", "json:NoSuchClass", "json:JSONDecoder"):
        with pytest.raises(EngineError):
            traits_of(EngineSpec(name=name, label="x"), CONTEXT)
    with pytest.raises(EngineError, match="impossible traits"):
        EngineTraits(max_batch=0)


def test_built_in_engines_satisfy_the_protocol() -> None:
    """What create returns is an Engine."""
    engine = create(spec("fake"), CONTEXT)
    assert isinstance(engine, Engine)
    engine.close()


def test_engines_command_lists_what_is_there() -> None:
    """The table and its JSON name every engine, and the command that installs a missing one."""
    text = CliRunner().invoke(app, ["engines"])
    assert 0 == text.exit_code
    rows = json.loads(CliRunner().invoke(app, ["engines", "--json"]).output)
    assert set(ENGINES) <= {row["name"] for row in rows}
    for row in rows:
        assert row["name"] in text.output
        assert row["installed"] or row["install"].startswith("pip install")


# --- fake ----------------------------------------------------------------------------------------------------------


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    words=st.lists(st.sampled_from(["a", "b", "c", "very", "no"]), max_size=30),
    rates=st.tuples(*[st.floats(0, 0.4)] * 3),
    number=st.integers(0, 10_000),
)
def test_injected_counts_are_what_an_aligner_finds(
    words: list[str], rates: tuple[float, float, float], number: int
) -> None:
    """Hits, substitutions, deletions and insertions equal jiwer's, repeated words included."""
    options = FakeOptions(substitutions=rates[0], deletions=rates[1], insertions=rates[2])
    made = inject(utterance(" ".join(words), f"u{number}"), options, seed=number)
    assert len(words) == made.hits + made.substitutions + made.deletions
    if not words:
        assert "" == made.text
        return
    found = jiwer.process_words(" ".join(words), made.text)
    assert (found.hits, found.substitutions, found.deletions, found.insertions) == (
        made.hits,
        made.substitutions,
        made.deletions,
        made.insertions,
    )


def test_rates_are_achieved_by_condition_and_group() -> None:
    """Over many words the rates come out as told: base, condition over base, group over condition."""
    options = FakeOptions.model_validate(
        {
            "substitutions": 0.1,
            "deletions": 0.04,
            "conditions": {"noise": {"substitutions": 0.3}},
            "by": {"accent": {"indian": {"substitutions": 0.5}}},
        }
    )
    reference = " ".join(f"w{number}" for number in range(40))

    def rate(condition: str, accent: str) -> float:
        made = [
            inject(utterance(reference, f"u{n}", accent=accent), options, seed=1, condition=condition)
            for n in range(200)
        ]
        return sum(m.substitutions for m in made) / sum(m.hits + m.substitutions + m.deletions for m in made)

    for condition, accent, expected in (
        ("clean", "us", 0.1),
        ("noise", "us", 0.3),
        ("clean", "indian", 0.5),
        ("noise", "indian", 0.5),
    ):
        assert math.isclose(expected, rate(condition, accent), abs_tol=0.02)


def test_speakers_differ_as_told() -> None:
    """The coefficient of variation of the speakers' rates is the one asked for."""
    options = FakeOptions(substitutions=0.1, speaker_cv=0.5)
    reference = " ".join(f"w{number}" for number in range(2000))
    rates = []
    for speaker in range(300):
        one = Utterance(utterance_id="u", speaker_id=f"s{speaker}", reference=reference)
        rates.append(inject(one, options, seed=3).substitutions / 2000)
    series = pd.Series(rates)
    assert math.isclose(0.1, series.mean(), abs_tol=0.01)
    assert math.isclose(0.5, series.std() / series.mean(), abs_tol=0.07)


def test_fake_refuses_what_cannot_be() -> None:
    """More errors than words, and rates for a condition that the suite lacks."""
    with pytest.raises(InputError, match="more than all words"):
        traits_of(spec("fake", substitutions=0.6, deletions=0.6), CONTEXT)
    with pytest.raises(InputError, match="a condition that the suite does not have"):
        traits_of(spec("fake", conditions={"rain": {"deletions": 0.1}}), CONTEXT)


# --- precomputed ---------------------------------------------------------------------------------------------------


def test_precomputed_hypotheses_need_no_audio(tmp_path: Path) -> None:
    """Found, empty, missing, repeated and unknown rows all reach hypotheses.parquet."""
    manifest = make_manifest(tmp_path, 4)
    table = tmp_path / "out.csv"
    table.write_text("utterance_id,hypothesis\nu0001,hello there\nu0000,\nu0001,hello there\nnobody,who is this\n")
    summary = go(manifest, tmp_path / "run", [spec("precomputed", "service", file=str(table))])
    found = pd.read_parquet(tmp_path / "run" / "hypotheses.parquet")
    rows = list(zip(found["utterance_id"], found["status"], found["hypothesis"], strict=True))
    assert [
        ("nobody", "ok", "who is this"),
        ("u0000", "empty", ""),
        ("u0001", "ok", "hello there"),
        ("u0001", "ok", "hello there"),
        ("u0002", "missing", ""),
        ("u0003", "missing", ""),
    ] == rows
    assert {"clean_sha256"} == set(summary.engines["service"].fingerprint)
    assert 0 == len(pd.read_parquet(tmp_path / "run" / "achieved.parquet"))


def test_precomputed_files_belong_to_conditions(tmp_path: Path) -> None:
    """Transcripts of clean audio never stand for noise; every condition names its file; paths start at the suite."""
    manifest = make_manifest(tmp_path, 2)
    (tmp_path / "clean.csv").write_text("utterance_id,hypothesis\nu0000,clean text\n")
    (tmp_path / "noise.csv").write_text("utterance_id,hypothesis\nu0000,noisy text\n")
    conditions = ["clean", "imaging-floor"]
    for options, message in (
        ({"file": "clean.csv"}, "no hypotheses under the condition 'imaging-floor'"),
        ({"files": {"clean": "clean.csv", "rain": "x"}}, "no hypotheses under"),
        ({"file": "clean.csv", "files": {"clean": "clean.csv"}}, "both name"),
        ({"file": "clean.csv", "files": {"imaging-floor": "missing.csv"}}, "does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            go(manifest, tmp_path / "run", [spec("precomputed", **options)], conditions, base=tmp_path)
    engine = spec("precomputed", file="clean.csv", files={"imaging-floor": "noise.csv"})
    go(manifest, tmp_path / "run", [engine], conditions, base=tmp_path)
    found = pd.read_parquet(tmp_path / "run" / "hypotheses.parquet").set_index(["condition", "utterance_id"])
    assert "clean text" == found.loc[("clean", "u0000"), "hypothesis"]
    assert "noisy text" == found.loc[("imaging-floor", "u0000"), "hypothesis"]


def test_a_changed_file_of_hypotheses_refuses_the_resume(tmp_path: Path) -> None:
    """An engine's fingerprint guards what it read: rows of two files are not mixed."""
    manifest = make_manifest(tmp_path, 2)
    table = tmp_path / "out.csv"
    table.write_text("utterance_id,hypothesis\nu0000,one\n")
    engine = spec("precomputed", file=str(table))
    go(manifest, tmp_path / "run", [engine])
    table.write_text("utterance_id,hypothesis\nu0000,two\n")
    with pytest.raises(InputError, match="is not the one that this run began with: clean_sha256 changed"):
        go(manifest, tmp_path / "run", [engine])


def test_words_and_confidence_are_carried_through(tmp_path: Path) -> None:
    """Word times and confidence of a JSON Lines file arrive as they were."""
    manifest = make_manifest(tmp_path, 1)
    words = [{"word": "hi", "start_s": 0.5, "end_s": 0.75, "confidence": 0.25}]
    line = {"utterance_id": "u0000", "hypothesis": "hi", "confidence": 0.5, "language": "en", "words": words}
    (tmp_path / "out.jsonl").write_text(json.dumps(line) + "\n")
    go(manifest, tmp_path / "run", [spec("precomputed", file=str(tmp_path / "out.jsonl"))])
    row = pd.read_parquet(tmp_path / "run" / "hypotheses.parquet").iloc[0]
    assert (0.5, "en", words) == (row["confidence"], row["language"], json.loads(row["words"]))


# --- the documentation ---------------------------------------------------------------------------------------------


def test_the_engine_in_the_documentation_works(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 20 lines of docs/engines.md, saved as a module, transcribe a manifest in a worker process."""
    page = (repository / "docs" / "engines.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    (tmp_path / "loudness_engine.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    manifest = make_manifest(tmp_path, 3, audio=True)
    engine = EngineSpec(name="loudness_engine:Loudness", label="loud", options={"limit": 0.001})
    summary = go(manifest, tmp_path / "run", [engine])
    assert {"ok": 3} == summary.counts
    assert {"loud"} == set(pd.read_parquet(tmp_path / "run" / "hypotheses.parquet")["hypothesis"])
    assert {"loudness": "1"} == summary.engines["loud"].fingerprint
