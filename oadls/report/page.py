"""report.html: what a run is worth, section by section."""

from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from oadls.operating import Operating
from oadls.report.builder import Page
from oadls.report.evidence import Evidence
from oadls.report.sections import (
    abstention,
    calibration,
    card,
    checklist,
    data,
    explain,
    headline,
    method,
    mistakes,
    patients,
    scores,
    uncertainty,
)
from oadls.run import Run

SECTIONS = (
    headline,
    data,
    scores,
    patients,
    uncertainty,
    calibration,
    abstention,
    explain,
    mistakes,
    method,
    card,
    checklist,
)


def write_report(
    run: Run,
    metrics: dict[str, Any],
    floors: dict[str, pd.DataFrame],
    operating: Operating | None,
    against: Run | None = None,
    *,
    folder: Path,
) -> Path:
    """Write report.html, figures/ and tables/ of a run; returns the page.

    metrics : what metrics.json holds; floors, operating : as `report.results` makes them
    against : another run to compare with, cell by cell
    folder : where to; what it shows of an earlier report is in the run's own folder
    """
    evidence = Evidence(run, metrics, floors, operating, against)
    page = Page(folder, run.folder)
    for section in SECTIONS:
        section.write(page, evidence)
    return page.write(
        title=f"{metrics['experiment']}: what the classifier is worth",
        subtitle=f"Protocol {metrics['protocol']} · {metrics['test']['cells']} test cells · "
        f"written {datetime.now():%Y-%m-%d %H:%M} by oadls {version('oadls')}",
        footer="Research use only: no medical device, no diagnosis. Every table is in tables/ as "
        "CSV, every figure in figures/ as PNG and PDF, beside this page.",
    )
