"""Does ending hopeless trials early pay? python -m scripts.replay_pruners SWEEP [SWEEP ...]

SWEEP : folder of a sweep that was trained without a pruner (pruner=null), so that its trials have
whole curves. They are drawn in random orders, with replacement, to studies of 50 trials, which
Optuna's pruners judge. Prints for each: epochs as a share of all, how much worse the winner is than
the best curve drawn, trials that reach the last epoch.
"""

import sys
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from optuna.pruners import BasePruner, MedianPruner, SuccessiveHalvingPruner
from rich.console import Console
from rich.table import Table

TRIALS, ORDERS = 50, 100
PRUNERS: dict[str, BasePruner] = {
    **{
        f"successive halving, from epoch {first}, 1 of {factor}": SuccessiveHalvingPruner(
            min_resource=first, reduction_factor=factor
        )
        for first in (1, 2, 3)
        for factor in (2, 3)
    },
    **{
        f"median, from epoch {first}": MedianPruner(n_startup_trials=5, n_warmup_steps=first)
        for first in (2, 4)
    },
}


def read_curves(folders: list[Path]) -> np.ndarray:
    """(T, E) best validation fitness so far of each trial and epoch; equal curves count once."""
    files = [file for folder in folders for file in folder.glob("trial-*/folds/*-history.csv")]
    curves = [pd.read_csv(file)["val/fitness"].cummax().to_numpy() for file in sorted(files)]
    longest = max(map(len, curves))
    return np.unique([curve for curve in curves if len(curve) == longest], axis=0)


def replay(curves: np.ndarray, pruner: BasePruner, order: np.ndarray) -> tuple[int, float, int]:
    """Epochs trained, best fitness of a trial that reached the last epoch, how many did."""
    study = optuna.create_study(direction="maximize", pruner=pruner)
    epochs, finished = 0, []
    for row in order:
        trial = study.ask()
        for step, value in enumerate(curves[row], start=1):
            epochs += 1
            trial.report(value, step)
            if step < len(curves[row]) and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, curves[row, -1])
            finished.append(curves[row, -1])
    return epochs, max(finished), len(finished)


def main(folders: list[Path]) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    curves = read_curves(folders)
    table = Table("pruner", "epochs", "regret, mean", "regret, most", "to the end")
    for name, pruner in PRUNERS.items():
        rng, found = np.random.default_rng(0), []
        for _ in range(ORDERS):
            order = rng.integers(len(curves), size=TRIALS)
            epochs, best, ended = replay(curves, pruner, order)
            regret = curves[order, -1].max() - best
            found.append((epochs / (TRIALS * curves.shape[1]), regret, ended))
        share, regret, ended = np.array(found).T
        texts = (f"{share.mean():.2f}", f"{regret.mean():.4f}", f"{regret.max():.3f}")
        table.add_row(name, *texts, f"{ended.mean():.0f} of {TRIALS}")
    console = Console()
    console.print(f"{len(curves)} different curves of {curves.shape[1]} epochs")
    console.print(table)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
