"""Deal the accents of EdAcc out to its speakers at random, 200 times: how often is anything "significant"?

    python benchmarks/label_permutation.py RUN            # a scored run folder of EdAcc (asrfair score …)
    python benchmarks/label_permutation.py RUN --by accent --where audited_group=1 --min-speakers 3

With random labels no group differs, so a family-wise level of 5 % should find something in about 5 % of the dealings,
whatever the number of systems and groups looked at.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from asrfair.stats.attribute_part import make_part
from asrfair.stats.frame import Frame, load_frame
from asrfair.stats.further_tables import difference_table
from asrfair.stats.groups import make_grouping
from asrfair.types import GroupSettings, StatisticsSettings

LEVEL = 0.05


def dealings(
    frame: Frame, groups: GroupSettings, statistics: StatisticsSettings, times: int, rng: np.random.Generator
) -> dict[str, float]:
    """Share of dealings with any finding, by kind of adjusted p-value."""
    name = groups.by[0][0]
    rows = np.empty(len(frame.speakers), dtype=np.int64)
    rows[frame.speaker[::-1]] = np.arange(len(frame.speaker))[::-1]
    own = frame.utterances[name].to_numpy()[rows]
    found = dict.fromkeys(("p_holm", "p_max_t"), 0)
    for _ in range(times):
        labels = rng.permutation(own)[frame.speaker]
        dealt = dataclasses.replace(frame, utterances=frame.utterances.assign(**{name: labels}))
        part = make_part(dealt, make_grouping(dealt, (name,)), groups, statistics)
        table = difference_table(dealt, [part], groups, statistics)
        for kind in found:
            found[kind] += bool((table[kind] <= LEVEL).any())
    return {kind: count / times for kind, count in found.items()}


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a scored run folder")
    parser.add_argument("--by", default="accent")
    parser.add_argument("--where", default="audited_group=1")
    parser.add_argument("--min-speakers", type=int, default=3)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    where = dict([options.where.split("=", 1)]) if options.where else {}
    groups = GroupSettings(by=((options.by,),), where=where, min_speakers=options.min_speakers)
    frame = load_frame(options.run, groups)
    shares = dealings(frame, groups, StatisticsSettings(), options.times, np.random.default_rng(options.seed))
    for kind, share in shares.items():
        print(f"any {kind} ≤ {LEVEL}: {100 * share:.1f} % of {options.times} dealings")


if __name__ == "__main__":
    main()
