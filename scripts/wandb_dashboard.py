"""Lay a W&B project out: python -m scripts.wandb_dashboard --entity TEAM [--project oadls]

Saves a view with the sections Sweep, Curves, Validation, Test and Cells, and prints its address.
Needs a key (`wandb login`) and: pip install -e ".[dashboard]". `--print` shows without either
network or key, as JSON, what would be saved. `--sweep` names the file of conf/sweep whose
parameters are laid out.
"""

import argparse
import sys
from pathlib import Path

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from hydra import compose, initialize_config_dir
from wandb_workspaces import expr

from oadls.errors import UserError
from oadls.report.results import HEADLINE
from oadls.report.terminal import FLOORS
from oadls.settings import project_root, wandb_offline

FITNESS = wr.SummaryMetric("fitness")
CURVES = ("train/loss", "val/loss", "train/accuracy", "val/fitness", "val/precision", "val/auroc")
FIGURES = ("samples", "mistakes", "saliency_wrong", "saliency_right")
SHOWN = 100  # runs in a panel
CONFUSION = ("Actual", "Predicted", "nPredictions")


def dashboard(entity: str, project: str, parameters: dict[str, str]) -> ws.Workspace:
    """The view of a project.

    parameters : what a sweep searches, setting -> how
    """
    return ws.Workspace(
        entity=entity,
        project=project,
        name="oadls",
        sections=[
            ws.Section(name="Sweep", panels=sweep_panels(parameters), is_open=True),
            ws.Section(name="Curves", panels=[curve(name) for name in CURVES], is_open=True),
            ws.Section(name="Validation", panels=[wr.ScalarChart(metric=FITNESS), *charts("val")]),
            ws.Section(name="Test", panels=[*map(score, HEADLINE), *charts("test")], is_open=True),
            ws.Section(name="Cells", panels=cell_panels()),
        ],
        settings=ws.WorkspaceSettings(max_runs=SHOWN),
        runset_settings=ws.RunsetSettings(
            order=[expr.Ordering(expr.Summary("fitness"), ascending=False)],
            pinned_columns=["summary:fitness", "summary:test/precision", "summary:test/auroc"],
        ),
    )


def sweep_panels(parameters: dict[str, str]) -> list:
    """Which parameters make a trial fit: all at once, one at a time, by importance, in time."""
    columns = [
        wr.ParallelCoordinatesPlotColumn(metric=wr.Config(name), log="tag(log" in how or None)
        for name, how in parameters.items()
    ]
    columns.append(wr.ParallelCoordinatesPlotColumn(metric=FITNESS))
    scatters = [
        wr.ScatterPlot(x=wr.Config(name), y=FITNESS, log_x="tag(log" in how or None)
        for name, how in parameters.items()
        if "interval" in how
    ]
    return [
        wr.ParallelCoordinatesPlot(title="Parameters and fitness", columns=columns),
        wr.ParameterImportancePlot(with_respect_to="fitness"),
        wr.ScatterPlot(title="Fitness by trial", x=wr.Config("trial"), y=FITNESS),
        *scatters,
    ]


def curve(name: str) -> wr.LinePlot:
    """A curve by epoch, of the one network of a run or of each of several."""
    return wr.LinePlot(title=name, x="epoch", metric_regex=f"^(.+/)?{name}$")


def score(name: str) -> wr.BarPlot:
    """A test score between the ends of its interval, above what is trivial."""
    test = [wr.SummaryMetric(f"test/{name}{end}") for end in ("_low", "", "_high")]
    floors = [wr.SummaryMetric(f"floors/{floor}/{name}") for floor in FLOORS]
    return wr.BarPlot(title=f"Test {name}, its interval, the floors", metrics=[*test, *floors])


def charts(side: str) -> list[wr.CustomChart]:
    """Confusion matrix, precision-recall and ROC curves of a side, as they were logged."""
    matrix = wr.CustomChart.from_table(
        f"{side}/confusion_matrix_table",
        chart_fields={name: name for name in CONFUSION},
        chart_strings={"title": f"Confusion matrix, {side}"},
    )
    matrix.chart_name = "wandb/confusion_matrix/v1"
    curves = {"pr": ("Precision-recall", "recall", "precision"), "roc": ("ROC", "fpr", "tpr")}
    found = [matrix]
    for name, (title, x, y) in curves.items():
        panel = wr.CustomChart.from_table(
            f"{side}/{name}_table",
            chart_fields={"x": x, "y": y, "class": "class"},
            chart_strings={"title": f"{title}, {side}", "x-axis-title": x, "y-axis-title": y},
        )
        panel.chart_name = "wandb/area-under-curve/v0"
        found.append(panel)
    return found


def cell_panels() -> list:
    """Cells with what the network saw, all predictions, figures of the report."""
    return [
        wr.WeavePanelSummaryTable(table_name="test/cells"),
        wr.WeavePanelSummaryTable(table_name="test/predictions"),
        *(wr.MediaBrowser(title=name, media_keys=[f"figures/{name}"]) for name in FIGURES),
    ]


def searched(sweep: str) -> dict[str, str]:
    """What a file of conf/sweep searches, setting -> how; UserError when there is no such file."""
    file = Path(project_root(), "conf", "sweep", f"{sweep}.yaml")
    if not file.is_file():
        raise UserError(f"--sweep: a file of conf/sweep, there is no {file}")
    with initialize_config_dir(str(file.parents[1]), version_base=None):
        composed = compose("train", overrides=[f"+sweep={sweep}"], return_hydra_config=True)
    params = dict(composed.hydra.sweeper.params)
    return {name: how for name, how in params.items() if "/" not in name}  # a group has no value


def saved(workspace: ws.Workspace) -> str:
    """What `save` sends, as JSON."""
    view = workspace._model.spec
    return view.model_dump_json(by_alias=True, exclude_none=True, indent=2)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.wandb_dashboard")
    parser.add_argument("--entity", required=True, help="user or team")
    parser.add_argument("--project", default="oadls")
    parser.add_argument("--sweep", default="rmsprop", help="a file of conf/sweep")
    parser.add_argument("--print", action="store_true", help="print, do not save")
    wanted = parser.parse_args(arguments)
    try:
        workspace = dashboard(wanted.entity, wanted.project, searched(wanted.sweep))
        if wanted.print:
            print(saved(workspace))
            return 0
        if wandb_offline():
            raise UserError("W&B: a view is saved on its server; no key, try `wandb login`")
    except UserError as error:
        print(f"oadls: {error}", file=sys.stderr)
        return 1
    workspace.save()  # prints its address
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
