"""Which files of a folder are images, what they are called, and what else lies there."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from oadls.data.sources.endings import (
    BACKUP,
    IMAGE_ENDINGS,
    OTHER,
    UNREADABLE,
    ending_of,
    starts_as_image,
    without_ending,
)
from oadls.errors import UserError

# folders that systems make of their own accord, with copies of images in them
LITTER = {
    "@eadir": "thumbnails of a NAS",
    "@recycle": "deleted files",
    "#recycle": "deleted files",
    "$recycle.bin": "deleted files",
    "recycler": "deleted files",
    "#snapshot": "earlier states of a NAS",
    "@recently-snapshot": "earlier states of a NAS",
    "__macosx": "litter of macOS archives",
    "__pycache__": "files of Python",
    "system volume information": "files of Windows",
    "lost+found": "files of a disk check",
}


@dataclass
class Listing:
    """What lies below a folder.

    root : that folder, absolute
    files : the images, path below root with "/", sorted
    left : path below root -> why that file is not taken
    folders : every folder below root that was looked into, with "/"
    """

    root: Path
    files: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)

    @property
    def paths(self) -> list[Path]:
        """The images as paths."""
        return [self.root / name for name in self.files]


def existing_folder(root: Path | str, *, source: str) -> Path:
    """The folder as an absolute path; UserError when it is not there."""
    folder = Path(root).expanduser().absolute()
    if not folder.is_dir():
        raise UserError(f"{source}: data.root is a folder, {folder} is not")
    return folder


def survey(root: Path, *, endings: Collection[str] | None = None, deep: bool = True) -> Listing:
    """Look through everything below a folder, links to folders included.

    endings : those that a source knows; None takes all of IMAGE_ENDINGS, and files with an ending
        of their own or none whose first bytes are those of an image
    deep : False looks at the files of the folder itself alone
    A missing folder has nothing. raises UserError for a folder that may not be opened
    """
    listing = Listing(root)
    for entry, name, litter in _walk(root, listing, deep=deep):
        reason = litter or _reason(entry, name, endings)
        if reason == "":
            listing.files.append(name)
        elif not litter or ending_of(name) in IMAGE_ENDINGS:
            listing.left[name] = reason
    listing.files.sort()
    return listing


def find_images(folder: Path, *, endings: Collection[str] | None = None) -> list[Path]:
    """The images anywhere below a folder, sorted (see `survey`)."""
    return survey(folder, endings=endings).paths


def name_of(path: Path, root: Path) -> str:
    """The path below `root` with "/", without its ending."""
    return without_ending(path.relative_to(root).as_posix())


def first_of_each_name(
    paths: Iterable[Path], root: Path, *, endings: Collection[str] = IMAGE_ENDINGS
) -> tuple[list[Path], dict[str, str]]:
    """One file a name: `a.bmp` beside `a.webp` is the same cell twice.

    endings : the earlier one wins
    returns the files, sorted by name, and path -> reason of the others
    """
    rank = {ending: i for i, ending in enumerate(endings)}
    kept: dict[str, Path] = {}
    others = {}
    for path in sorted(paths, key=lambda p: (rank.get(ending_of(p.name), len(rank)), p)):
        first = kept.setdefault(name_of(path, root), path)
        if first is not path:
            others[str(path)] = f"has the same name as {first.name}"
    return [kept[name] for name in sorted(kept)], others


def find_masks(folder: Path | None, names: Iterable[str]) -> dict[str, str]:
    """name -> path of `<folder>/<name>.png`, for the names that have one."""
    if folder is None:
        return {}
    paths = {name: folder / f"{name}.png" for name in names}
    return {name: str(path) for name, path in paths.items() if path.is_file()}


def _walk(
    root: Path, listing: Listing, *, deep: bool
) -> Iterator[tuple[os.DirEntry[str], str, str]]:
    """Every file: its entry, its path below root, and the litter that it lies in, or "".

    Links to folders come last, so that what is listed twice is known by its own name; a folder
    that was seen is not entered again, so that a link to a folder above ends.
    """
    seen: set[tuple[int, int]] = set()
    folders = [("", "")]
    links: list[tuple[str, str]] = []
    while folders or links:
        if not folders:
            links.sort(reverse=True)
            folders.append(links.pop())
        below, litter = folders.pop()
        place = os.path.join(root, below) if below else str(root)
        if not _is_new(place, seen):
            listing.left[below] = "a link to a folder that is listed already"
            continue
        if below:
            listing.folders.append(below)
        found: list[tuple[str, str]] = []
        for entry in _entries(place, optional=bool(litter)):
            name = f"{below}/{entry.name}" if below else entry.name
            if not _sure(entry.is_dir):
                yield entry, name, litter
            elif deep:
                inside = litter or _litter(entry.name)
                (links if entry.is_symlink() else found).append((name, inside))
        folders += sorted(found, reverse=True)


def _sure(asked: Callable[[], bool]) -> bool:
    """False for a link in a circle, or to where nobody may look."""
    try:
        return asked()
    except OSError:
        return False


def _is_new(place: str, seen: set[tuple[int, int]]) -> bool:
    try:
        status = os.stat(place)
    except OSError:
        return True  # what is wrong shows when it is opened
    key = (status.st_dev, status.st_ino)
    if key in seen:
        return False
    seen.add(key)
    return True


def _entries(place: str, *, optional: bool) -> list[os.DirEntry[str]]:
    """What a folder holds; one that is not there, or litter that is locked, holds nothing."""
    try:
        with os.scandir(place) as found:
            return sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        if optional:
            return []
        raise UserError(f"images: {place} cannot be opened ({error.strerror})") from error


def _litter(name: str) -> str:
    """Why nothing in a folder of this name is a cell; empty for every other."""
    if name.lower() in LITTER:
        return f"{name}: {LITTER[name.lower()]}"
    return f"{name}: a hidden folder" if name.startswith(".") else ""


def _reason(entry: os.DirEntry[str], name: str, endings: Collection[str] | None) -> str:
    """Why a file is not taken; empty when it is."""
    ending = ending_of(name)
    if not _sure(entry.is_file):
        return "a link to nothing" if entry.is_symlink() else "neither a file nor a folder"
    if entry.name.startswith("."):
        return "a hidden file"
    if endings is not None:
        return "" if ending in endings else f"{ending or 'no ending'}: not one of this source"
    if ending in IMAGE_ENDINGS:
        return ""
    if BACKUP.search(entry.name):
        return "a backup or half a download"
    if ending in UNREADABLE:
        return f"{ending}: a format that oadls does not read"
    if ending in OTHER or entry.name.lower() == "thumbs.db" or not starts_as_image(entry.path):
        return f"{ending or 'no ending'}: no image"
    return ""
