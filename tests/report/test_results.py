"""What a run says of its own uncertainty."""

import pandas as pd
import pytest

from oadls.report.results import scored_with_interval


@pytest.mark.parametrize(("tested", "unit"), [([0, 1], "a patient"), ([0, 1, 2], "an image")])
def test_the_unit_of_the_interval_is_that_of_the_cells_tested(tested: list[int], unit: str) -> None:
    table = pd.DataFrame({"patient": ["A", "B", None], "group": ["A", "B", "picture"]})
    test = pd.DataFrame(
        {
            "row": tested,
            "label": [0, 1, 1][: len(tested)],
            "probability_0": 0.4,
            "probability_1": 0.6,
        }
    )
    found = scored_with_interval(test, table, ["normal", "all"])
    assert found["uncertainty"]["unit"].startswith(unit)
