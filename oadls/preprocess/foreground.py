"""Where an image holds picture, and where it is only the black around a cut-out cell."""

import cv2
import numpy as np

LEAST_SHARE = 0.05  # of the image: less black than this at the border is dark picture, no surround
NOISE = 14  # levels of gray that lossy encoding leaves in what was black; cells are brighter
LIFTED = (
    3  # levels by which rounding in JPEG makes all of the black brighter, at quality 8 and more
)
LEAST_RING = 0.75  # px of such noise along the outline, from which an image was encoded with loss
LEAST_CELL = 0.2  # of what is not black: where less is brighter than noise, it is a dark picture
SPECK = 0.01  # of the largest piece: smaller ones are noise too
SQUARE = np.ones((3, 3), np.uint8)


def find_foreground(image: np.ndarray) -> np.ndarray:
    """Find the picture of a cell that was cut out on black, such as those of C-NMC.

    The surround is the exactly black area connected to the border (by edges), when it covers 5 %
    of the image or more. Black inside the cell is picture. An ordinary image, and one that is all
    black, is picture everywhere.

    JPEG and its like make some black 1 to 3 levels bright, all of it alike, which then is the
    surround, and leave noise beside the cell, a ring 2 to 5 px wide. Where there is such a ring,
    the surround reaches to where the image is brighter than it. On 60 cells of C-NMC saved as JPEG
    of quality 60 to 95, with the colours at full and at half size, the area is then that of the
    lossless cell within 1.4 %, by half of it in the mean; it was 8 to 17 % larger, or the whole
    image. The dark rims of all 3,598 lossless cells are at most 0.51 px wide: they stay.

    image : (H, W, 3) uint8 RGB
    returns (H, W) bool, with at least one True
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"find_foreground: the image must be (H, W, 3) uint8 RGB, "
            f"got {image.shape} {image.dtype}"
        )
    black = _find_black(image)
    if LEAST_SHARE * black.size > np.count_nonzero(black) or black.all():
        return np.ones(black.shape, dtype=bool)
    surround = reached_from_border(black)
    if np.count_nonzero(surround) < LEAST_SHARE * black.size:
        return np.ones(black.shape, dtype=bool)
    return ~_without_noise(image, surround)


def blacken(image: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """The (H, W, 3) uint8 image, exactly black outside its foreground."""
    if foreground.all():
        return image
    return cv2.bitwise_and(image, image, mask=foreground.view(np.uint8))


def _find_black(image: np.ndarray) -> np.ndarray:
    """(H, W) bool: what is exactly black or, where that is little, of the border's near-black."""
    black = cv2.inRange(image, (0, 0, 0), (0, 0, 0)) != 0  # (H, W)
    if np.count_nonzero(black) >= LEAST_SHARE * black.size:
        return black
    rim = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])  # (2 (H + W), 3)
    grays = rim[(rim.max(axis=1) <= LIFTED) & (np.ptp(rim, axis=1) == 0), 0]
    level = int(np.bincount(grays, minlength=1).argmax())
    return cv2.inRange(image, (level,) * 3, (level,) * 3) != 0 if level else black


def _without_noise(image: np.ndarray, surround: np.ndarray) -> np.ndarray:
    """The surround with the ring of noise that lossy encoding left of it, if there is one."""
    dim = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) < NOISE  # (H, W); colours bleed farther
    outline = cv2.dilate(surround.view(np.uint8), SQUARE).view(bool) & ~surround
    enough = LEAST_RING * np.count_nonzero(outline)
    if np.count_nonzero(dim & ~surround) < enough:
        return surround
    wider = reached_from_border(dim | surround)
    picture, cell = np.count_nonzero(~surround), np.count_nonzero(~wider)
    if picture - cell < enough or cell < LEAST_CELL * picture:
        return surround
    _, pieces, facts, _ = cv2.connectedComponentsWithStats((~wider).view(np.uint8), connectivity=4)
    areas = facts[:, cv2.CC_STAT_AREA]
    areas[0] = 0  # of the surround
    return ~(areas >= SPECK * areas.max())[pieces]


def reached_from_border(region: np.ndarray) -> np.ndarray:
    """The parts of an (H, W) bool region that hold a pixel of the border, joined by edges."""
    ground = cv2.copyMakeBorder(region.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    if max(ground.shape) < 1 << 16:  # floodFill counts rows and columns in 16 bits
        cv2.floodFill(ground, None, (0, 0), 2)  # the added rim of 1 px leads to all of them
        return ground[1:-1, 1:-1] == 2
    _, areas = cv2.connectedComponents(ground, connectivity=4)
    return areas[1:-1, 1:-1] == areas[0, 0]


def bounding_box(mask: np.ndarray, *, margin: int = 0) -> tuple[slice, slice]:
    """The smallest box of rows and columns that holds an (H, W) bool mask, which is not empty.

    margin : px to add on every side, as far as the image goes
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return (
        slice(max(0, y - margin), y + height + margin),
        slice(max(0, x - margin), x + width + margin),
    )
