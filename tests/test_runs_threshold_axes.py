"""Every parameter that can be turned, through the whole command: which way is harder, its unit, its sentence, its picture."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import pandas as pd
import pytest

from asrfair.cli.main import run as command
from asrfair.recognise.engines import EngineBase, EngineTraits
from asrfair.runs.suite import read_suite
from asrfair.runs.threshold_settings import axis_of
from asrfair.say.claims import read_claims
from asrfair.types import Clip, Hypothesis

WORDS = "apple bread chair door earth flower garden house island jacket"

AXES = {
    "noise.snr_db": ("ward-at-night", "", 12.0, "far speakers need", "more signal than near speakers", "dB(A)"),
    "packet_loss.loss": ("voip-lossy", "", 0.08, "near speakers bear", "the share of packets lost that far speakers bear, for", "%"),
    "handset.high_hz": (
        "cheap-handset", "low = 600.0\nhigh = 9000.0", 2500.0, "far speakers need",
        "the upper edge of the band that near speakers need, for", "Hz",
    ),
    "codec.bitrate_kbps": (
        "voip-lossy", "low = 6.0\nhigh = 64.0", 20.0, "far speakers need", "the bitrate that near speakers need, for", "kbit/s",
    ),
    "noise.knock.rate_hz": (
        "imaging-floor@moderate", "low = 0.5\nhigh = 20.0", 3.0, "near speakers bear",
        "the rate of the knock that far speakers bear, for", "a second",
    ),
    "noise.hum.level_db": (
        "imaging-floor@moderate", "low = -15.0\nhigh = 35.0", 10.0, "far speakers bear a level of the hum",
        "below what near speakers bear, for", "dB",
    ),
    "room.distance_m": (
        "kitchen-far-field", "", 1.4, "near speakers bear", "the distance that far speakers bear, for", "m",
    ),
    "room.rt60_s": (
        "kitchen-far-field", "", 0.35, "near speakers bear",
        "the reverberation time that far speakers bear, for", "s",
    ),
}  # fmt: skip
"""Parameter → place, range, where near speakers reach half, how the sentence begins and goes on, unit."""


class Turned(EngineBase):
    """Loses more words the harder the level in the condition's name is; far speakers 8 dB, or a factor of 1.6, earlier."""

    traits = EngineTraits(needs_audio=False, parallel="inline")

    def transcribe(self, clips: list[Clip]) -> list[Hypothesis]:
        """Answer with what is left of the reference."""
        return [Hypothesis(utterance_id=clip.utterance_id, text=self._heard(clip)) for clip in clips]

    def _heard(self, clip: Clip) -> str:
        middle, sign, factors = (self.spec.options[name] for name in ("middle", "sign", "factors"))
        far = clip.utterance_id.startswith("far")
        share = 0.02
        if "=" in clip.condition:
            level = float(clip.condition.rpartition("=")[2])
            easier = sign * (6 * math.log(level / middle) if factors else 0.4 * (level - middle))
            share += 0.96 / (1 + math.exp(easier - (6 * math.log(1.6) if factors else 0.4 * 8.0) * far))
        words = self.context.utterance(clip.utterance_id).reference.split()
        draws = (zlib.crc32(f"{clip.utterance_id} {place}".encode()) / 2**32 for place in range(len(words)))
        return " ".join(word for word, draw in zip(words, draws, strict=True) if draw > share)


@pytest.mark.slow
@pytest.mark.parametrize("parameter", list(AXES))
def test_an_axis_is_turned_the_right_way(parameter: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Far speakers need easier levels by what was built in; words, unit, sentence and picture say so without a raw value."""
    place, limits, middle, begins, goes_on, unit = AXES[parameter]
    rows = [
        (f"{who}{n}-{i}", f"{who}{n}", WORDS, who) for who in ("near", "far") for n in range(8) for i in range(6)
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["utterance_id", "speaker_id", "reference", "accent"])
    table.to_csv(tmp_path / "manifest.csv", index=False)
    suite = tmp_path / "suite.toml"

    def write(sign: int, *, factors: bool) -> None:
        suite.write_text(
            '[suite]\nname = "t"\nmanifest = "manifest.csv"\n[[engine]]\nname = "test_runs_threshold_axes:Turned"\n'
            f'label = "ear"\noptions = {{ middle = {middle}, sign = {sign}, factors = {str(factors).lower()} }}\n'
            '[groups]\nby = ["accent"]\nmin_speakers = 3\nmin_words = 50\n'
            f'[threshold]\nplaces = ["{place}"]\nparameter = "{parameter}"\nlevels = 6\n{limits}\n',
            encoding="utf-8",
        )

    write(1, factors=False)
    read = read_suite(suite)
    assert read.threshold is not None
    axis = axis_of(read.threshold, place, None, file=suite)
    write(axis.sign, factors=axis.by_factors)
    out = tmp_path / "out"
    assert 0 == command(["threshold", str(suite), "--out", str(out), "--workers", "1"])
    said = capsys.readouterr().out
    found = pd.read_csv(out / "thresholds.csv")
    found = found[found["target"] == "30 %"].set_index("group")["threshold"]
    apart = axis.easier(found["far"]) - axis.easier(found["near"])
    assert apart == pytest.approx(math.log(1.6) if axis.by_factors else 8.0, rel=0.25)
    claim = next(row for row in read_claims(out).itertuples() if row.target == "30 %")
    assert claim.affirmed
    assert str(claim.text).startswith(begins), claim.text
    assert goes_on in claim.text
    times = 100 if unit == "%" else 1
    digits = 1 if unit in {"%", "dB", "dB(A)"} else 2 - math.floor(math.log10(found["near"]))
    shown = f"{round(times * found['near'], digits):.{max(digits, 0)}f}".replace("-", "−")
    assert f"near (8 speakers): {shown} {unit}" in said
    drawn = next((out / "plots").glob("*-accent.svg")).read_text(encoding="utf-8")
    assert "mathdefault" not in drawn
    assert ("harder to the left" in drawn) == (axis.sign < 0)


@pytest.mark.parametrize(
    ("parameter", "gate"),
    [("noise.hum.level_db", "max_threshold_db"), ("noise.knock.rate_hz", "max_threshold_gap_db")],
)
def test_a_gate_that_does_not_fit_its_parameter_is_refused(
    parameter: str, gate: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What people bear has no upper limit, and a factor is no difference in decibels: such a gate would guard nothing."""
    (tmp_path / "manifest.csv").write_text("utterance_id,speaker_id,reference\nu,s,one\n", encoding="utf-8")
    suite = tmp_path / "suite.toml"
    suite.write_text(
        '[suite]\nname = "t"\nmanifest = "manifest.csv"\n[[engine]]\nname = "fake"\n'
        f'[threshold]\nplaces = ["imaging-floor"]\nparameter = "{parameter}"\nlow = 1.0\nhigh = 10.0\n{gate} = 3.0\n',
        encoding="utf-8",
    )
    assert 2 == command(["threshold", str(suite), "--out", str(tmp_path / "out"), "--workers", "1"])
    assert f"threshold.{gate}" in capsys.readouterr().err


def test_an_end_that_cannot_be_heard_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A talker outside the room: the error is about the range that was asked for, and not about a line of the profile."""
    (tmp_path / "manifest.csv").write_text("utterance_id,speaker_id,reference\nu,s,one\n", encoding="utf-8")
    suite = tmp_path / "suite.toml"
    suite.write_text(
        '[suite]\nname = "t"\nmanifest = "manifest.csv"\n[[engine]]\nname = "fake"\n'
        '[threshold]\nplaces = ["kitchen-far-field"]\nparameter = "room.distance_m"\nhigh = 40.0\n',
        encoding="utf-8",
    )
    assert 2 == command(["threshold", str(suite), "--out", str(tmp_path / "out"), "--workers", "1"])
    said = capsys.readouterr().err
    assert "kitchen-far-field cannot be heard at room.distance_m = 40" in said
    assert "threshold.high" in said
