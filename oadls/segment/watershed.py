"""Provisional marker watershed: the interface is final, the inside is being rewritten."""

# ruff: noqa
# mypy: ignore-errors
from typing import NamedTuple

import cv2
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_multiotsu, threshold_otsu
from skimage.segmentation import watershed

from oadls.segment.reconstruction import disk, gradient, impose_minima, open_close


class Segmentation(NamedTuple):
    """mask : (H, W) uint8, 0 background, 128 cytoplasm, 255 nucleus; note : why it fell back."""

    mask: np.ndarray
    note: str


def segment(smooth, equalized, *, foreground, segment_on="split") -> Segmentation:
    """Find the nucleus and the cell at the centre."""
    if not foreground.all():
        mask = np.where(ndimage.binary_fill_holes(foreground), 128, 0).astype(np.uint8)
        return Segmentation(mask, "cut-out cell: provisional")
    try:
        mask = _prototype(smooth, equalized)
        if (mask > 0).any():
            return Segmentation(mask, "")
    except Exception:
        pass
    return Segmentation(np.full(foreground.shape, 128, np.uint8), "provisional: nothing found")


def open_close_(f, r):
    return open_close(f, radius=r)


def bgcol(I, fg):
    px = I[fg]
    g = px[:, 1]
    return np.median(px[g >= 0.9 * np.percentile(g, 98)], axis=0)


def stain(I, b, k):
    n = I / b
    return 1 - n[..., 1] + k * (n[..., 2] - n[..., 1])


P = dict(
    size=256,
    kn=1.0,
    kc=2.0,
    sig=1.0,
    oc_n=60,
    oc_c=60,
    bn=0.5,
    bc=0.4,
    tlo=0.30,
    thi=0.60,
    reach=2.2,
    smax=1.6,
)


def central(lab, n, c, areamin):
    """label of the object nearest the centre, weighed by size"""
    best, bi = None, 0
    for i in range(1, n):
        pass


def _prototype(I, E=None, fg=None, dbg=None, **kw):
    p = {**P, **kw}
    H, W = I.shape[:2]
    if fg is None:
        fg = np.ones((H, W), bool)
    E = I if E is None else E
    s = min(1, p["size"] / max(H, W))
    if s < 1:
        I = cv2.resize(I, None, fx=s, fy=s, interpolation=cv2.INTER_AREA)
        E = cv2.resize(E, None, fx=s, fy=s, interpolation=cv2.INTER_AREA)
    h, w = I.shape[:2]
    L = min(h, w)
    I = cv2.GaussianBlur(I, (0, 0), p["sig"])
    E = cv2.GaussianBlur(E, (0, 0), p["sig"])
    b = bgcol(I, np.ones((h, w), bool))
    q = lambda x: np.clip(x / p["smax"] * 255, 0, 255).astype(np.uint8)
    fn = open_close_(q(stain(I, b, p["kn"])), max(1, L / p["oc_n"]))
    t1, t2 = threshold_multiotsu(fn, 3)
    nuc = fn > t2
    nuc = cv2.morphologyEx(nuc.astype(np.uint8), cv2.MORPH_OPEN, disk(max(1, L / 80)))
    # nucleus pixels -> cells
    fc = open_close_(q(stain(I, b, p["kc"])), max(1, L / p["oc_c"]))
    far = nuc == 0
    v = fc[far]
    tc = threshold_otsu(v)
    tc = float(np.clip(tc, p["tlo"] / p["smax"] * 255, p["thi"] / p["smax"] * 255))
    cell = (fc > tc) | (nuc > 0)
    cell = cv2.morphologyEx(cell.astype(np.uint8), cv2.MORPH_OPEN, disk(L / 30)) | nuc
    cell = ndimage.binary_fill_holes(cell)
    lab, n = ndimage.label(cell)
    # choose central
    yy, xx = np.mgrid[:h, :w]
    ids = np.arange(1, n + 1)
    na = ndimage.sum(nuc, lab, ids)
    dd = ndimage.minimum(np.hypot(yy - h / 2 + 0.5, xx - w / 2 + 0.5), lab, ids)
    cy = ndimage.center_of_mass(nuc, lab, ids)
    dc = np.array([np.hypot(c[0] - h / 2, c[1] - w / 2) if np.isfinite(c[0]) else 1e9 for c in cy])
    score = np.sqrt(na) * np.exp(-((dc / (L / 3)) ** 2))
    k = ids[np.argmax(score)]
    mine = lab == k
    nuc_m = (nuc > 0) & mine
    # nucleus watershed
    mu1 = np.median(fn[nuc_m])
    oth = fn[mine & ~nuc_m]
    mu0 = np.median(oth) if oth.size > 20 else t1
    mu0 = min(mu0, t2 - 1)
    inn = nuc_m & (fn > t2 + p["bn"] * (mu1 - t2))
    ext = (
        (fn < t2 - p["bn"] * (t2 - mu0))
        | ((lab > 0) & ~mine)
        | ~cv2.dilate(nuc_m.astype(np.uint8), disk(L / 15)).astype(bool)
    )
    ext &= ~inn
    if not inn.any():
        inn = nuc_m
    mk = np.zeros((h, w), np.int32)
    mk[inn] = 1
    mk[ext] = 2
    g = gradient(fn)
    nucleus = watershed(impose_minima(g, mk > 0), mk) == 1
    nucleus = ndimage.binary_fill_holes(nucleus)
    # cell watershed
    r = np.sqrt(nucleus.sum() / np.pi)
    dist = cv2.distanceTransform((~nucleus).astype(np.uint8), cv2.DIST_L2, 5)
    cyt = mine & ~nucleus
    muc = np.median(fc[cyt]) if cyt.sum() > 20 else tc + 20
    outp = fc[~cell & (dist < 2 * r)]
    mo = np.median(outp) if outp.size > 20 else 0
    inn = nucleus | (mine & (fc > tc + p["bc"] * max(muc - tc, 1)))
    inn = (
        cv2.morphologyEx(inn.astype(np.uint8), cv2.MORPH_OPEN, disk(L / 40)).astype(bool) | nucleus
    )
    ext = (
        ((fc < tc - p["bc"] * (tc - mo)) & ~nucleus)
        | ((lab > 0) & ~mine)
        | (dist > p["reach"] * r + 3)
    )
    ext &= ~inn
    ge = np.max(
        [
            gradient(np.ascontiguousarray(c))
            for c in np.moveaxis(cv2.cvtColor((E * 255).astype(np.uint8), cv2.COLOR_RGB2LAB), -1, 0)
        ],
        axis=0,
    )
    mk = np.zeros((h, w), np.int32)
    mk[inn] = 1
    mk[ext] = 2
    g = cv2.max(gradient(fc), (ge * p.get("ke", 0)).astype(np.uint8))
    c = watershed(impose_minima(g, mk > 0), mk) == 1
    c = ndimage.binary_fill_holes(
        cv2.morphologyEx(c.astype(np.uint8), cv2.MORPH_OPEN, disk(L / 40)) | nucleus
    )
    l2, _ = ndimage.label(c)
    ids = np.unique(l2[nucleus])
    c = np.isin(l2, ids[ids > 0])
    m = np.zeros((h, w), np.uint8)
    m[c] = 128
    m[nucleus] = 255
    if s < 1:
        m = cv2.resize(m, (W, H), interpolation=cv2.INTER_NEAREST)
    return m
