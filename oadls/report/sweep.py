"""report.html of a sweep: what the search found, how optimistic it is, what it gained."""

from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from oadls.metrics import precision_of
from oadls.report.builder import Page, interval_text
from oadls.report.sweep_figures import (
    plot_front,
    plot_importances,
    plot_parallel,
    plot_search,
    plot_slices,
    setting_text,
    short,
)
from oadls.sweep.confirm import Confirmation, touched
from oadls.sweep.folder import ENDED, Search, Sweep
from oadls.sweep.ready import command_for

SCORES = ("precision", "accuracy", "sensitivity", "specificity", "f1", "auroc")


def write_sweep_report(sweep: Sweep, confirmed: Confirmation | None, ready: Sequence[Path]) -> Path:
    """Write report.html, figures/, tables/ in the sweep's folder; returns the page.

    confirmed : best trial and defaults on the test part; None where it was left alone
    ready : the experiment of each search
    """
    page = Page(sweep.folder)
    page.section("gain", "What the search gained")
    if confirmed is None:
        page.note("The test part was left alone (seeds=0): nothing here says what was gained.")
    else:
        write_gain(page, sweep, confirmed)
    for search in sweep.searches:
        write_search(page, sweep, search)
    return _finish(page, sweep, ready)


def write_front_report(sweep: Sweep, ready: Sequence[Path]) -> Path:
    """The report of a sweep with several aims: its Pareto front, of which the reader chooses."""
    page = Page(sweep.folder)
    page.section("front", "What can be had at what price")
    page.note(
        "The test part was left alone: choose a trial by this page, then test it once.", "info"
    )
    for search in sweep.searches:
        tail = "" if search.fold is None else f"-fold_{search.fold}"
        trials = aim_table(search, sweep.aims, list(sweep.facts.searched))
        front = trials[trials["on_front"]].drop(columns="on_front").sort_values(sweep.aims[0])
        page.figure(
            f"front{tail}",
            plot_front(trials, sweep.aims),
            "Every trial; no other beats those on the line in one aim without losing in another.",
        )
        page.save_table(f"trials{tail}", trials)
        page.table(f"front{tail}", front, f"The Pareto front of {len(trials)} trials.", digits=4)
    return _finish(page, sweep, ready)


def aim_table(search: Search, aims: Sequence[str], searched: Sequence[str]) -> pd.DataFrame:
    """trial, a column for each aim, on_front, a column a setting; finished trials alone."""
    front = {trial.number for trial in search.front}
    return pd.DataFrame(
        {
            "trial": trial.number,
            **dict(zip(aims, trial.values, strict=True)),
            "on_front": trial.number in front,
            **{name: trial.params.get(name) for name in searched},
        }
        for trial in search.trials
        if trial.state == TrialState.COMPLETE
    )


def _finish(page: Page, sweep: Sweep, ready: Sequence[Path]) -> Path:
    page.section("use", "Use what was found")
    for file in ready:
        page.text(command_for(sweep.folder, file.stem))
    name, number = sweep.defaults.name, len(sweep.searches[0].trials)
    return page.write(
        title=f"{name}: search of hyper-parameters",
        subtitle=f"{number} trials on validation cells · split {sweep.facts.choices.split} · "
        f"written {datetime.now():%Y-%m-%d %H:%M} by oadls {version('oadls')}",
        footer="Research use only: no medical device, no diagnosis. Every table is in tables/ as "
        "CSV, every figure in figures/ as PNG and PDF, beside this page.",
    )


def write_gain(page: Page, sweep: Sweep, confirmed: Confirmation) -> None:
    """Test scores of best trial and defaults, their difference, and the optimism of the winner."""
    best = float(np.mean([precision_of(search.study.best_value) for search in sweep.searches]))
    tuned, default = confirmed.tests
    gain = confirmed.difference["difference"]["precision"]
    page.tiles(
        [
            (
                "best on validation",
                f"{best:.3f}",
                "macro precision of the winner, as the search saw it",
            ),
            (
                "the same on test",
                f"{tuned['precision']:.3f}",
                f"95 % interval {interval_text(tuned['intervals']['precision'])}",
            ),
            (
                "gain over the defaults",
                f"{gain['value']:+.3f}",
                f"95 % interval {interval_text(gain['interval'])}, p = {gain['p']:.2f}",
            ),
        ]
    )
    page.text(verdict(gain, best - tuned["precision"]))
    seeds = len(confirmed.tuned.runs)
    page.table(
        "gain",
        pd.DataFrame([_gain_row(score, tuned, default, confirmed) for score in SCORES]),
        f"Test scores of {seeds} networks a choice (seeds) on the same "
        f"{tuned['cells'] // seeds} cells, none of which the search saw. Intervals and p resample "
        f"{confirmed.unit}. On the same cells: {floors_text(confirmed)}.",
    )
    page.table(
        "optimism",
        optimism_table(best, confirmed),
        "Optimism of the winner: the best of many is partly the luckiest. Trained anew with other "
        "seeds it may fall back on validation already; the test part has not been chosen on.",
    )
    looks = touched(sweep)
    if len(looks) > len(sweep.searches):
        page.note(
            f"The test part has been scored for more than one winner ({', '.join(looks)}): "
            "the last one is no longer blind.",
            "alarm",
        )


def verdict(gain: dict, optimism: float) -> str:
    """One sentence on the gain, which interval and p must agree on, one on the optimism."""
    low, high = gain["interval"] or (-1.0, 1.0)
    if gain["p"] >= 0.05 or low <= 0 <= high:
        first = "No gain over the defaults can be told from chance on cells that it had not seen."
    elif low > 0:
        first = "The search helped on cells that it had not seen."
    else:
        first = "The search did harm on cells that it had not seen: keep the defaults."
    side = "above" if optimism > 0 else "below"
    return f"{first} The winner's validation score stood {abs(optimism):.3f} {side} its test score."


def floors_text(confirmed: Confirmation) -> str:
    """Macro precision of the trivial baselines, the mean over the outer folds."""
    folds = [metrics["floors"] for metrics in confirmed.defaults.metrics[0]]
    means = {name: np.mean([fold[name]["precision"] for fold in folds]) for name in folds[0]}
    return ", ".join(f"{name.replace('_', ' ')} {mean:.3f}" for name, mean in means.items())


def optimism_table(best: float, confirmed: Confirmation) -> pd.DataFrame:
    """Macro precision: as searched, trained anew, tested; the last less the first."""
    tuned, default = (test["precision"] for test in confirmed.tests)
    anew = confirmed.tuned.validation, confirmed.defaults.validation
    return pd.DataFrame(
        {
            "choice": ["winner", "defaults"],
            "validation, as searched": [best, np.nan],  # the defaults were not searched
            "validation, trained anew": anew,
            "test": [tuned, default],
            "optimism": [best - tuned, anew[1] - default],
        }
    )


def _gain_row(score: str, tuned: dict, default: dict, confirmed: Confirmation) -> dict:
    found = confirmed.difference["difference"][score]
    return {
        "score": score if score == "accuracy" else f"macro {score}",
        "tuned": tuned[score],
        "tuned 95 %": interval_text(tuned["intervals"][score]),
        "defaults": default[score],
        "defaults 95 %": interval_text(default["intervals"][score]),
        "gain": found["value"],
        "gain 95 %": interval_text(found["interval"]),
        "p": found["p"],
    }


def write_search(page: Page, sweep: Sweep, search: Search) -> None:
    """What one study tried and chose."""
    fold = "" if search.fold is None else f" of outer fold {search.fold}"
    tail = "" if search.fold is None else f"-fold_{search.fold}"
    searched = list(sweep.facts.searched)
    trials = trial_table(search.trials, searched)
    importances, epochs = find_importances(search, searched)
    page.section(f"search{tail}", f"The search{fold}")
    counts = trials["state"].value_counts()
    page.text(
        f"{len(trials)} trials in {_minutes(trials)}: {counts.get('complete', 0)} to their last "
        f"epoch, {counts.get('pruned', 0)} ended early as hopeless, {counts.get('lost', 0)} lost."
    )
    page.table(
        f"chosen{tail}",
        pd.DataFrame(
            {
                "setting": short(name),
                "default": setting_text(sweep.default_value(name)),
                "chosen": setting_text(search.best.params[name]),
                "importance": importances.get(name, np.nan),
            }
            for name in searched
        ),
        f"Chosen: trial {search.best.number}. Importance: share of the variance of the fitness "
        f"after {epochs} epochs, which all trials reached, that a setting explains by itself "
        "(fANOVA, Hutter et al. 2014).",
    )
    ended = trials[trials["state"] != "lost"].reset_index(drop=True)
    page.figure(f"history{tail}", plot_search(ended), "Every trial, in turn.")
    if importances:
        page.figure(f"importances{tail}", plot_importances(importances), "What mattered.")
    page.figure(f"slices{tail}", plot_slices(ended, searched), "Each setting by itself.", wide=True)
    page.figure(
        f"parallel{tail}",
        plot_parallel(ended, searched),
        "A line a trial, darker the better; the winner in colour.",
        wide=True,
    )
    page.save_table(f"trials{tail}", trials)
    page.show_table(best_trials(trials, searched), "The best trials; tables/ has all.", digits=4)


def best_trials(trials: pd.DataFrame, searched: Sequence[str], *, most: int = 10) -> pd.DataFrame:
    """The first rows of a ranking, as a reader wants them."""
    rows = trials.sort_values("fitness", ascending=False, kind="stable").head(most)
    settings = {short(name): rows[name].map(setting_text) for name in searched}
    return rows.drop(columns=list(searched)).assign(
        seconds=rows["seconds"].round().astype("Int64"), **settings
    )


def trial_table(trials: Sequence[FrozenTrial], searched: Sequence[str]) -> pd.DataFrame:
    """trial, state (complete, pruned, lost), fitness, epochs, seconds, and a column a setting."""
    names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
    rows = []
    for trial in trials:
        ended, started = trial.datetime_complete, trial.datetime_start
        rows.append(
            {
                "trial": trial.number,
                "state": names.get(trial.state, "lost"),
                "fitness": trial.value if trial.value is not None else np.nan,
                "epochs": max(trial.intermediate_values, default=0),
                "seconds": (ended - started).total_seconds() if ended and started else np.nan,
                **{name: trial.params.get(name) for name in searched},
            }
        )
    return pd.DataFrame(rows)


def find_importances(search: Search, searched: Sequence[str]) -> tuple[dict[str, float], int]:
    """Share of variance each setting explains, largest first, and after how many epochs.

    Trials that were ended early count too: all are compared at the epoch that all reached.
    """
    ended = [trial for trial in search.trials if trial.state in ENDED and trial.intermediate_values]
    epochs = min((max(trial.intermediate_values) for trial in ended), default=0)
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it tells of every study that is made
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        optuna.create_trial(
            params=trial.params,
            distributions=trial.distributions,
            value=trial.intermediate_values[epochs],
        )
        for trial in ended
    )
    values = {trial.intermediate_values[epochs] for trial in ended}
    if len(values) < 2:
        return {}, epochs
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return optuna.importance.get_param_importances(
        study, evaluator=evaluator, params=list(searched)
    ), epochs


def _minutes(trials: pd.DataFrame) -> str:
    return f"{trials['seconds'].sum() / 60:.0f} min"
