"""python -m oadls.evaluate checkpoint=PATH [data=NAME]: metrics and predictions from a checkpoint.

Without `data` the cells of the training run are scored again on the sides that they had. With it,
other cells are: those of patients that the checkpoint has seen are left out.
"""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from oadls.commands import command
from oadls.evaluation import load_cards, predict_again, predict_new
from oadls.publish import publish_text
from oadls.ranks import agree, rank, together
from oadls.report.results import report_run
from oadls.run_folder import RunFolder
from oadls.training import make_trainer
from oadls.trust import trusting


def evaluate(cfg: DictConfig, folder: Path) -> dict[str, Any]:
    """Rebuild the metrics of a run, or measure its networks on other cells.

    Of several ranks all predict, and rank zero does the rest: the others return nothing
    """
    cards = load_cards(cfg.checkpoint)
    predict = predict_again if OmegaConf.select(cfg, "data") is None else predict_new
    run = predict(cards, cfg, folder)
    if rank() > 0:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    publish_text(folder / "config.yaml", OmegaConf.to_yaml(run.experiment.config))
    for fit in run.fits:
        RunFolder(folder).write_fit(fit, run.table, run.classes)
    return report_run(run, page=cfg.report)


@command("evaluate")
def main(cfg: DictConfig) -> None:
    with trusting(cfg.trust), together(make_trainer(cfg.trainer, logger=False)):
        evaluate(cfg, agree(Path(HydraConfig.get().runtime.output_dir)))


if __name__ == "__main__":
    main()
