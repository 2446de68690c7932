"""TRIPOD+AI and CLAIM 2024, filled in as far as the run can answer them."""

from importlib.resources import files
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from oadls.report.builder import Page
from oadls.report.evidence import Evidence

LISTS = {
    "tripod_ai": "TRIPOD+AI (Collins et al., BMJ 2024)",
    "claim_2024": "CLAIM 2024 update (Tejani et al., Radiology: Artificial Intelligence 2024)",
}


def write(page: Page, evidence: Evidence) -> None:
    page.section("checklist", "Checklists")
    page.text(
        "A draft for a manuscript, in our words. Each item points at the part of this report or "
        "the file of the run that answers it, or says that the authors must."
    )
    content: Any = OmegaConf.to_container(
        OmegaConf.load(str(files("oadls.report") / "checklist.yaml"))
    )
    titles = {section.id: section.title for section in page.sections}
    for key, title in LISTS.items():
        items = content[key]
        rows = [_row(item, titles) for item in items]
        answered = sum(item["answer"] != "open" for item in items)
        page.heading(title)
        page.table(
            key,
            pd.DataFrame(rows),
            f"{answered} of {len(items)} items are answered here, {len(items) - answered} are not.",
        )


def _row(item: dict, titles: dict[str, str]) -> dict[str, str]:
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
