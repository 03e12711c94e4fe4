"""Deal the accents of EdAcc out to its speakers at random, 200 times: how often is anything claimed?

    python benchmarks/label_permutation.py RUN            # a scored run folder of EdAcc (asrfair score …)
    python benchmarks/label_permutation.py RUN --by accent --where audited_group=1 --min-speakers 3

With random labels no group differs, so at a level of 5 % something about groups should be said in about 5 % of the
dealings, whatever the number of systems and groups looked at.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from asrfair.stats.analyse import analyse_frame
from asrfair.stats.core_tables import read_ledger
from asrfair.stats.frame import Frame, load_frame
from asrfair.types import GroupSettings, StatisticsSettings

ABOUT_GROUPS = ("omnibus", "group", "gap", "worst")


def dealings(frame: Frame, groups: GroupSettings, statistics: StatisticsSettings, times: int, seed: int) -> float:
    """Share of dealings in which anything about groups is affirmed."""
    rng = np.random.default_rng(seed)
    name = groups.by[0][0]
    rows = np.empty(len(frame.speakers), dtype=np.int64)
    rows[frame.speaker[::-1]] = np.arange(len(frame.speaker))[::-1]
    own = frame.utterances[name].to_numpy()[rows]
    ledger = read_ledger(frame.run)
    found = 0
    for _ in range(times):
        labels = rng.permutation(own)[frame.speaker]
        dealt = dataclasses.replace(frame, utterances=frame.utterances.assign(**{name: labels}))
        claims = analyse_frame(dealt, ledger, groups, statistics)["claims"]
        found += bool(claims.loc[claims["kind"].isin(ABOUT_GROUPS), "affirmed"].any())
    return found / times


def main() -> None:
    """Print the share."""
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
    share = dealings(load_frame(options.run, groups), groups, StatisticsSettings(), options.times, options.seed)
    error = (max(share * (1 - share), 1 / options.times) / options.times) ** 0.5
    print(f"any claim about groups: {100 * share:.1f} ± {100 * error:.1f} % of {options.times} dealings")


if __name__ == "__main__":
    main()
