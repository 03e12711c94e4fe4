"""The engines that run the user's own code: ``python`` and ``command``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from asrfair.errors import AsrfairError, EngineError, InputError
from asrfair.recognise.engines.base import EngineContext
from asrfair.recognise.engines.table import create
from asrfair.types import Clip, EngineSpec

LINES = """\
import json, sys, wave
for line in sys.stdin:
    request = json.loads(line)
    with wave.open(request["audio"]) as audio:
        frames = audio.getnframes()
    name = request["utterance_id"]
    if name == "dies":
        sys.exit(7)
    if name == "garbage":
        print("not json", flush=True)
    elif name == "slow":
        import time
        time.sleep(30)
    elif name == "fails":
        print(json.dumps({"utterance_id": name, "error": "cannot"}), flush=True)
    else:
        print(json.dumps({"utterance_id": name, "text": f"{frames} frames"}), flush=True)
"""


def clip(utterance_id: str, samples: int = 1600) -> Clip:
    """A quiet clip."""
    return Clip(utterance_id=utterance_id, samples=np.full(samples, 0.01, np.float32), sample_rate_hz=16_000)


def context(base: Path) -> EngineContext:
    """A context whose paths start in a folder."""
    return EngineContext(base=base)


def test_lines_program_answers_and_recovers(tmp_path: Path) -> None:
    """A program that dies, hangs or talks nonsense costs one utterance each, and the next is answered."""
    (tmp_path / "engine.py").write_text(LINES)
    engine = create(
        EngineSpec(name="command", label="c", options={"command": [sys.executable, "engine.py"], "timeout_s": 2.0}),
        context(tmp_path),
    )
    try:
        found = engine.transcribe(
            [clip(name) for name in ("a", "dies", "b", "garbage", "c", "slow", "d", "fails", "e")]
        )
    finally:
        engine.close()
    assert [item.status for item in found] == ["ok", "error", "ok", "error", "ok", "error", "ok", "error", "ok"]
    assert found[0].text == "1600 frames"
    assert "exit code 7" in found[1].error
    assert "not a JSON line" in found[3].error
    assert "within 2 s" in found[5].error
    assert found[7].error == "cannot"


def test_template_program_prints_the_text(tmp_path: Path) -> None:
    """A program that is called with a path answers on standard output; a failing exit code is an error row."""
    (tmp_path / "one.py").write_text(
        "import sys\nif sys.argv[2] == 'bad': sys.exit('broken')\nprint('heard', sys.argv[1].endswith('.wav'))\n"
    )
    engine = create(
        EngineSpec(
            name="command", label="c", options={"command": [sys.executable, "one.py", "{audio}", "{utterance_id}"]}
        ),
        context(tmp_path),
    )
    try:
        good, bad = engine.transcribe([clip("good"), clip("bad")])
    finally:
        engine.close()
    assert good.text == "heard True"
    assert (bad.status, "broken" in bad.error) == ("error", True)


def test_secrets_of_the_environment_stay_out_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program sees only the variables that the suite names."""
    monkeypatch.setenv("SECRET_KEY", "canary")
    monkeypatch.setenv("WANTED", "yes")
    (tmp_path / "env.py").write_text("import os\nprint(os.environ.get('SECRET_KEY'), os.environ.get('WANTED'))\n")
    options = {"command": [sys.executable, "env.py", "{audio}"], "environment": ["WANTED"]}
    engine = create(EngineSpec(name="command", label="c", options=options), context(tmp_path))
    try:
        (found,) = engine.transcribe([clip("a")])
    finally:
        engine.close()
    assert found.text == "None yes"


def test_missing_program_is_bad_input(tmp_path: Path) -> None:
    """A program that is not there is refused before the run starts."""
    with pytest.raises(InputError, match="no such program"):
        create(EngineSpec(name="command", label="c", options={"command": ["./nowhere"]}), context(tmp_path))


def test_python_callable_single_and_batched(tmp_path: Path) -> None:
    """A function is called for each clip, or for a batch, and its mapping's extras are kept."""
    (tmp_path / "mine_asr.py").write_text(
        "def one(samples, rate):\n"
        "    return {'text': f'{len(samples)} at {rate}', 'confidence': 0.5, 'language': 'en'}\n"
        "def many(arrays, rate):\n    return [str(len(a)) for a in arrays]\n"
        "def wrong(samples, rate):\n    return None\n"
    )
    base = {"source_dir": str(tmp_path)}
    one = create(EngineSpec(name="python", label="p", options={"callable": "mine_asr:one", **base}), context(tmp_path))
    (found,) = one.transcribe([clip("a")])
    assert (found.text, found.confidence, found.language) == ("1600 at 16000", 0.5, "en")
    many = create(
        EngineSpec(name="python", label="p", options={"callable": "mine_asr:many", "max_batch": 4, **base}),
        context(tmp_path),
    )
    assert [item.text for item in many.transcribe([clip("a", 10), clip("b", 20)])] == ["10", "20"]
    wrong = create(
        EngineSpec(name="python", label="p", options={"callable": "mine_asr:wrong", **base}), context(tmp_path)
    )
    assert wrong.transcribe([clip("a")])[0].status == "error"


@pytest.mark.parametrize(
    ("target", "kind"), [("nonsense", InputError), ("no_such_module_x:f", EngineError), ("json:nothing", EngineError)]
)
def test_python_callable_that_is_not_there(tmp_path: Path, target: str, kind: type[AsrfairError]) -> None:
    """A callable that cannot be imported stops the run with a reason."""
    with pytest.raises(kind):
        create(EngineSpec(name="python", label="p", options={"callable": target}), context(tmp_path))
