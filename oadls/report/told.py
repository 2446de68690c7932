"""What was done, in sentences, each of which is made from the config and the run."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from oadls.errors import UserError
from oadls.report.evidence import Evidence
from oadls.report.images import is_measured
from oadls.run import Run

WIENER = "oadls.preprocess.wiener.wiener"
STEPS = {  # what a step of the pipeline is called; another is called by its own name
    "oadls.preprocess.equalize.equalize": "dynamic histogram equalization",
    "oadls.segment.watershed.segment": "marker watershed",
}
WIENERS = {
    "spectral": "Wiener filter (eqs 1-3)",
    "constant_nsr": "Wiener filter (eqs 1-3) with one ratio of noise to signal",
    "local": "local Wiener filter, which is not that of eqs 1-3",
}
CROPS = {  # (keep, cut)
    ("cell", True): "the cell on black, in a window {window}",
    ("cell", False): "the cell on black in the whole image",
    ("everything", True): "a window {window}, with all that is in it",
    ("everything", False): "the whole image",
    ("background", True): "a window {window}, in which the cell is painted over",
    ("background", False): "the whole image, in which the cell is painted over",
}
WEIGHTS = {
    "random": "random weights, nothing learned before",
    "package": "pretrained weights of a Python package",
    "hub": "pretrained weights of the hub",
}
HEADS = {
    "LinearProbe": "a linear layer on the mean of a map",
    "CellProbe": "a linear layer on the cell's size and the spread of a map inside it",
    "FullyConnected": "one hidden layer on the mean of a map",
}
ESTIMATORS = {
    "gao_svm": "an SVM whose settings a search within the training side finds",
    "logistic": "a logistic regression",
    "rbf_svm": "an SVM with a radial kernel",
    "selected_svm": "an SVM with a radial kernel on the features that a random forest selects",
}


def stages(config: DictConfig) -> list[str]:
    """The steps by which an image is prepared, in their order; those left out are not there."""
    found = []
    for name in ("smooth", "equalize", "segment"):
        step = config.pipeline.get(name)
        if step is not None:
            target = str(step["_target_"])
            told = WIENERS.get(step.get("mode", "spectral")) if target == WIENER else None
            found.append(told or STEPS.get(target, last(target)))
    return found


def cropped(config: DictConfig) -> str:
    """What of the prepared image a network sees."""
    crop = config.crop
    if not str(crop["_target_"]).endswith(".crop.crop"):
        return f"what {last(crop['_target_'])} makes of it"
    window = crop.get("window")
    width = f"of {window:g} px round it" if window else "fitted to it"
    kind = (crop.get("keep", "cell"), bool(crop.get("cut", True)))
    text = CROPS[kind].format(window=width)
    return text.replace("round it", "round the cell").replace("fitted to it", "fitted to the cell")


def uses_mask(config: DictConfig) -> bool:
    """Whether what is segmented reaches the model, and is not measured alone."""
    if is_measured(config) or not str(config.crop["_target_"]).endswith(".crop.crop"):
        return True
    return (config.crop.get("keep", "cell"), config.crop.get("cut", True)) != ("everything", False)


def backbone(config: DictConfig) -> str:
    """The backbone, what it knew before, and what of it was trained."""
    found = config.model.backbone
    weights = WEIGHTS.get(found.weights, f"weights of the file {Path(str(found.weights)).name}")
    trained = found.get("train_last", 0)
    if "estimator" in config.model or trained == 0:
        part = "frozen"
    elif trained == "all":
        part = "trained as a whole"
    else:
        part = f"its last {trained} pieces trained, the others frozen"
    return f"{found.name} ({weights}; {part})"


def head(config: DictConfig) -> str:
    """The head of a network."""
    found = config.model.head
    kind = last(found["_target_"])
    if kind != "ACRNN":
        return HEADS.get(kind, kind)
    if not found.get("recurrent", True):
        return "the paper's head without its Bi-GRU and attention: the mean over the regions"
    if not found.get("attention", True):
        return "convolutional recurrent network (ACRNN without its attention)"
    return "attention convolutional recurrent network (ACRNN)"


def model(config: DictConfig) -> str:
    """What decides, and from what."""
    if "head" in config.model:
        return f"{backbone(config)} → {head(config)}"
    kind = last(config.model.estimator["_target_"])
    estimator = ESTIMATORS.get(kind, kind)
    if is_measured(config):
        measure = last(config.model.inputs.measure["_target_"])
        return f"numbers measured on the segmented cell ({measure}) → {estimator}"
    return f"{backbone(config)}, the mean of its last map → {estimator}"


def steps(evidence: Evidence) -> str:
    """From the image to the decision, one arrow a step."""
    configs = {text: name for name, text in reversed(_models(evidence.run))}
    config = evidence.run.experiment.config
    done = ["Image", *stages(config)]
    if not is_measured(config):
        done.append(cropped(config))
    if len(configs) == 1:
        chain = " → ".join([*done, next(iter(configs))]) + "."
    else:
        each = "; ".join(f"{name}: {text}" for name, text in _models(evidence.run))
        chain = " → ".join([*done, f"what validation chose ({each})"]) + "."
    if not uses_mask(config):
        chain += " The segmentation is measured, but the model does not see it."
    return f"{chain} {views(config)}".strip()


def _models(run: Run) -> list[tuple[str, str]]:
    """(name, model) of each fit, with what its validation chose."""
    experiment, found = run.experiment, []
    for fit in run.fits:
        try:
            config = experiment.tuned(fit.tuned).config if fit.tuned else experiment.config
        except UserError:
            config = experiment.config
        found.append((fit.name, model(config)))
    return found


def views(config: DictConfig) -> str:
    """How many views of a cell there are in training and in testing."""
    if "head" not in config.model:
        return ""
    training, parts = config.training, []
    if training.views > 1:
        parts.append(f"A training cell was shown in {training.views} views ({_augment(config)})")
    if training.test_views > 1:
        parts.append(f"a probability is the mean over {training.test_views} views of the cell")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:] + "." if text else ""


def _augment(config: DictConfig) -> str:
    """By what the views differ."""
    return f"by {last(config.augment['_target_'])}, see the settings"


def selection(evidence: Evidence) -> str:
    """By what the weights and settings were chosen."""
    config, run = evidence.run.experiment.config, evidence.run
    best = "the best macro precision on validation (eqs 10-11), ties by macro F1"
    tried = len(config.get("tune") or [])
    parts = []
    if tried > 1:
        parts.append(f"Of {tried} settings each fold kept the one with {best}.")
    if "head" in config.model:
        parts.append(f"The checkpoint of every network is the epoch with {best}.")
    elif tried <= 1:
        parts.append("Nothing was chosen on validation.")
    if config.get("pruner"):
        parts.append(f"A pruner may have ended the run early: {len(run.fits)} fits are here.")
    return " ".join(parts)


def tested(evidence: Evidence) -> str:
    """How often the test part was looked at, as far as the run knows it."""
    run = evidence.run
    if not all(fit.trained for fit in run.fits):
        return _evaluated(run)
    counts = [fit.tested for fit in run.fits]
    thing, these = ("network", "networks") if run.experiment.is_network else _ESTIMATOR
    if None in counts or 0 in counts:
        return "How often the test part was predicted is not recorded in this run."
    if set(counts) == {1}:
        many = f"once by each of the {len(counts)} {these} that test on it"
        return "In this run the test part was predicted " + (
            f"once, by the chosen {thing}." if len(counts) == 1 else f"{many}."
        )
    again = ", ".join(f"{f.name} {f.tested} times" for f in run.fits if (f.tested or 0) > 1)
    return (
        "In this run the test part was predicted more than once, as a run that is interrupted "
        f"while it tests does it again ({again}); the chosen checkpoints stayed the same."
    )


_ESTIMATOR = ("estimator", "estimators")


def _evaluated(run: Run) -> str:
    number = len({fit.checkpoint for fit in run.fits})
    by = "1 checkpoint that was" if number == 1 else f"{number} checkpoints that were"
    if run.predictions["side"].ne("test").any():
        return (
            f"An evaluation by {by} trained before: these test cells had been predicted in that "
            "run, and were here once more."
        )
    return (
        f"An evaluation by {by} trained before, of cells that they have not seen, each by those "
        "that have not seen its patient. Whether these cells were looked at before is not recorded."
    )


def pooled(run: Run) -> str:
    """How the predictions of several networks are counted."""
    thing, these = ("network", "networks") if run.experiment.is_network else _ESTIMATOR
    if len(run.fits) == 1:
        return f"One {thing}."
    text = f"{len(run.fits)} {these}: "
    if run.predictions["side"].ne("test").any():
        text += f"training and validation cells count once for each {thing} that had them, "
    most = int(run.test["networks"].max())
    if most == 1:
        return f"{text}a test cell once, by the one {thing} that tests it."
    known = "its patient's cells" if not run.by_image else "it"
    return (
        f"{text}a test cell once, by the mean of the up to {most} that were not fitted on {known}."
    )


def seen(evidence: Evidence) -> str:
    """What the second picture of a cell shows."""
    if is_measured(evidence.run.experiment.config):
        return "the prepared image that was measured"
    return f"what {evidence.model} saw"


def last(target: Any) -> str:
    """The name at the end of a path of names."""
    return str(target).rpartition(".")[2]
