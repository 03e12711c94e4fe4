"""What was found stays found until somebody accepts it, or until it is gone.

Repeated nights make a change no more certain, and the corrections for looking often make it less so: without a memory, an
alarm would switch itself off while the change is still there.
"""

from __future__ import annotations

import math
from dataclasses import replace

from asrfair.nightly.gate_outcome import Gate
from asrfair.nightly.night_to_night import Movement

GONE_NIGHTS = 3
"""Nights in a row without a found increase after which it is gone."""


def stay_found(gate: Gate, earlier: Gate | None, movement: Movement) -> Gate:
    """Keep what was found until it is gone: until the increase is nearer to none than to what was found.

    A figure that moves by itself has to be there for :data:`GONE_NIGHTS` nights in a row.

    Args:
        gate: Tonight's, by itself.
        earlier: The same gate on the last night that was held against the same baseline.
        movement: What the figure does by itself.
    """
    fails = gate.status == "fail"
    if earlier is None or not earlier.found_nights:
        return replace(gate, found=_shown(gate), found_nights=1) if fails else gate
    gone = gate.status != "not_tested" and gate.tonight <= max(gate.limit, earlier.found / 2.0)
    below = earlier.below + 1 if gone else 0
    if not fails and below >= (1 if movement.sd == 0 else GONE_NIGHTS):
        return gate
    nights = earlier.found_nights + 1
    kept = replace(gate, status="fail", found=earlier.found, found_nights=nights, below=below)
    said = f"found {earlier.found_nights} night{'s' * (earlier.found_nights > 1)} ago, and neither accepted nor gone"
    return kept if fails else replace(kept, note=said)


def _shown(gate: Gate) -> float:
    """The increase by which a gate failed: the larger of the look's and the chart's."""
    return max([gate.value] + [gate.chart_mean] * (gate.chart >= 1.0 and math.isfinite(gate.chart_mean)))
