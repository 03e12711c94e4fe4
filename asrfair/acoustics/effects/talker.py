"""How loud a talker is at the microphone, in dB(A): vocal effort, distance, and the effort that noise calls for.

An SNR says how much louder than the noise somebody is and leaves open why. Where the noise of a place is known in
decibels, the talker decides the rest: how loudly they speak (ISO 9921), from how far, and whether they raise their voice
as the room grows louder (the Lombard effect). A soft voice, and a voice from across the room, then are worse off.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import pydantic

from asrfair.acoustics.effects.parameters import Choice, Number, Text, number, one_of, text, within

if TYPE_CHECKING:
    from asrfair.acoustics.effects.base import Achieved

EFFORT_DBA = {"relaxed": 54.0, "normal": 60.0, "raised": 66.0, "loud": 72.0, "very-loud": 78.0}
"""A-weighted speech level one metre in front of the lips, after ISO 9921:2003, table A.1 (male talkers)."""

LOMBARD_FROM_DBA = 45.0
"""Below this noise nobody raises their voice (ISO 9921:2003, annex A)."""


class TalkerParams(pydantic.BaseModel):
    """Who speaks, as loud as they are at the microphone.

    ``effort`` is one of ISO 9921's, or ``level_dba`` gives the level at 1 m itself; ``distance_m`` from the lips;
    ``lombard`` by how many decibels the voice rises for each decibel of noise above 45 dBA (people: 0.3 to 0.6; 0 is
    off; the voice gets louder, its colour stays). ``reference_dbfs`` is the active level at which the corpus holds a
    voice of that effort: a recording below it counts as a softer voice. Without it every recording has that effort.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    effort: Annotated[Text, one_of(*EFFORT_DBA)] | None = None
    level_dba: Annotated[Number, within(20, 110)] | None = None
    distance_m: Annotated[Number, within(0.02, 50)] = 1.0
    lombard: Annotated[Number, within(0, 1)] = 0.0
    reference_dbfs: Annotated[Number, within(-80, 0)] | None = None

    @pydantic.model_validator(mode="after")
    def _one(self) -> TalkerParams:
        if self.effort is not None and self.level_dba is not None:
            raise ValueError("give either effort or level_dba")
        return self


def talker_snr_db(talker: TalkerParams, noise_dba: float, level_dbfs: float | None) -> tuple[float, Achieved]:
    """Return the A-weighted ratio of a (drawn) talker to noise of a level at the microphone, and what made it.

    Args:
        talker: Who.
        noise_dba: Noise at the microphone, dB(A) re 20 µPa.
        level_dbfs: Active level of the recording; ``None`` where there is none.
    """
    effort = talker.effort
    assert not isinstance(effort, Choice)
    at_1_m = number(talker.level_dba) if talker.level_dba is not None else EFFORT_DBA[text(effort or "normal")]
    softer = 0.0
    if talker.reference_dbfs is not None and level_dbfs is not None:
        softer = level_dbfs - number(talker.reference_dbfs)
    raised = number(talker.lombard) * max(0.0, noise_dba - LOMBARD_FROM_DBA)
    distance: Any = number(talker.distance_m)
    at_microphone = at_1_m + softer + raised - 20 * math.log10(distance)
    achieved: Achieved = {"talker_dba": at_microphone, "noise_dba": noise_dba, "distance_m": distance}
    if raised:
        achieved["lombard_db"] = raised
    if talker.reference_dbfs is not None:
        achieved["softer_db"] = -softer
    return at_microphone - noise_dba, achieved
