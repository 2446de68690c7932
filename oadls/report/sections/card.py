"""The model card (Mitchell et al. 2019): what the model is for, and what it is not for."""

import pandas as pd

from oadls.report import told
from oadls.report.builder import Page, interval_text
from oadls.report.evidence import Evidence
from oadls.report.images import is_measured
from oadls.report.sections.headline import warnings


def write(page: Page, evidence: Evidence) -> None:
    page.section("card", "Model card")
    page.table("model_card", pd.DataFrame(rows(evidence), columns=["item", "text"]), "Draft.")


def rows(evidence: Evidence) -> list[tuple[str, str]]:
    """(item, text), filled in from the run."""
    run, metrics = evidence.run, evidence.metrics
    config = run.experiment.config
    classes = ", ".join(run.classes)
    limits = warnings(evidence) or ["None was found by this report; that is no proof of absence."]
    return [
        ("Model", f"{config.name}: {len(run.fits)} fit(s) of {_kind(evidence)}"),
        ("Task", f"Class of one white blood cell in a stained smear: {classes}"),
        ("Intended use", "Research on methods of classification. Reading beside a haematologist"),
        (
            "Not for",
            "Diagnosis, screening, treatment decisions, or cells of another stain, scanner or kind "
            "of patient than those it was tested on",
        ),
        ("Input", f"An image of one cell; {_input(evidence)}, as the method section says"),
        ("Output", "A probability of each class; see calibration before reading it as a chance"),
        ("Training data", _training_data(evidence)),
        ("Test data", _test_data(evidence)),
        ("Selection", told.selection(evidence)),
        ("Looks at the test part", told.tested(evidence)),
        ("Scores", _scores(evidence)),
        *[(f"Limit {number}", text) for number, text in enumerate(limits, start=1)],
        (
            "Fairness",
            "Age, sex, ethnicity, hospital and treatment are not in the data: no group of people "
            "could be compared",
        ),
        ("Licence", f"Code MIT; {_others(evidence)} have terms of their own"),
        ("Protocol", f"{metrics['protocol']}" + (" (by image)" if metrics["by_image"] else "")),
    ]


def _kind(evidence: Evidence) -> str:
    """What is fitted, on what."""
    return told.model(evidence.run.experiment.config)


def _input(evidence: Evidence) -> str:
    """What becomes of the image."""
    config = evidence.run.experiment.config
    if is_measured(config):
        return "segmented and measured"
    return f"the model sees {told.cropped(config)}"


def _others(evidence: Evidence) -> str:
    return "images and pretrained weights" if evidence.metrics["pretrained"] else "the images"


def _training_data(evidence: Evidence) -> str:
    train = evidence.run.side("train")
    if train.empty:
        return "See the run that trained the checkpoint"
    cells = evidence.run.table.iloc[train["row"].unique()]
    return f"{evidence.run.experiment.config.data.name}: {_count(cells)}"


def _test_data(evidence: Evidence) -> str:
    return f"{evidence.run.experiment.config.data.name}: {_count(evidence.cells)}"


def _count(cells: pd.DataFrame) -> str:
    patients = cells["patient"].nunique()
    return f"{len(cells)} cells, " + (f"{patients} patients" if patients else "patients unknown")


def _scores(evidence: Evidence) -> str:
    metrics = evidence.metrics
    if metrics["withheld"]:
        return f"Withheld: {metrics['withheld']}"
    test = metrics["test"]
    ends = test["uncertainty"]["intervals"]["precision"]
    why = f"no interval: {evidence.why_no_interval}"
    interval = f" (95 % {interval_text(ends)})" if ends else f" ({why})"
    auroc = "" if test["auroc"] is None else f", AUROC {test['auroc']:.3f}"
    return f"Macro precision {test['precision']:.3f}{interval}{auroc}"
