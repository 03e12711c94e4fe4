"""What travels to nodes without a shared disk: recordings and noise arrive as they lie here, errors included."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from nightly_nights import write_suite

from asrfair.acoustics import Renderer, parse_condition
from asrfair.cli.main import run
from asrfair.data.audio import load_clip
from asrfair.errors import AsrfairError, EnvironmentFailedError, InputError, MissingExtraError
from asrfair.recognise.transcribe.on_ray import RayCluster, parcels
from asrfair.recognise.transcribe.on_ray.cluster import check_versions
from asrfair.recognise.transcribe.on_ray.parcels import Receiver, Sender, Wanted, pack, unpack
from asrfair.types import Clip, Utterance

RATE = 16_000


class Store:
    """An object store of one process."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def put(self, item: Any) -> int:
        self.items.append(item)
        return len(self.items) - 1

    def get(self, reference: int) -> Any:
        if self.items[reference] is None:
            raise RuntimeError("the node is gone")
        return self.items[reference]


def recorded(path: Path, length_s: float = 1.0, **more: Any) -> Utterance:
    """An utterance whose recording is noise of 8 kHz."""
    samples = np.random.default_rng(len(path.name)).normal(0, 0.1, round(length_s * 8000))
    soundfile.write(path, samples, 8000)
    return Utterance(utterance_id=path.stem, speaker_id="s", reference="", audio=path, **more)


def heard(load: Any, utterance: Utterance) -> list[float] | str:
    """What comes of loading an utterance: samples, or the error without its path."""
    try:
        return load(utterance, RATE).samples.tolist()
    except AsrfairError as error:
        return error.message


def test_a_node_hears_what_lies_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole recordings, segments cut out of long ones, missing, broken and unnamed ones: the same samples or the same words."""
    monkeypatch.setattr(parcels, "WHOLE_BYTES", 40_000)
    (tmp_path / "broken.wav").write_text("not audio")
    (tmp_path / "folder.wav").mkdir()
    utterances = [
        recorded(tmp_path / "short.wav"),
        recorded(tmp_path / "long.wav", 5.0, start_s=1.0, end_s=2.5),
        recorded(tmp_path / "longer.wav", 6.0, start_s=5.0, end_s=9.0),
        Utterance(utterance_id="gone", speaker_id="s", reference="", audio=tmp_path / "gone.wav"),
        Utterance(utterance_id="broken", speaker_id="s", reference="", audio=tmp_path / "broken.wav"),
        Utterance(utterance_id="folder", speaker_id="s", reference="", audio=tmp_path / "folder.wav"),
        Utterance(utterance_id="none", speaker_id="s", reference=""),
    ]
    expected = [heard(load_clip, utterance) for utterance in utterances]
    store = Store()
    sent = Sender(store.put, RATE).parcels(utterances)
    shutil.move(tmp_path / "short.wav", tmp_path / "elsewhere.wav")  # a node has none of these files
    (tmp_path / "long.wav").unlink()
    receiver = Receiver(store.get, tmp_path / "node")
    receiver.take(sent)
    assert expected == [heard(receiver.load, utterance) for utterance in utterances]
    assert {str: 5, list: 2} == {kind: sum(type(e) is kind for e in expected) for kind in (str, list)}
    assert not list((tmp_path / "node").iterdir())


def test_a_node_asks_for_what_it_lacks(tmp_path: Path) -> None:
    """What was not sent, or was lost with a node, is wanted; once sent again it is heard, and then kept for the next."""
    utterance = recorded(tmp_path / "a.wav")
    store = Store()
    sender, receiver = Sender(store.put, RATE), Receiver(store.get, tmp_path / "node")
    receiver.take({})
    with pytest.raises(Wanted) as caught:
        receiver.load(utterance, RATE)
    assert (utterance, False) == (caught.value.utterance, caught.value.lost)
    receiver.take(sender.parcels([utterance]))
    store.items[0] = None
    with pytest.raises(Wanted) as caught:
        receiver.load(utterance, RATE)
    assert caught.value.lost
    sender.forget(utterance)
    receiver.take(sender.parcels([utterance]))
    assert isinstance(receiver.load(utterance, RATE), Clip)
    receiver.take({})
    assert isinstance(receiver.load(utterance, RATE), Clip)
    assert 2 == len(store.items)


def test_no_more_is_kept_than_was_said(tmp_path: Path) -> None:
    """The driver keeps hold of the recordings used last, up to a number of bytes, and puts the others there anew."""
    utterances = [recorded(tmp_path / f"{name}.wav") for name in "abc"]
    store = Store()
    sender = Sender(store.put, RATE, held_bytes=2 * utterances[0].audio.stat().st_size)
    for utterance in utterances + utterances[2:0:-1] + utterances[:1]:
        sender.parcels([utterance])
    assert 4 == len(store.items)  # a, b, c, and a again


def test_the_files_of_conditions_travel(tmp_path: Path) -> None:
    """Noise and impulse responses render the same where their files never lay, named from the profile, above it or absolutely."""
    home, noises = tmp_path / "home" / "profiles", tmp_path / "home" / "noise"
    home.mkdir(parents=True)
    noises.mkdir()
    random = np.random.default_rng(1)
    soundfile.write(noises / "fan.wav", random.normal(0, 0.1, 32_000), 16_000)
    soundfile.write(noises / "bed.wav", random.normal(0, 0.05, 48_000), 16_000)
    soundfile.write(
        home / "room.wav", np.exp(-np.arange(4000) / 400) * random.normal(0, 0.2, 4000) + np.eye(1, 4000)[0], 16_000
    )
    (home / "ward.toml").write_text(
        '[profile]\nname = "ward"\ndescription = "d"\nlicence = "CC0"\nsource = "made"\n'
        '[[effect]]\nuse = "impulse_response"\nfile = "room.wav"\n'
        '[[effect]]\nuse = "noise"\nsnr_db = 10\n'
        '[[effect.layer]]\nsource = "file"\nfile = "../noise/fan.wav"\n'
        f'[[effect.layer]]\nsource = "file"\nfile = "{noises / "bed.wav"}"\n',
        encoding="utf-8",
    )
    conditions = (parse_condition("clean"), parse_condition("ward", profiles=home))
    clip = Clip(utterance_id="u", samples=random.normal(0, 0.1, RATE).astype(np.float32), sample_rate_hz=RATE)
    expected = [Renderer(conditions, 1).render(clip, c, "s") for c in conditions]
    store = Store()
    packed, files = pack(conditions, store.put)
    shutil.rmtree(tmp_path / "home")
    there = unpack(packed, files, store.get, tmp_path / "node")
    assert [c.fingerprint for c in conditions] == [c.fingerprint for c in there]
    for before, after in zip(expected, [Renderer(there, 1).render(clip, c, "s") for c in there], strict=True):
        assert before.achieved == after.achieved
        np.testing.assert_array_equal(before.clip.samples, after.clip.samples)


def test_a_node_with_other_versions_is_refused() -> None:
    """The message names the node and each package that differs or is missing; exit code 3."""
    here = {"asrfair": "2", "numpy": "2.1", "av": ""}
    check_versions("node-7", here, dict(here))
    with pytest.raises(
        EnvironmentFailedError, match=r"node-7 .* asrfair 1 \(here 2\), numpy missing \(here 2.1\)"
    ) as caught:
        check_versions("node-7", here, {"asrfair": "1", "numpy": "", "av": ""})
    assert 3 == caught.value.exit_code


def test_without_ray_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--on ray` without the extra ends with exit code 3 and a pip command; another place is no place."""
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'asrfair\[ray\]'"), RayCluster("ray", None):
        pass
    for wrong in ("slurm", "ray://", "raylet"):
        with pytest.raises(InputError, match="unknown place to work"):
            RayCluster(wrong, None)


def test_nights_and_runs_go_where_they_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--on` of both commands reaches the transcribing: a place that is none is refused."""
    suite = write_suite(tmp_path / "suite", count=6)
    for command in (
        ["run", str(suite), "--out", str(tmp_path / "run")],
        ["nightly", str(suite), "--history", str(tmp_path / "n")],
    ):
        assert 2 == run([*command, "--on", "slurm"])
        assert "unknown place to work" in capsys.readouterr().err
