"""The TOML of docs/effects.md is a profile that parses and renders; its table says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from acoustics_helpers import condition, renderer, synthetic_speech

from asrfair.acoustics.effects.base import EFFECTS, effect_of


def _page(repository: Path) -> str:
    return (repository / "docs" / "effects.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_block_is_a_chain_that_renders(repository: Path, tmp_path: Path) -> None:
    """Each example as a profile of its own, on a clip."""
    blocks = re.findall(r"```toml\n(.*?)```", _page(repository), flags=re.DOTALL)
    assert len(blocks) >= 8
    for i, block in enumerate(blocks):
        place = condition(tmp_path, block, name=f"block-{i}")
        assert renderer(place).render(synthetic_speech(), place, "s").clip.samples.any()


def test_the_table_lists_every_effect_but_noise(repository: Path) -> None:
    """One row an effect; what it says of length and level follows the traits."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|$", _page(repository), flags=re.MULTILINE)
    listed = {name: [c.strip(" |") for c in cells.split(" | ")] for name, cells in rows if name in EFFECTS}
    assert set(EFFECTS) - {"noise"} == set(listed)
    for name, (_, length, _, level, *_) in listed.items():
        traits = effect_of(name).traits
        if name not in {"audiomentations", "callable"}:
            assert traits.changes_length == length.startswith("longer")
            assert {"keeps": "kept", "restored": "restored", "sets": level}[traits.level] == level
