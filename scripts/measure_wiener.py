"""How well the Wiener modes clean real cells: python scripts/measure_wiener.py (OADLS_DATA_DIR).

PSNR in dB against the image as it is, over twelve images of each set, after adding Gaussian noise
of sigma 0, 5 and 10 of 255; cut-out cells count inside the cell only.
"""

import os
from pathlib import Path

import numpy as np

from oadls.data.read import read_image
from oadls.preprocess.foreground import find_foreground
from oadls.preprocess.wiener import wiener

SETS = {"C-NMC": "c-nmc", "ALL-IDB2": "all-idb2/images", "wbc-jtsc": "wbc-jtsc/images"}
NOISE, IMAGES = (0, 5, 10), 12


def psnr(image: np.ndarray, truth: np.ndarray, foreground: np.ndarray) -> float:
    error = np.mean((image[foreground] - truth[foreground]) ** 2)
    return float(-10 * np.log10(max(error, 1e-12)))


def main() -> None:
    root = Path(os.environ["OADLS_DATA_DIR"])
    rng = np.random.default_rng(0)
    print(f"{'set':10} {'mode':9}" + "".join(f"  sigma {sigma:2d}" for sigma in NOISE))
    for name, folder in SETS.items():
        files = sorted(
            file for end in ("png", "webp") for file in (root / folder).rglob(f"*.{end}")
        )
        found: dict[str, list[list[float]]] = {"noisy": [], "spectral": [], "local": []}
        for file in files[:: len(files) // IMAGES][:IMAGES]:
            pixels = read_image(file)
            foreground = find_foreground(pixels)
            truth = pixels.astype(np.float32) / 255
            rows: dict[str, list[float]] = {mode: [] for mode in found}
            for sigma in NOISE:
                noise = rng.normal(0, sigma / 255, truth.shape) * foreground[..., None]
                noisy = np.clip(truth + noise, 0, 1).astype(np.float32)
                rows["noisy"].append(psnr(noisy, truth, foreground))
                for mode in ("spectral", "local"):
                    cleaned = wiener(noisy, foreground=foreground, mode=mode)
                    rows[mode].append(psnr(cleaned, truth, foreground))
            for mode, row in rows.items():
                found[mode].append(row)
        for mode, table in found.items():
            means = np.mean(table, axis=0)
            print(f"{name:10} {mode:9}" + "".join(f"  {value:8.1f}" for value in means))


if __name__ == "__main__":
    main()
