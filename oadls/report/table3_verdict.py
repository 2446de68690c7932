"""What Table 3 comes to: who wins, and over whom OADLS-ALDC is ahead or behind beyond chance."""

import numpy as np
import pandas as pd

from oadls.report.table3 import FLOORS, OURS, RANKED


def verdict(table: pd.DataFrame) -> str:
    """The sentences that stand above the table.

    table : as `table3.table_3` makes it
    """
    trained = table[(table["failed"] == "") & ~table["row"].isin(list(FLOORS))]
    if not len(trained):
        return "No row has been trained."
    best = trained.sort_values(RANKED, ascending=False, kind="stable").iloc[0]
    first = f"{best['title']} has the highest macro precision, {100 * best[RANKED]:.1f} %"
    if OURS not in set(trained["row"]):
        return f"{first}. OADLS-ALDC has not been trained: nothing is compared with it."
    ours = trained[trained["row"] == OURS].iloc[0]
    others = trained[trained["row"] != OURS]
    if best["row"] != OURS:
        place = 1 + int((others[RANKED] > ours[RANKED]).sum())
        first += f"; OADLS-ALDC has {100 * ours[RANKED]:.1f} %, place {place} of {len(trained)}"
    lost = int((table["failed"] != "").sum())
    failed = [f"Rows that failed, and are not counted: {lost}."] if lost else []
    return " ".join([f"{first}.", *_above_trivial(table, trained), *_over(others, ours), *failed])


def _above_trivial(table: pd.DataFrame, trained: pd.DataFrame) -> list[str]:
    """How many rows are above the best trivial baseline, if one was scored."""
    floors = table[table["row"].isin(list(FLOORS))].sort_values(RANKED)
    if not len(floors):
        return []
    best = floors.iloc[-1]
    above = int((trained[RANKED] > best[RANKED]).sum())
    return [
        f"{above} of {len(trained)} rows are above the best trivial baseline, "
        f"{best['title'][0].lower()}{best['title'][1:]} ({100 * best[RANKED]:.1f} %)."
    ]


def _over(others: pd.DataFrame, ours: pd.Series) -> list[str]:
    """Sentences on the differences between OADLS-ALDC and the other rows."""
    compared = others[others.get(f"{RANKED}_gain", pd.Series(np.nan, others.index)).notna()]
    if not len(compared):
        return ["No other row was tested on the same cells."]
    known = compared[compared[f"{RANKED}_gain_low"].notna()]
    ahead, behind = known[f"{RANKED}_gain_low"] > 0, known[f"{RANKED}_gain_high"] < 0
    sure = compared[f"{RANKED}_p_holm"] < 0.05
    if not len(known):
        few = ours["warning"] or "no resample differs"
        said = [f"No difference has an interval ({few})."]
    else:
        said = [
            f"OADLS-ALDC is better than {ahead.sum()} of {len(compared)} rows with an interval "
            f"that excludes zero{_names(known[ahead])}, and worse than {behind.sum()}"
            f"{_names(known[behind])}; from the others it cannot be told apart on these cells."
        ]
    better = sure & (compared[f"{RANKED}_gain"] > 0)
    worse = sure & (compared[f"{RANKED}_gain"] < 0)
    return [
        *said,
        f"With p corrected for {len(compared)} comparisons below .05 it is better than "
        f"{better.sum()}{_names(compared[better])} and worse than {worse.sum()}"
        f"{_names(compared[worse])}.",
    ]


def _names(rows: pd.DataFrame) -> str:
    return f" ({', '.join(rows['title'])})" if len(rows) else ""
