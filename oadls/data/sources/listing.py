"""Which files of a folder are images, and what they are called."""

from collections.abc import Collection, Iterable
from pathlib import Path

from oadls.errors import UserError

IMAGE_ENDINGS = (".bmp", ".png", ".tif", ".tiff", ".webp", ".jpg", ".jpeg")  # lossless ones first


def existing_folder(root: Path | str, *, source: str) -> Path:
    """The folder as an absolute path; UserError when it is not there."""
    folder = Path(root).expanduser().absolute()
    if not folder.is_dir():
        raise UserError(f"{source}: data.root is a folder, {folder} is not")
    return folder


def find_images(folder: Path, *, endings: Collection[str] = IMAGE_ENDINGS) -> list[Path]:
    """Image files anywhere below a folder, sorted; hidden files and other endings are passed over.

    A missing folder has none.
    """
    found = (p for p in folder.rglob("*") if p.suffix.lower() in endings and p.is_file())
    return sorted(p for p in found if not _hidden(p.relative_to(folder)))


def name_of(path: Path, root: Path) -> str:
    """The path below `root` with "/", without its ending."""
    return path.relative_to(root).with_suffix("").as_posix()


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
    for path in sorted(paths, key=lambda p: (rank[p.suffix.lower()], p)):
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


def _hidden(relative: Path) -> bool:
    """Dot files and macOS's archive litter."""
    return any(part.startswith(".") or part == "__MACOSX" for part in relative.parts)
