"""TRIPOD+AI and CLAIM 2024, filled in as far as the run can answer them."""

from importlib.resources import files
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from oadls.report import told
from oadls.report.builder import Page
from oadls.report.evidence import Evidence
from oadls.report.images import is_measured
from oadls.run import NEW_CELLS

LISTS = {
    "tripod_ai": "TRIPOD+AI (Collins et al., BMJ 2024)",
    "claim_2024": "CLAIM 2024 update (Tejani et al., Radiology: Artificial Intelligence 2024)",
}
LATER = ("metrics.json", "report.html")  # written after this section
Item = dict[str, Any]


def write(page: Page, evidence: Evidence) -> None:
    page.section("checklist", "Checklists")
    page.text(
        "A draft for a manuscript, in our words. Each item points at the part of this report or "
        "the file of the run that answers it, or says that the authors must."
    )
    titles = {section.id: section.title for section in page.sections}
    for key, items in answers(page, evidence).items():
        rows = [_row(item, titles) for item in items]
        answered = sum(item["answer"] != "open" for item in items)
        page.heading(LISTS[key])
        page.table(
            key,
            pd.DataFrame(rows),
            f"{answered} of {len(items)} items are answered here, {len(items) - answered} are not.",
        )


def answers(page: Page, evidence: Evidence) -> dict[str, list[Item]]:
    """The items of each list as this run answers them: what it has not done, or lacks, is open."""
    content: Any = OmegaConf.to_container(
        OmegaConf.load(str(files("oadls.report") / "checklist.yaml"))
    )
    changed = of_this_run(evidence)
    return {
        key: [_in_files(item | changed.get((key, item["item"]), {}), page) for item in content[key]]
        for key in LISTS
    }


def of_this_run(evidence: Evidence) -> dict[tuple[str, str], Item]:
    """What depends on the settings and on what was run: (list, item) -> what is other."""
    config, run = evidence.run.experiment.config, evidence.run
    measured, network = is_measured(config), run.experiment.is_network
    shown = "numbers measured on the cell" if measured else told.cropped(config)
    steps = ", ".join([*told.stages(config), shown])
    found: dict[tuple[str, str], Item] = {
        ("tripod_ai", "9a"): {"note": f"What goes in: {shown}"},
        ("tripod_ai", "12b"): {"note": f"In this order: {steps}"},
        ("tripod_ai", "12f"): {"note": _updated(evidence)},
        ("tripod_ai", "15"): {"note": _thresholds(evidence)},
        ("tripod_ai", "24"): {"note": _updated(evidence)},
        ("claim_2024", "9"): {"note": f"In this order: {steps}"},
        ("claim_2024", "10"): {"note": f"What goes in: {shown}; parts of the data: config.yaml"},
        ("claim_2024", "24"): {"note": _weights(evidence)},
        ("claim_2024", "26"): {"note": told.selection(evidence)},
        ("claim_2024", "27"): {"note": f"{told.views(config)} {told.pooled(run)}".strip()},
        ("claim_2024", "29"): {"note": f"Bootstrap over {evidence.unit}"},
    }
    if not network:
        found["claim_2024", "31"] = _open("An estimator looks at no place of the picture")
        found["claim_2024", "25"] = {"note": "Settings of the estimator; it has no epochs"}
    if not all(fit.trained for fit in run.fits):
        rerun = "config.yaml is that of the training; python -m oadls.evaluate is run again"
        for key, item in (("tripod_ai", "18f"), ("claim_2024", "42"), ("claim_2024", "43")):
            found[key, item] = {"note": rerun}
    if run.protocol == NEW_CELLS:
        told_here = {"answer": "section", "where": "scores", "note": "Cells of other data alone"}
        found["claim_2024", "33"] = told_here
        found["claim_2024", "32"] = _open("See the run that trained the checkpoints")
    return found


def _open(note: str) -> Item:
    return {"answer": "open", "where": None, "note": note}


def _updated(evidence: Evidence) -> str:
    if evidence.operating is None:
        return "Nothing: there are no validation cells to set anything by"
    threshold = "" if evidence.operating.flagged is None else " and threshold"
    return f"Temperature{threshold} alone, from validation; nothing is changed after the test"


def _thresholds(evidence: Evidence) -> str:
    if evidence.operating is None or evidence.operating.flagged is None:
        return "Class probabilities; no threshold was set, the highest probability decides"
    return "Class probabilities; threshold from validation; its clinical reason: the author"


def _weights(evidence: Evidence) -> str:
    config = evidence.run.experiment.config
    if config.model.backbone is None:
        return "There is no network, and there are no weights"
    head = "; the head: random, by the seed" if evidence.run.experiment.is_network else ""
    return f"{told.backbone(config)}{head}"


def _in_files(item: Item, page: Page) -> Item:
    """The item, open where it points at a file that this run does not have."""
    if item["answer"] != "file" or item["where"] in LATER:
        return item
    there = any((folder / item["where"]).exists() for folder in (page.folder, page.before))
    return item if there else item | _open(f"This run has no {item['where']}")


def _row(item: Item, titles: dict[str, str]) -> dict[str, str]:
    where = {
        "section": f"section “{titles.get(item['where'], item['where'])}”",
        "file": f"file {item['where']}",
        "open": "not answered: the authors",
    }[item["answer"]]
    return {
        "item": str(item["item"]),
        "topic": item["topic"],
        "asks": item["asks"],
        "answered in": where,
        "note": item["note"] or "",
    }
