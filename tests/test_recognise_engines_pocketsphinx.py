"""PocketSphinx: transcripts that do not depend on what was heard before, and clips that are nearly nothing."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_recognise_transcribe import kill_again_and_again
from transcribe_child import contents, go, spec

from asrfair.data.audio import load_clip
from asrfair.errors import EngineError, InputError
from asrfair.recognise.engines import EngineContext, create, traits_of
from asrfair.recognise.engines.pocketsphinx import PocketSphinx
from asrfair.types import Clip, Utterance

CONTEXT = EngineContext()


def clip_of(samples: np.ndarray, utterance_id: str = "u") -> Clip:
    """A clip at the engine's rate."""
    return Clip(utterance_id=utterance_id, samples=samples.astype(np.float32), sample_rate_hz=16_000)


@pytest.fixture(scope="module")
def demo(repository: Path) -> pd.DataFrame:
    """The demo corpus's table."""
    return pd.read_csv(repository / "manifests" / "demo" / "demo.csv", dtype=str)


@pytest.fixture(scope="module")
def clips(repository: Path, demo: pd.DataFrame) -> list[Clip]:
    """Four short utterances of different synthetic speakers."""
    found = []
    for row in demo.iloc[::30].itertuples():
        path = repository / "manifests" / "demo" / row.audio
        found.append(
            load_clip(Utterance(utterance_id=row.utterance_id, speaker_id="", reference="", audio=path), 16_000)
        )
    return found


@pytest.fixture(scope="module")
def engine() -> PocketSphinx:
    """One decoder for all tests of this file, as a worker has."""
    return create(spec("pocketsphinx"), CONTEXT)


@pytest.mark.slow
def test_transcripts_do_not_depend_on_what_was_heard_before(engine: PocketSphinx, clips: list[Clip]) -> None:
    """Forwards, backwards after loud noise, and with a new decoder each: the same text, times and confidence."""
    forwards = {answer.utterance_id: answer for answer in engine.transcribe(clips)}
    noise = clip_of(np.random.default_rng(1).normal(0, 0.3, 32_000))
    backwards = {}
    for clip in reversed(clips):
        engine.transcribe([noise])
        backwards |= {answer.utterance_id: answer for answer in engine.transcribe([clip])}
    assert forwards == backwards
    for clip in clips[:2]:
        assert [forwards[clip.utterance_id]] == create(spec("pocketsphinx"), CONTEXT).transcribe([clip])


@pytest.mark.slow
@pytest.mark.shared
def test_real_speech_does_not_depend_on_the_order(engine: PocketSphinx, shared_data: Path) -> None:
    """On noisy real recordings, where the packaged decoder does depend on the order, ours does not."""
    folder = shared_data / "speechocean762"
    table = pd.read_csv(folder / "manifest.csv", dtype=str).iloc[::100]
    real = [
        load_clip(
            Utterance(utterance_id=row.utt_id, speaker_id="", reference="", audio=folder / row.audio_path), 16_000
        )
        for row in table.itertuples()
    ]
    first = {answer.utterance_id: answer for answer in engine.transcribe(real)}
    random.Random(1).shuffle(real)
    assert first == {answer.utterance_id: answer for answer in engine.transcribe(real)}


def test_words_and_times_agree_with_the_text(engine: PocketSphinx, clips: list[Clip]) -> None:
    """The words with times are those of the text, in order, inside the clip."""
    for clip, answer in zip(clips, engine.transcribe(clips), strict=True):
        assert "ok" == answer.status
        assert answer.text == " ".join(word.word for word in answer.words)
        times = [time for word in answer.words for time in (word.start_s, word.end_s)]
        assert times == sorted(times)
        assert times[-1] <= clip.duration_s + 0.05
        assert 0 <= answer.confidence <= 1


@pytest.mark.slow
@pytest.mark.parametrize("samples", [0, 1, 2, 100, 400, 410, 800, 1600, 4000])
def test_very_short_clips_are_empty_not_fatal(engine: PocketSphinx, samples: int, clips: list[Clip]) -> None:
    """Silence and noise of nearly no length give an answer, and the decoder works afterwards."""
    for signal in (np.zeros(samples), np.random.default_rng(1).uniform(-1, 1, samples)):
        answer = engine.transcribe([clip_of(signal)])[0]
        assert answer.status in {"ok", "empty"}
    assert "ok" == engine.transcribe(clips[:1])[0].status


def test_out_of_range_samples_are_clipped_not_wrapped(engine: PocketSphinx, clips: list[Clip]) -> None:
    """A clip at twice full scale is decoded as one clipped at full scale."""
    loud = clips[0].samples / np.abs(clips[0].samples).max() * 2
    assert engine.transcribe([clip_of(loud)]) == engine.transcribe([clip_of(np.clip(loud, -1, 1))])


def test_options_are_checked(tmp_path: Path) -> None:
    """Unknown options, missing files, parameters that are set elsewhere or that PocketSphinx does not know."""
    with pytest.raises(InputError, match="no option 'hm'"):
        traits_of(spec("pocketsphinx", hm="x"), CONTEXT)
    with pytest.raises(InputError, match="does not exist"):
        traits_of(spec("pocketsphinx", lm=str(tmp_path / "missing.lm")), CONTEXT)
    with pytest.raises(InputError, match="cannot be set among the parameters"):
        traits_of(spec("pocketsphinx", parameters={"samprate": 8000}), CONTEXT)
    with pytest.raises(EngineError, match="cannot start with these options"):
        create(spec("pocketsphinx", parameters={"no_such_parameter": 1}), CONTEXT)
    (tmp_path / "bad.dict").write_text("not a dictionary \x00")
    with pytest.raises(EngineError, match="PocketSphinx cannot start"):
        create(spec("pocketsphinx", hmm=str(tmp_path)), CONTEXT)


def test_a_dictionary_and_a_grammar_of_words_can_be_given(tmp_path: Path, clips: list[Clip]) -> None:
    """With a dictionary of two words, nothing else can be recognised; the fingerprint tells the two apart."""
    (tmp_path / "two.dict").write_text("doctor D AA K T ER\nplease P L IY Z\n")
    small = create(spec("pocketsphinx", dict="two.dict"), EngineContext(base=tmp_path))
    words = {word for answer in small.transcribe(clips[:2]) for word in answer.text.split()}
    assert words <= {"doctor", "please"}
    plain = create(spec("pocketsphinx"), CONTEXT)
    assert small.fingerprint()["model_sha256"] != plain.fingerprint()["model_sha256"]
    assert not any("/" in value for value in plain.fingerprint().values())


@pytest.mark.slow
def test_sigkill_changes_nothing_for_a_real_engine(tmp_path: Path, repository: Path, demo: pd.DataFrame) -> None:
    """Killed three times while PocketSphinx works, a run ends with the bytes of an undisturbed one."""
    folder = repository / "manifests" / "demo"
    table = demo.iloc[::20].copy()
    table["audio"] = [str(folder / name) for name in table["audio"]]
    manifest = tmp_path / "manifest.csv"
    table.to_csv(manifest, index=False)
    go(manifest, tmp_path / "whole", [spec("pocketsphinx")], workers=2)
    arguments = {
        "manifest": str(manifest),
        "run": str(tmp_path / "killed"),
        "engines": [["pocketsphinx", "pocketsphinx", {}]],
        "conditions": ["clean"],
        "workers": 2,
    }
    kill_again_and_again(arguments, kills=3, longest_s=1.5, seed=3)
    assert contents(tmp_path / "whole") == contents(tmp_path / "killed")
