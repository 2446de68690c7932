"""Views of a cell that a microscope could have given: turned, mirrored, stained, lit, focused."""

import functools

import albumentations as A
import numpy as np


def augment(
    image: np.ndarray,
    *,
    view: int,
    seed: int = 0,
    hue: float = 0.0,
    saturation: float = 0.0,
    brightness: float = 0.0,
    contrast: float = 0.0,
    focus: float = 0.0,
) -> np.ndarray:
    """One view of a cell. The same view and seed give the same picture.

    image : (S, S, 3) uint8 RGB
    view : 0 is the image itself; view % 8 is the right-angle turn and mirror image; each view
        but the first also has its own stain, light and focus
    hue, saturation, brightness, contrast : largest change, as a fraction of the full range
    focus : largest sigma of the defocus, px
    returns (S, S, 3) uint8; exact black (outside a cut-out cell) stays black
    """
    if view == 0:
        return image
    shown = dihedral(image, view % 8)
    chain = _stain(hue, saturation, brightness, contrast, focus)
    if chain is not None:
        chain.set_random_seed((seed * 1_000_003 + view) % 2**32)
        black = ~shown.any(axis=-1)
        shown = chain(image=shown)["image"]
        shown[black] = 0
    return np.ascontiguousarray(shown)


def dihedral(image: np.ndarray, element: int) -> np.ndarray:
    """(S, S, ...) -> one of its eight right-angle turns and mirror images; 0 is the identity."""
    turned = np.rot90(image, element % 4)
    return turned if element < 4 else turned[:, ::-1]


@functools.lru_cache(maxsize=8)
def _stain(
    hue: float, saturation: float, brightness: float, contrast: float, focus: float
) -> A.Compose | None:
    steps: list[A.BasicTransform] = []
    if hue or saturation or brightness or contrast:
        steps.append(
            A.ColorJitter(
                brightness=brightness, contrast=contrast, saturation=saturation, hue=hue, p=1.0
            )
        )
    if focus:
        steps.append(A.GaussianBlur(blur_limit=0, sigma_limit=(0.0, focus), p=0.5))
    return A.Compose(steps) if steps else None
