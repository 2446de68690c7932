"""Table 3 as a reader sees it: in per cent, with intervals and with what the paper prints."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from oadls.metrics import SCORES
from oadls.report.builder import shown
from oadls.report.table3 import FLOORS, OURS, RANKED, records_of

PRINTED = "as printed"
MARK = "†"  # of a printed value that contradicts the others of its row
TITLES = {score: score for score in SCORES} | {"f1": "F1", "auroc": "AUROC"}
SHORT = {"accuracy": "acc.", "sensitivity": "sens.", "specificity": "spec."} | {
    "f1": "F1",
    "auroc": "AUROC",
}


def score_rows(table: pd.DataFrame) -> pd.DataFrame:
    """model and the six scores: a line measured here, below it the line that the paper prints."""
    lines = []
    for row in records_of(table):
        values = {TITLES[s]: "" if row["failed"] else value_text(row, s) for s in SCORES}
        lines.append({"model": model_text(row), **values})
        if pd.notna(row.get(f"{RANKED}_printed")):
            lines.append(
                {"model": PRINTED} | {TITLES[score]: printed_text(row, score) for score in SCORES}
            )
    return pd.DataFrame(lines)


def model_text(row: dict[str, Any]) -> str:
    """The title, from which weights, and why it failed."""
    title = row["title"]
    if row["failed"]:
        return f"{title}: failed, {row['failed']}"
    if row["weights"]:
        title += f", {row['weights']}"
    if row.get("withheld") and pd.notna(row["withheld"]):
        title += f"; no headline: {row['withheld']}"
    return title


def value_text(row: dict[str, Any], score: str) -> str:
    """ "96.5 (93.1–98.0)", in per cent."""
    value = shown(_percent(row[score]), 1)
    low, high = row[f"{score}_low"], row[f"{score}_high"]
    return f"{value} ({100 * low:.1f}–{100 * high:.1f})" if pd.notna(low) else value


def printed_text(row: dict[str, Any], score: str) -> str:
    """What the paper prints, with a mark where it contradicts the rest of its row."""
    value = row.get(f"{score}_printed")
    if value is None or pd.isna(value):
        return ""
    return f"{100 * value:.2f}" + (MARK if f"{score}:" in row["contradictions"] else "")


def gain_rows(table: pd.DataFrame) -> pd.DataFrame:
    """model, OADLS-ALDC less the row in macro precision, interval, p and corrected p."""
    compared = f"{RANKED}_gain" in table
    lines = []
    for row in records_of(table):
        if row["row"] in (OURS, *FLOORS) or row["failed"] or not compared:
            continue
        low, high = row[f"{RANKED}_gain_low"], row[f"{RANKED}_gain_high"]
        why = row.get("uncompared")
        lines.append(
            {
                "model": row["title"],
                "OADLS-ALDC less it": gain_text(row),
                "95 % interval": f"{100 * low:+.1f} to {100 * high:+.1f}"
                if pd.notna(low)
                else (why if isinstance(why, str) else "not given"),
                "p": shown(row[f"{RANKED}_p"], 3),
                "p, corrected": shown(row[f"{RANKED}_p_holm"], 3),
            }
        )
    return pd.DataFrame(lines)


def short_rows(table: pd.DataFrame) -> pd.DataFrame:
    """model, scores, the interval of one, gain and corrected p: what a terminal has room for."""
    lines = []
    for row in records_of(table[table["failed"] == ""]):
        scores = {SHORT.get(s, s): shown(_percent(row[s]), 1) for s in SCORES}
        scores[RANKED] = value_text(row, RANKED)
        p = shown(row.get(f"{RANKED}_p_holm"), 3)
        lines.append({"model": model_text(row), **scores, "gain": gain_text(row), "p": p})
    return pd.DataFrame(lines)


def gain_text(row: dict[str, Any]) -> str:
    """ "+2.1", points of macro precision."""
    gain = row.get(f"{RANKED}_gain")
    return "–" if gain is None or pd.isna(gain) else f"{100 * gain:+.1f}"


def cost_rows(table: pd.DataFrame) -> pd.DataFrame:
    """model, how it was trained, settings tried, numbers held, arithmetic and seconds."""
    rows = [row for row in records_of(table) if row["row"] not in FLOORS]
    return pd.DataFrame(
        {
            "model": row["title"],
            "method": row["method"],
            "schedule": row["schedule"] or "–",
            "settings tried": f"{row['tuned']:.0f}",
            "parameters": amount(row.get("parameters")),
            "trained": amount(row.get("trained")),
            "multiply-adds a cell": amount(row.get("multiply_adds")),
            "training s": seconds(row.get("training_seconds")),
            "inference s": seconds(row.get("inference_seconds")),
        }
        for row in rows
    )


def amount(value: float | None) -> str:
    """ "4.87 M": three digits and a thousand's letter."""
    if value is None or pd.isna(value):
        return "–"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.0f}"


def seconds(value: float | None) -> str:
    """Seconds with about two digits."""
    if value is None or pd.isna(value):
        return "–"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def markdown(table: pd.DataFrame) -> str:
    """A table of strings in Markdown."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    text = str(value).replace("|", "\\|").replace("\n", " ")
    return f"*{text}*" if text == PRINTED else text


def _percent(value: float | None) -> float | None:
    return None if value is None or pd.isna(value) else 100 * value


def has_intervals(table: pd.DataFrame) -> bool:
    """Whether any score has one."""
    return bool(table.get(f"{RANKED}_low", pd.Series(dtype=float)).notna().any())


def notes(table: pd.DataFrame) -> Sequence[str]:
    """What one must know to read the table."""
    scored = table[(table["failed"] == "") & ~table["row"].isin(list(FLOORS))]
    said = []
    if len(scored):
        facts = scored[["cells", "groups", "unit"]].drop_duplicates()
        for cells, groups, unit in facts.itertuples(index=False):
            whose = f"Macro scores of {cells:.0f} test cells of {groups:.0f} groups in per cent"
            how = "; 95 % intervals resample the groups" if has_intervals(table) else ""
            said.append(f"{whose}{how}. A group is {unit}.")
        for warning, part in scored[scored["warning"] != ""].groupby("warning", sort=False):
            every = len(part) == len(scored)
            said.append(f"{'Every row' if every else ', '.join(part['title'])}: {warning}.")
    if f"{RANKED}_printed" in table:
        said.append(
            "Printed values are the paper's, most of them copied there from work on other data: "
            f"they compare with nothing here. {MARK} contradicts the other values printed in its "
            "row, if these are of two classes: the accuracy must lie between sensitivity and "
            "specificity; precision and sensitivity give the F1, and with the accuracy the "
            "specificity."
        )
    return said
