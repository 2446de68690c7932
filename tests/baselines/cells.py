"""Small cells for the tests of the classical rows."""

import numpy as np

from oadls.data.synthetic import draw_cell, draw_patient


def grainy_cell(*, side=40, corner=(6, 9), height=22, width=19, seed=0):
    """A nucleus above a cytoplasm, both of noise, on noise of another kind."""
    rng = np.random.default_rng(seed)
    image = np.random.default_rng(seed + 1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    mask = np.zeros((side, side), np.uint8)
    top, left = corner
    inside = rng.integers(40, 160, (height, width, 3), dtype=np.uint8)
    codes = np.where(rng.random((height, width)) < 0.9, 255, 128).astype(np.uint8)
    codes[height // 2 :] = 128
    image[top : top + height, left : left + width] = inside
    mask[top : top + height, left : left + width] = codes
    return image, mask


def drawn_cells(*, patients=12, each=5, size=64):
    """Images and masks of drawn cells, labels (N,) 0 or 1, patients (N,)."""
    pictures, labels, owners = [], [], []
    for patient in range(patients):
        slide = draw_patient(rng=np.random.default_rng([7, patient]))
        for cell in range(each):
            rng = np.random.default_rng([7, patient, cell])
            label = ("all", "normal")[patient % 2]
            pictures.append(draw_cell(patient=slide, label=label, size=size, rng=rng))
            labels.append(patient % 2)
            owners.append(patient)
    return pictures, np.array(labels), np.array(owners)
