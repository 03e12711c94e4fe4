"""Which sentences each group read, and how much of it other groups read too: ``prompts.csv``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from asrfair.stats.estimate.two_way import MIN_PROMPTS
from asrfair.stats.frame import Frame
from asrfair.stats.groups import Grouping

COLUMNS = (
    *("attribute", "group", "utterances", "sentences", "speakers_a_sentence", "shared_share"),
    *("closest_group", "closest_share", "farthest_group", "farthest_share", "flag"),
)


def prompt_table(frame: Frame, groupings: Sequence[Grouping], *, fixed: bool) -> pd.DataFrame:
    """Make the table; no rows where speakers share no sentences.

    ``shared_share`` is the share of a group's words in sentences that some other stated group read too, ``closest_*``
    and ``farthest_*`` the other groups with which it shares most and least. Flags, both of figures that hold for these
    sentences only: ``fixed_sentences`` (the settings say so), ``few_sentences`` (too few to say anything about others).

    Args:
        frame: The scores.
        groupings: The attributes.
        fixed: Whether intervals are over speakers alone.
    """
    if frame.prompt is None:
        return pd.DataFrame(columns=list(COLUMNS))
    words = frame.denominator.reshape(-1, len(frame.prompt)).max(axis=0).astype(np.int64)
    used = np.flatnonzero(words > 0)
    prompt, sentences = frame.prompt[used].astype(np.int64), int(frame.prompt.max()) + 1
    rows: list[dict[str, object]] = []
    for grouping in groupings:
        group, names = grouping.utterance_group[used], grouping.names
        shape = (len(names), sentences)
        said = sparse.csr_array((words[used].astype(np.float64), (group, prompt)), shape=shape)
        heard = sparse.csr_array((np.ones(len(used)), (group, prompt)), shape=shape)
        heard.sum_duplicates()  # scipy before 1.14 leaves them apart
        readers = np.unique((group * sentences + prompt) * len(frame.speakers) + frame.speaker[used])
        pairs = np.bincount(readers // len(frame.speakers) // sentences, minlength=len(names))
        read = sparse.csr_array((np.ones(heard.nnz), heard.indices, heard.indptr), shape=shape)
        total = said.sum(axis=1)
        with np.errstate(all="ignore"):
            common = (said @ read.T).toarray() / total[:, None]
        stated = np.flatnonzero(grouping.stated)
        by_others = sparse.csr_array(read[stated].sum(axis=0)[None, :]) if len(stated) else None
        for number, name in enumerate(names):
            count = int(read[[number]].sum())
            others = stated[stated != number]
            row: dict[str, object] = {
                "attribute": grouping.attribute,
                "group": name,
                "utterances": int(heard[[number]].sum()),
                "sentences": count,
                "closest_group": "",
                "farthest_group": "",
                "speakers_a_sentence": float(pairs[number] / count) if count else np.nan,
                "flag": "fixed_sentences" if fixed else "few_sentences" if count < MIN_PROMPTS else "",
            }
            if len(others) and count and by_others is not None:
                elsewhere = by_others.toarray()[0] - (read[[number]].toarray()[0] if grouping.stated[number] else 0)
                row["shared_share"] = float((said[[number]].toarray()[0] * (elsewhere > 0)).sum() / total[number])
                near, far = others[np.argmax(common[number, others])], others[np.argmin(common[number, others])]
                row |= {"closest_group": names[near], "closest_share": float(common[number, near])}
                row |= {"farthest_group": names[far], "farthest_share": float(common[number, far])}
            rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))
