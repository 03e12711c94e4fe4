"""The engines that load checkpoints, with real files: a trained CTC model, tiny Whisper-type models, a bundle."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from asrfair.acoustics import parse_condition
from asrfair.cli.main import run as command
from asrfair.data.audio import load_clip
from asrfair.data.manifest import read_manifest
from asrfair.errors import EngineError, InputError
from asrfair.recognise.engines import torch_device
from asrfair.recognise.engines.base import Engine, EngineContext
from asrfair.recognise.engines.longform import cut_long
from asrfair.recognise.engines.table import create
from asrfair.recognise.engines.whisper_features import LogMel
from asrfair.recognise.transcribe import TranscribeSummary, plan_batches, transcribe
from asrfair.types import Clip, EngineSpec

pytestmark = [
    pytest.mark.engines,
    pytest.mark.timeout(1800),  # the first test trains the checkpoint: minutes, and more beside other work
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of SWIG types in other people's extensions
]
torch = pytest.importorskip("torch", reason="torch is not installed (make test-engines installs it)")
pytest.importorskip("transformers", reason="transformers is not installed (make test-engines installs it)")


@pytest.fixture(scope="session")
def demo_clips(repository: Path) -> list[Clip]:
    """The demo corpus, decoded."""
    manifest = read_manifest(repository / "manifests" / "demo" / "demo.toml")
    return [load_clip(utterance, 16_000) for utterance in manifest.utterances()]


@pytest.fixture(scope="session")
def references(repository: Path) -> dict[str, str]:
    """What is said in the demo corpus."""
    table = pd.read_csv(repository / "manifests" / "demo" / "demo.csv", dtype=str)
    return dict(zip(table["utterance_id"], table["reference"], strict=True))


def engine(name: str, **options: object) -> Engine:
    """Start an engine."""
    return create(EngineSpec(name=name, label=name, options=options), EngineContext(threads=1))


def texts(recogniser: Engine, batches: Sequence[Sequence[Clip]]) -> dict[str, str]:
    """Texts by utterance."""
    return {item.utterance_id: item.text for batch in batches for item in recogniser.transcribe(batch)}


def in_batches(clips: Sequence[Clip], size: int) -> list[Sequence[Clip]]:
    """Cut a list."""
    return [clips[start : start + size] for start in range(0, len(clips), size)]


def noise(seconds: float, utterance_id: str = "a") -> Clip:
    """Seeded noise."""
    samples = np.random.default_rng(1).normal(0, 0.1, round(seconds * 16_000)).astype(np.float32)
    return Clip(utterance_id=utterance_id, samples=samples, sample_rate_hz=16_000)


# --- CTC -------------------------------------------------------------------------------------------------------------


def test_batches_do_not_change_a_transcript(demo_ctc: Path, demo_clips: list[Clip], references: dict[str, str]) -> None:
    """Batches of 1, 4 and 16 in the corpus's order and the length-sorted plan give the same texts, and good ones."""
    recogniser = engine("transformers", model=str(demo_ctc), max_batch=16)
    assert "masked" == recogniser.fingerprint()["padding"]
    alone = texts(recogniser, in_batches(demo_clips, 1))
    assert sum(text == references[name] for name, text in alone.items()) >= 110
    for size in (4, 16):
        assert alone == texts(recogniser, in_batches(demo_clips, size))
    plan = plan_batches(np.array([c.duration_s for c in demo_clips]), max_batch=16, max_padded_s=40.0)
    assert len(plan) > 8
    assert alone == texts(recogniser, [[demo_clips[i] for i in batch] for batch in plan])


def test_without_masks_batches_do_change_transcripts(demo_ctc: Path, demo_clips: list[Clip]) -> None:
    """With padding = "unmasked", the same batches flip transcripts: what the check of invariance is there to find."""
    few = demo_clips[::5]
    recogniser = engine("transformers", model=str(demo_ctc), max_batch=8, padding="unmasked")
    alone, together = (texts(recogniser, in_batches(few, size)) for size in (1, 8))
    assert sum(alone[name] != together[name] for name in alone) >= 3
    assert "unmasked" == recogniser.fingerprint()["padding"]


def test_a_lack_of_memory_splits_the_batch_and_loses_nothing(
    demo_ctc: Path, demo_clips: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that holds two clips gets batches of eight: same texts, and the splits are counted."""
    recogniser = engine("transformers", model=str(demo_ctc), max_batch=8)
    expected = texts(recogniser, in_batches(demo_clips[:8], 1))
    launch = recogniser.launch

    def small(inputs: Mapping[str, torch.Tensor]) -> object:
        if len(inputs["input_values"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return launch(inputs)

    monkeypatch.setattr(recogniser, "launch", small)
    assert expected == texts(recogniser, [demo_clips[:8]])
    assert 3.0 == recogniser.statistics()["out_of_memory_splits"]


def test_a_few_shapes_leave_the_transcripts_as_they_are(demo_ctc: Path, demo_clips: list[Clip]) -> None:
    """Batches filled up to buckets, in clips and in samples: the texts of the batches as they come."""
    as_they_come = engine("transformers", model=str(demo_ctc), max_batch=16)
    filled = engine("transformers", model=str(demo_ctc), max_batch=16, buckets=True)
    shapes = set()
    launch = filled.launch

    def noted(inputs: Mapping[str, torch.Tensor]) -> object:
        shapes.add(tuple(inputs["input_values"].shape))
        return launch(inputs)

    filled.launch = noted
    batches = in_batches(sorted(demo_clips, key=lambda clip: clip.duration_s), 7)
    assert texts(as_they_come, batches) == texts(filled, batches)
    assert "masked, bucketed" == filled.fingerprint()["padding"]
    assert {8, 1} == {rows for rows, _ in shapes}
    assert len(shapes) < len(batches) / 2


def test_long_audio_is_cut_and_joined(demo_ctc: Path, demo_clips: list[Clip]) -> None:
    """A recording of over 30 s has the text of its pieces, each heard alone, joined in order."""
    joined = np.concatenate([clip.samples for clip in demo_clips[:16]])
    long = Clip(utterance_id="long", samples=joined, sample_rate_hz=16_000)
    assert long.duration_s > 30
    recogniser = engine("transformers", model=str(demo_ctc), window_s=6.0, max_batch=4)
    cuts = cut_long(joined, 16_000, window_s=6.0)
    assert len(cuts) >= 6
    pieces = [Clip(utterance_id=f"{start}", samples=joined[start:end], sample_rate_hz=16_000) for start, end in cuts]
    expected = " ".join(text for piece in pieces if (text := recogniser.transcribe([piece])[0].text))
    assert expected == recogniser.transcribe([long])[0].text
    assert len(expected) > 100


def test_confidence_is_a_probability(demo_ctc: Path, demo_clips: list[Clip]) -> None:
    """A text that was learnt by heart is surer than noise."""
    recogniser = engine("transformers", model=str(demo_ctc), confidence=True, max_batch=2)
    speech, hiss = recogniser.transcribe([demo_clips[0], noise(2.0)])
    assert 0 < hiss.confidence < speech.confidence <= 1


def test_very_short_and_empty_clips_are_answered(demo_ctc: Path) -> None:
    """No samples, one sample, ten milliseconds: an answer each, no crash."""
    found = engine("transformers", model=str(demo_ctc), max_batch=4).transcribe(
        [noise(0.0, "none"), noise(1 / 16_000, "one"), noise(0.01, "ten")]
    )
    assert ["none", "one", "ten"] == [item.utterance_id for item in found]
    assert {"ok", "empty"} >= {item.status for item in found}


def run_demo(
    repository: Path, checkpoint: Path, run: Path, workers: int = 1, device: str | list[str] = "cpu"
) -> TranscribeSummary:
    """Transcribe the demo corpus under clean and two noise conditions, in batches of 16."""
    options = {"model": str(checkpoint), "max_batch": 16, "device": device}
    spec = EngineSpec(name="transformers", label="ctc", options=options)
    names = ("clean", "imaging-floor@moderate", "telephone-narrowband")
    return transcribe(
        read_manifest(repository / "manifests" / "demo" / "demo.toml"), [spec], [parse_condition(n) for n in names],
        run, workers=workers, progress=False, base=repository,
    )  # fmt: skip


def _rows(journal: Path) -> int:
    """Rows of transcripts that are in a journal for good; none where there is no table yet, or it is being written."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as stored:
            return int(stored.execute("SELECT count(*) FROM hypotheses").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def test_killed_and_resumed_is_the_same_to_the_last_byte(demo_ctc: Path, repository: Path, tmp_path: Path) -> None:
    """Three conditions, SIGKILL in the middle, resumed: the bytes of a run that nobody disturbed, and of fed devices."""
    whole = run_demo(repository, demo_ctc, tmp_path / "whole")
    assert 360 == whole.results
    code = (
        f"import sys; sys.path[:0] = [{str(repository / 'tests')!r}, {str(repository)!r}]\n"
        "from pathlib import Path\nfrom test_recognise_engines_transformers import run_demo\n"
        f"run_demo(Path({str(repository)!r}), Path({str(demo_ctc)!r}), Path({str(tmp_path / 'cut')!r}))\n"
    )
    # A module, so that workers can be started from it.
    script = tmp_path / "child.py"
    script.write_text("if __name__ == '__main__':\n" + "".join(f"    {line}\n" for line in code.splitlines()))
    child = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, start_new_session=True)
    journal = tmp_path / "cut" / "journal.sqlite"
    deadline = time.monotonic() + 240
    while child.poll() is None and time.monotonic() < deadline:
        if _rows(journal):
            break
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    resumed = run_demo(repository, demo_ctc, tmp_path / "cut")
    assert 360 == resumed.results
    for name in ("hypotheses.parquet", "achieved.parquet", "utterances.parquet"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    assert resumed.resumed
    fed = run_demo(repository, demo_ctc, tmp_path / "fed", workers=2, device=["cpu", "cpu"])
    assert 2 * torch_device.BATCHES_AT_ONCE == fed.engines["ctc"].engines
    for name in ("hypotheses.parquet", "achieved.parquet"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "fed" / name).read_bytes()


def test_a_suite_goes_from_audio_to_tables_and_shows_what_batches_do(
    demo_ctc: Path, repository: Path, tmp_path: Path
) -> None:
    """Clean and two noises, padding masked and not, from the suite to the page: only without masks do batches matter."""
    suite = tmp_path / "suite.toml"
    engines = "".join(
        f'[[engine]]\nname = "transformers"\nlabel = "{padding}"\n'
        f"options = {{ model = {json.dumps(str(demo_ctc))}, max_batch = 8, padding = {json.dumps(padding)} }}\n"
        for padding in ("masked", "unmasked")
    )
    suite.write_text(
        f'[suite]\nname = "ctc"\nmanifest = {json.dumps(str(repository / "manifests" / "demo" / "demo.toml"))}\n'
        f'conditions = ["clean", "imaging-floor@moderate", "telephone-narrowband"]\n{engines}'
        '[groups]\nby = ["accent"]\nmin_speakers = 2\n[statistics]\ndraws = 200\n'
    )
    out = tmp_path / "run"
    assert 0 == command(["run", str(suite), "--out", str(out), "--workers", "2", "--invariance-check", "24"])
    groups = pd.read_csv(out / "disparity.csv")
    assert 2 * 3 == len(groups[groups["attribute"] == "overall"])
    assert {120} == set(groups.loc[groups["attribute"] == "overall", "utterances"])
    clean = groups[(groups["attribute"] == "overall") & (groups["condition"] == "clean")].set_index("engine")["wer"]
    assert clean["masked"] < 0.05 < clean["unmasked"]
    checked = json.loads((out / "run.json").read_text())["invariance"]["engines"]
    assert 0 == checked["masked"]["flips"]
    assert 10 < checked["unmasked"]["flips"]
    for page in ("report.html", "report.md"):
        assert "Do batches change transcripts?" in (out / page).read_text()


# --- sequence to sequence --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Whisper of one layer with random weights."""
    from made_checkpoints import make_tiny_whisper

    return make_tiny_whisper(tmp_path_factory.mktemp("whisper"))


def test_whisper_checkpoints_load_and_window(tiny_whisper: Path) -> None:
    """A clip of 1 s and one of 65 s in one batch: fixed windows, three pieces, a confidence, the same alone."""
    options = {"model": str(tiny_whisper), "generate": {"language": "en", "task": "transcribe"}, "confidence": True}
    recogniser = engine("transformers", max_batch=4, **options)
    clips = [noise(1.0), noise(65.0, "long"), noise(0.0, "none")]
    short, long, none = recogniser.transcribe(clips)
    assert "fixed" == recogniser.fingerprint()["padding"]
    assert len(long.text) > len(short.text) > 0
    assert all(0 < item.confidence <= 1 for item in (short, long, none))
    assert [short.text, long.text] == [recogniser.transcribe([clip])[0].text for clip in clips[:2]]


def test_log_mel_features_are_made_where_the_model_is(tiny_whisper: Path) -> None:
    """They equal the extractor's to the last bit, mask included; an extractor that makes others is used itself."""
    recogniser = engine("transformers", model=str(tiny_whisper))
    clips = [noise(1.0).samples, noise(30.0).samples, noise(0.1).samples]
    ours = recogniser._log_mel.features(recogniser.prepare(clips))
    theirs = recogniser._features(clips, sampling_rate=16_000, return_tensors="pt", return_attention_mask=True)
    for name in ("input_features", "attention_mask"):
        assert torch.equal(theirs[name], ours[name])
    recogniser._features.dither = 0.1
    assert LogMel.of(torch, recogniser._features, "cpu") is None


def test_a_static_cache_leaves_the_transcripts_as_they_are(tiny_whisper: Path) -> None:
    """What CUDA graphs need in the decoder: tensors that stay where they are, the same texts."""
    said = {}
    for cache in ("dynamic", "static"):
        generate = {"language": "en", "cache_implementation": cache, "suppress_tokens": None}
        recogniser = engine("transformers", model=str(tiny_whisper), max_batch=4, buckets=True, generate=generate)
        said[cache] = texts(recogniser, [[noise(1.0), noise(7.0, "b"), noise(3.0, "c")]])
    assert said["dynamic"] == said["static"]


def test_random_weights_are_marked(tiny_whisper: Path) -> None:
    """Random weights by request stand in the fingerprint, and differ from the loaded ones."""
    options = {"model": str(tiny_whisper), "generate": {"language": "en"}}
    found = engine("transformers", random_weights=True, **options)
    assert "random" == found.fingerprint()["weights"]
    assert "loaded" == engine("transformers", **options).fingerprint()["weights"]
    assert 1 == len(found.transcribe([noise(1.0)]))


def test_faster_whisper_runs_a_converted_checkpoint(tiny_whisper: Path, tmp_path: Path) -> None:
    """The same checkpoint through CTranslate2: 65 s of audio, word times that ascend, a language, a confidence."""
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    from made_checkpoints import convert_for_ctranslate2

    folder = convert_for_ctranslate2(tiny_whisper, tmp_path / "converted")
    recogniser = engine("faster-whisper", model=str(folder), language="en", beam_size=1, word_times=True)
    found = recogniser.transcribe([noise(65.0, "long"), noise(1.0)])
    assert ["long", "a"] == [item.utterance_id for item in found]
    assert {"en"} == {item.language for item in found}
    assert all(0 < item.confidence <= 1 for item in found if item.status == "ok")
    starts = [word.start_s for word in found[0].words]
    assert sorted(starts) == starts
    assert found[0].text == recogniser.transcribe([noise(65.0, "long")])[0].text
    assert 64 == len(recogniser.fingerprint()["files_sha256"])


def test_faster_whisper_refuses_a_folder_that_is_not_converted(tiny_whisper: Path) -> None:
    """A transformers folder is refused with the command that converts it."""
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    with pytest.raises(InputError, match="ct2-transformers-converter"):
        engine("faster-whisper", model=str(tiny_whisper))


# --- what is refused -------------------------------------------------------------------------------------------------


def test_unsafe_or_unpinned_models_are_refused(demo_ctc: Path, tmp_path: Path) -> None:
    """No pickled weights, no hub id without a commit, no code of a repository, no missing folder."""
    with pytest.raises(InputError, match="pinned to a commit"):
        engine("transformers", model="openai/whisper-small")
    with pytest.raises(InputError, match="pinned to a commit"):
        engine("transformers", model="openai/whisper-small", revision="main")
    with pytest.raises(InputError, match="no such model folder"):
        engine("transformers", model="./nowhere")
    config = json.loads((demo_ctc / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(InputError, match="no safetensors weights"):
        engine("transformers", model=str(tmp_path))
    remote = {"auto_map": {"AutoConfig": "evil.Config", "AutoModelForCTC": "evil.Model"}, "model_type": "evil"}
    (tmp_path / "config.json").write_text(json.dumps(remote))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: pass\nclass Model: pass\n")
    (tmp_path / "model.safetensors").write_bytes((demo_ctc / "model.safetensors").read_bytes())
    with pytest.raises(EngineError, match="cannot be loaded"):
        engine("transformers", model=str(tmp_path))
    assert not (tmp_path / "ran").exists()


# --- torchaudio ------------------------------------------------------------------------------------------------------


def test_torchaudio_bundles_load_safetensors(tmp_path: Path) -> None:
    """A bundle with weights from a safetensors file answers, in batches as alone, and states where they are from."""
    from safetensors.torch import save_file

    pytest.importorskip("torchaudio", reason="torchaudio is not installed")
    first = engine("torchaudio", bundle="WAV2VEC2_ASR_BASE_960H", random_weights=True)
    assert "random" == first.fingerprint()["weights"]
    assert "none" == first.fingerprint()["padding"]
    model = getattr(first._model, "model", first._model)
    save_file({k: v.contiguous().clone() for k, v in model.state_dict().items()}, tmp_path / "weights.safetensors")
    second = engine(
        "torchaudio", bundle="WAV2VEC2_ASR_BASE_960H", weights=str(tmp_path / "weights.safetensors"), max_batch=2
    )
    assert 64 == len(second.fingerprint()["weights"])
    clips = [noise(0.6), noise(0.3, "b")]
    expected = [first.transcribe([clip])[0].text for clip in clips]
    assert expected == [item.text for item in second.transcribe(clips)]
    with pytest.raises(InputError, match="WAV2VEC2_ASR_BASE_960H"):
        engine("torchaudio", bundle="WAV2VEC2_ASR_BASE_960")
