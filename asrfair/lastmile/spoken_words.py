"""Which words of a prompt were spoken: recognition held to the prompt, each word of which may be left out.

A free recogniser loses words that were spoken; held to the prompt's own words it loses far fewer, so that a missing word
can be told from one that was not understood. Words that the dictionary lacks are matched by a loop over phones.
Offline, on a core; English, because PocketSphinx carries an English model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from rapidfuzz import fuzz

from asrfair.acoustics.level import active_level, amplitude

SAMPLE_RATE_HZ = 16_000
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_PHONES = (  # noqa: SIM905 -- forty phones read better in one line
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"
).split()
_LOOP = "asrfairphone"
_LEVEL_DBFS = -26.0


class PromptListener:
    """A PocketSphinx decoder that is asked, clip by clip, which of a prompt's words it hears."""

    def __init__(self) -> None:
        from pocketsphinx import Decoder, get_model_path

        packaged = get_model_path("en-us")
        self._decoder: Any = Decoder(
            hmm=f"{packaged}/en-us",
            dict=f"{packaged}/cmudict-en-us.dict",
            lm=f"{packaged}/en-us.lm.bin",
            loglevel="FATAL",
        )
        for phone in _PHONES:
            self._decoder.add_word(f"{_LOOP}{phone.lower()}", phone, phone == _PHONES[-1])
        self._choices: list[list[str]] = []

    def words_of(self, text: str) -> list[str]:
        """Return a prompt's words as the dictionary writes them: lower case, without signs."""
        return _WORD.findall(text.lower().replace("’", "'"))

    def choose(self, prompts: Sequence[str]) -> None:
        """Set the prompts between which :meth:`which` decides."""
        self._choices = [self.words_of(text) for text in prompts]
        rules = [" ".join(self._part(word) for word in words) for words in self._choices if words]
        self._decoder.add_jsgf_string("choice", _grammar(" | ".join(rules)))

    def which(self, samples: npt.NDArray[np.float32]) -> int | None:
        """Return the index of the prompt that fits best, or ``None`` where nothing was heard."""
        self._decoder.activate_search("choice")
        heard = [word for word in self._decode(samples) if not word.startswith(_LOOP)]
        if not heard:
            return None
        text = " ".join(heard)
        known = [" ".join(word for word in words if self._known(word)) for words in self._choices]
        return max(range(len(known)), key=lambda i: fuzz.ratio(text, known[i]))

    def missing(self, samples: npt.NDArray[np.float32], text: str) -> list[str]:
        """Return the words of a prompt that are not heard where they should stand, in their order."""
        words = self.words_of(text)
        if not words:
            return []
        self._decoder.add_jsgf_string("prompt", _grammar(" ".join(f"[ {self._part(word)} ]" for word in words)))
        self._decoder.activate_search("prompt")
        heard = self._decode(samples)
        position, absent = 0, []
        for word in words:
            if not self._known(word):
                while position < len(heard) and heard[position].startswith(_LOOP):
                    position += 1
            elif position < len(heard) and heard[position] == word:
                position += 1
            else:
                absent.append(word)
        return absent

    def _known(self, word: str) -> bool:
        return self._decoder.lookup_word(word) is not None

    def _part(self, word: str) -> str:
        return word if self._known(word) else "(" + " | ".join(f"{_LOOP}{phone.lower()}" for phone in _PHONES) + ")+"

    def _decode(self, samples: npt.NDArray[np.float32]) -> list[str]:
        decoder = self._decoder
        decoder.reinit_feat()
        decoder.start_utt()
        decoder.process_raw(_pcm(samples), no_search=False, full_utt=True)
        decoder.end_utt()
        if decoder.hyp() is None:
            return []
        found = (segment.word.partition("(")[0] for segment in decoder.seg() or ())
        return [word for word in found if not word.startswith(("<", "[", "+")) and word != "(NULL)" and word]


def _grammar(rule: str) -> str:
    return f"#JSGF V1.0;\ngrammar prompt;\npublic <prompt> = {rule};\n"


def _pcm(samples: npt.NDArray[np.float32]) -> bytes:
    """Return 16-bit samples at a usual level, so that a faint recording is heard like another."""
    measured = active_level(samples, SAMPLE_RATE_HZ)
    gain = 1.0 if measured is None else amplitude(_LEVEL_DBFS - measured.level_dbfs)
    return bytes(np.round(np.clip(samples * gain, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
