"""What every preprocessing step demands of the arrays that it is given."""

import numpy as np


def check_image(image: np.ndarray, *, step: str) -> None:
    """Refuse anything but an (H, W, 3) floating image; 8-bit input would be scaled silently."""
    if image.ndim != 3 or image.shape[2] != 3 or not np.issubdtype(image.dtype, np.floating):
        raise ValueError(
            f"{step}: the image must be (H, W, 3) float RGB in [0, 1], "
            f"got {image.shape} {image.dtype}"
        )


def check_foreground(foreground: np.ndarray, image: np.ndarray, *, step: str) -> None:
    """Refuse a foreground that is not an (H, W) bool mask of the image."""
    if foreground.shape != image.shape[:2] or foreground.dtype != bool:
        raise ValueError(
            f"{step}: the foreground must be {image.shape[:2]} bool, "
            f"got {foreground.shape} {foreground.dtype}"
        )
