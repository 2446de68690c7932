"""Drawn smears of drawn patients: the embedded data set, no download.

`load` writes it below a folder and returns its table; `draw_cell` draws one picture.
It exists so that every step runs anywhere, in tests and on a first try. It is no evidence
about leukemia: nothing learned here carries over to a patient.
"""

from oadls.data.synthetic.biology import LABELS
from oadls.data.synthetic.patient import Patient, draw_patient
from oadls.data.synthetic.picture import draw_cell
from oadls.data.synthetic.table import load

__all__ = ["LABELS", "Patient", "draw_cell", "draw_patient", "load"]
