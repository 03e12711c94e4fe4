"""A fuzzer over profile files: whatever stands in one, it is rendered or refused in a sentence, never a traceback."""

from __future__ import annotations

import contextlib
import random
import re
from pathlib import Path

import numpy as np
import pytest
from acoustics_helpers import RATE, synthetic_speech

from asrfair.acoustics import RenderContext, Renderer, list_further_profiles, list_profiles, parse_condition
from asrfair.errors import AsrfairError
from asrfair.types import Clip

CASES = 600
VALUES = [
    "0", "-1", "1e308", "-1e-300", "nan", "inf", "-inf", "true", '""', '"x"', '"\\u0000"', '"../../etc/passwd"', "[]",
    "{}", "[1, 2]", '["a", 1]', "{ min = 1, max = 2 }", "{ min = 2, max = 1 }", "{ min = 'a', max = [] }", "[[3]]",
    "1979-05-27", "9223372036854775807", "0x7fffffff", "[[]]", "{ min = 0, max = 1, scale = 'log' }", '"clean"', "[{}]",
    "12345678901234567890123", '"' + "x" * 5000 + '"', "[" + "1, " * 300 + "1]", "1e-9", "16000", "0.5",
]  # fmt: skip
LINES = [
    "[[effect]]", "[effect]", "[profile]", "[severity]", "[severity.mild]", "[severity.mild.noise]", "[[effect.layer]]",
    "[[severity]]", "use = 'noise'", "use = 'band'", "use = 'nothing'", "label = 'noise'", "= 3", "a", "\x00", "é = 1",
    "snr_db = 3", "source = 'babble'", "source = 'file'", "file = 'x.wav'", "restore_level = 3", '"" = 1', "'a.b' = 1",
    "codec = 'gsm'", "[[effect.layer.layer]]", "layer = 1", "x" * 100_000, "\\", '"""', "severity = 'mild'",
]  # fmt: skip


def _mutate(text: str, rng: random.Random) -> str:
    """Change a few lines: drop, double, swap, insert, or replace a value or a key."""
    lines = text.split("\n")
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        i = rng.randrange(len(lines))
        kind = rng.randrange(8)
        if kind == 0:
            del lines[i]
        elif kind == 1:
            lines.insert(i, lines[rng.randrange(len(lines))])
        elif kind == 2:
            lines.insert(i, rng.choice(LINES))
        elif kind == 3 and lines[i]:
            at = rng.randrange(len(lines[i]))
            lines[i] = lines[i][:at] + chr(rng.choice([0, 9, 34, 39, 61, 91, 123, 0xFEFF, 0x202E])) + lines[i][at + 1 :]
        elif kind == 4:
            lines[i] = re.sub(r"^[a-z_]+", rng.choice(["snr_db", "use", "source", "hz", "layer", "rate_hz"]), lines[i])
        else:
            key, equals, _ = lines[i].partition("=")
            if equals:
                lines[i] = f"{key}= {rng.choice(VALUES)}"
        if not lines:
            lines = [""]
    return "\n".join(lines)


def _try(path: Path, name: str, context: RenderContext, clip: Clip) -> str:
    """Parse and render; return how it ended. Anything but our own errors comes out as a traceback."""
    try:
        place = parse_condition(name)
    except AsrfairError:
        return "refused"
    # A simulated room takes a second to build: reading it is enough here.
    if any(step.effect == "room" for step in place.steps):
        return "read"
    try:
        rendered = Renderer([place], 1, context).render(clip, place, "s")
    except AsrfairError:
        return "refused late"
    assert np.all(np.isfinite(rendered.clip.samples))
    assert float(np.max(np.abs(rendered.clip.samples), initial=0.0)) <= 1.0
    assert path.is_file()
    return "rendered"


@pytest.mark.slow
def test_hundreds_of_broken_profiles_end_in_a_sentence(tmp_path: Path) -> None:
    """600 mutations of the shipped profiles, places and voices: none ends in a traceback, in samples that are not finite, or too loud."""
    rng = random.Random(20_240_601)
    further = [path for path in list_further_profiles() if path.stem.startswith(("voice-", "call-"))]
    sources = [path.read_text(encoding="utf-8") for path in [*list_profiles(), *further]]
    clip, ends = synthetic_speech(0.3), []
    path = tmp_path / "place.toml"
    for _ in range(CASES):
        path.write_text(_mutate(rng.choice(sources), rng), encoding="utf-8")
        suffix = rng.choice(["", "", "", "@mild", "@severe", "@snr=3", "@noise.snr_db=x", "@mild,snr=-5"])
        ends.append(_try(path, f"{path}{suffix}", RenderContext(), clip))
    assert CASES == len(ends)
    assert ends.count("rendered") > 50
    assert ends.count("refused") > 150


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"\xff\xfe", b"[" * 10_000, b"a = " + b"[" * 5000, b"\xef\xbb\xbf", b"=" * 99]
)
def test_files_that_are_no_toml_are_refused(tmp_path: Path, content: bytes) -> None:
    """Bytes, nesting without end, a byte-order mark alone: a sentence."""
    path = tmp_path / "place.toml"
    path.write_bytes(content)
    with pytest.raises(AsrfairError):
        parse_condition(str(path))


def test_broken_names_of_conditions_end_in_a_sentence() -> None:
    """Random characters where a condition's name is expected."""
    rng = random.Random(7)
    alphabet = "imaging-floor@=,.snrmild/\\\0 é\n'\"[]{}~$%" + "0123456789"
    for _ in range(120):
        name = "".join(rng.choice(alphabet) for _ in range(rng.randint(0, 25)))
        for text in (name, f"imaging-floor@{name}", f"street@mild,{name}"):
            with contextlib.suppress(AsrfairError):
                parse_condition(text)


def test_any_clip_goes_through_any_generated_noise() -> None:
    """Odd lengths, rates and levels: what comes out is finite, within full scale and as long as it was."""
    rng = np.random.default_rng(3)
    places = [
        parse_condition(n) for n in ("imaging-floor@snr=-40", "factory@snr=100", "wind-outdoors@snr=-20", "ambulance")
    ]
    renderer = Renderer(places, 1)
    for i in range(30):
        size = int(rng.choice([0, 1, 2, 37, 511, 1600, RATE]))
        scale = float(rng.choice([0.0, 1e-30, 1e-6, 0.1, 1.0]))
        samples = (scale * rng.standard_normal(size)).astype(np.float32).clip(-1, 1)
        rate = int(rng.choice([4000, 8000, 11_025, 16_000, 48_000, 96_000]))
        clip = Clip(utterance_id=f"u{i}", samples=samples, sample_rate_hz=rate)
        for place in places:
            found = renderer.render(clip, place, "s").clip.samples
            assert size == found.size
            assert np.all(np.isfinite(found))
            assert float(np.max(np.abs(found), initial=0.0)) <= 1.0
