"""Which sentences were read by more than one speaker: the reference tells.

Where speakers read from lists, a figure depends on the sentences as it does on the speakers, and two groups that read
different lists differ by their lists as well (:mod:`asrfair.stats.estimate.two_way`). In conversations some short
answers repeat by chance ("yeah"); they are a small part of the words and no prompts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from asrfair.stats.frame import Ints

MIN_SHARE = 0.1
"""Sentences are prompts where those that several speakers said hold at least this share of the words."""


def find_prompts(
    references: pa.ChunkedArray | pa.Array, speaker: npt.NDArray[np.int32], words: Ints
) -> npt.NDArray[np.int32] | None:
    """Number the sentences, if speakers shared them.

    Args:
        references: What was said, shape (U,); sentences are the same where they differ in nothing but case and spaces
            around.
        speaker: Who said it, shape (U,).
        words: Reference words, 0 where the utterance was not scored, shape (U,).

    Returns:
        The number of each utterance's sentence, from 0, shape (U,); ``None`` where sentences do not repeat, or hardly.
    """
    prompt = _numbered(references)
    used = words > 0
    if not used.any():
        return None
    pairs = np.unique(prompt[used] * (int(speaker.max()) + 1) + speaker[used])
    readers = np.bincount(pairs // (int(speaker.max()) + 1), minlength=int(prompt.max()) + 1)
    shared = int(words[readers[prompt] > 1].sum())
    return prompt.astype(np.int32) if shared >= MIN_SHARE * int(words.sum()) else None


def _numbered(references: pa.ChunkedArray | pa.Array) -> Ints:
    """Number the distinct texts; each is looked at once, since large corpora have millions of rows."""
    column = references.combine_chunks() if isinstance(references, pa.ChunkedArray) else references
    coded = column.fill_null("").dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(coded.dictionary)).dictionary_encode()
    of_text: Ints = plain.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    numbers: Ints = of_text[coded.indices.to_numpy(zero_copy_only=False)]
    return numbers
