"""What may be quoted, with its interval and what is trivial beside it."""

import pandas as pd

from oadls.metrics import SCORES
from oadls.report.builder import Page, interval_text
from oadls.report.evidence import NO_PATIENTS, Evidence
from oadls.report.terminal import FLOORS

TILES = {
    "precision": "Macro precision",
    "auroc": "AUROC",
    "sensitivity": "Macro sensitivity",
    "accuracy": "Accuracy",
}
LITTLE = 0.02  # a score that is not higher by this is called as good


def write(page: Page, evidence: Evidence) -> None:
    page.section("headline", "Headline")
    metrics = evidence.metrics
    if metrics["withheld"]:
        page.note(
            f"The test score is no headline: {metrics['withheld']}. The tables below show what "
            "such a split pretends.",
            "alarm",
        )
    else:
        page.tiles([_tile(name, title, evidence) for name, title in TILES.items()])
    for warning in warnings(evidence):
        page.note(warning)
    page.table("headline", beside_floors(evidence), _caption(evidence))


def warnings(evidence: Evidence) -> list[str]:
    """What a reader must know before quoting a score."""
    metrics, found = evidence.metrics, []
    if not evidence.run.patients_known:
        found.append(NO_PATIENTS + "The intervals resample images with their duplicates.")
    if metrics["test"]["uncertainty"]["warning"]:
        found.append(metrics["test"]["uncertainty"]["warning"].capitalize() + ".")
    if metrics["by_image"] and not metrics["withheld"]:
        found.append(f"This protocol splits by image. {shared(evidence)}")
    if metrics["pretrained"] is False:
        found.append("The backbone had random weights: nothing was learned before.")
    if metrics["excluded"]:
        found.append(f"{metrics['excluded']} images were left out, see the section on data.")
    return found + [text for name in FLOORS if (text := _beaten(name, evidence))]


def shared(evidence: Evidence) -> str:
    """What stands on two sides of a split by image."""
    leaks = evidence.run.leaks
    if (leaks["column"] == "patient").any():
        number = leaks.loc[leaks["column"] == "patient", "value"].nunique()
        who = f"Cells of {number} patients stand on two sides"
    elif evidence.run.patients_known:
        who = "No patient happens to stand on two sides of this draw, though any might"
    else:
        who = "Cells of one patient may stand in training and test"
    return f"{who}; the score says nothing about new patients."


def beside_floors(evidence: Evidence) -> pd.DataFrame:
    """The network, its intervals, and every trivial baseline in the same folds."""
    metrics = evidence.metrics
    floors = metrics.get("floors", {})
    models = {f"{metrics['experiment']} ({evidence.model})": metrics["test"]}
    models |= {title: floors[name] for name, title in FLOORS.items() if name in floors}
    rows = []
    for model, found in models.items():
        row: dict[str, object] = {"model": model}
        for score in SCORES:
            row[score] = found[score]
            if score in ("precision", "auroc"):
                row[f"{score}_95 %"] = interval_text(found["uncertainty"]["intervals"][score])
        rows.append(row)
    return pd.DataFrame(rows)


def _tile(score: str, title: str, evidence: Evidence) -> tuple[str, str, str]:
    found = evidence.metrics["headline"][score]
    value = "–" if found["value"] is None else f"{found['value']:.3f}"
    if found["interval"] is None:
        return title, value, f"no interval: {evidence.why_no_interval}"
    return title, value, f"95 % interval {interval_text(found['interval'])}"


def _beaten(name: str, evidence: Evidence) -> str:
    """A sentence when a trivial baseline is as good as the network."""
    floor = evidence.metrics.get("floors", {}).get(name)
    if not floor or floor["auroc"] is None or evidence.metrics["test"]["auroc"] is None:
        return ""
    test = evidence.metrics["test"]
    if any(floor[score] < test[score] - LITTLE for score in ("auroc", "precision")):
        return ""
    return (
        f"{FLOORS[name].capitalize()} reaches macro precision {floor['precision']:.3f} and AUROC "
        f"{floor['auroc']:.3f}, {evidence.model} {test['precision']:.3f} and {test['auroc']:.3f}: "
        "it adds little or nothing."
    )


def _caption(evidence: Evidence) -> str:
    uncertainty = evidence.metrics["test"]["uncertainty"]
    fitted = " The trivial baselines were fitted in the same folds."
    return (
        "Test cells; all scores but accuracy are unweighted means over the classes. Intervals "
        f"resample {uncertainty['groups']} groups; a group is {uncertainty['unit']}."
        + (fitted if evidence.metrics.get("floors") else "")
    )
