import pytest
import torch

from oadls.model.acrnn import ACRNN
from oadls.model.planes import PyramidPlane
from scripts.bench import growth, store
from scripts.bench.head import same_gradients, without_dropout
from scripts.bench.plain_acrnn import PlainACRNN
from scripts.bench.table import Row, Timing, alternate, as_markdown, ratio


def row(figure, aim=2.0, **more):
    return Row(what="ours", reference="theirs", figure=figure, unit="×", aim=aim, **more)


def test_an_aim_is_met_on_its_good_side_and_only_with_equal_results():
    assert row(2).met
    assert not row(1.99).met
    assert row(2, at_most=True).met
    assert not row(2.01, at_most=True).met
    assert not row(3, checks={"same masks": False}).met
    assert "FAILED CHECK: same masks" in row(3, checks={"same masks": False}).notes
    assert not row(float("nan")).met


def test_the_last_lines_are_the_table():
    rows = [row(1, why="it is slow"), row(3)]
    *notes, first, second = as_markdown(rows).splitlines()
    assert (first.split(" | ")[-1], second.split(" | ")[-1]) == ("NO |", "yes |")
    assert "- ours: it is slow" in notes


def test_ratio_is_taken_round_by_round():
    assert ratio(Timing([2.0, 20.0, 2.0]), Timing([1.0, 10.0, 0.5])) == 2


def test_every_round_times_everything_in_turn():
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in "ab"}
    timings = alternate(runs, repeats=2)
    assert calls == ["a", "b"] * 3
    assert [len(timing.seconds) for timing in timings.values()] == [2, 2]


def test_growth_is_the_slope_and_memory_the_worst_step():
    assert growth.growth_row("epoch", (10, 100, 1000), [1.0, 10.0, 100.0]).figure == pytest.approx(
        1
    )
    assert not growth.growth_row("epoch", (10, 100, 1000), [1.0, 10.0, 150.0]).met
    assert growth.memory_row((10, 100, 1000), [100.0, 110.0, 143.0]).figure == pytest.approx(1.3)


def test_the_plain_acrnn_has_the_same_gradients():
    torch.manual_seed(0)
    sizes = ((12, 12), (6, 6))
    model = without_dropout(ACRNN(channels=(4, 8), sizes=sizes, classes=2, plane=PyramidPlane))
    maps = (torch.randn(4, 4, 12, 12), torch.randn(4, 8, 6, 6))
    checks = same_gradients(model, PlainACRNN(model), maps, torch.tensor([0, 1, 1, 0]))
    exact = [holds for name, holds in checks.items() if name.startswith("float64")]
    assert exact == [True], checks


def test_store_reads_what_was_written():
    rows = store.measure(records=20, repeats=1)
    assert all(all(row.checks.values()) for row in rows)


@pytest.mark.usefixtures("own_cache")
def test_every_step_of_growth_is_timed():
    found = growth.run(300)
    assert set(found["seconds"]) == set(growth.STEPS)
    assert found["peak_mb"] > 100
