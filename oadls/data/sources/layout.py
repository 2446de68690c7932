"""Which folder of a tree names the class; where that is doubtful, a question."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from oadls.data.words import words
from oadls.errors import UserError

SPLIT_WORDS = words(  # any of them within a name: "C-NMC_training_data"
    "train training test testing val valid validation validate dev devel eval evaluation holdout "
    "heldout fold folds kfold crossval cv split partition subset unseen prelim "
    "trainset testset valset traindata testdata trainingsdaten testdaten validierung "
    "entrenamiento prueba validacion apprentissage entrainement addestramento "
    "训练 测试 验证 训练集 测试集 验证集 訓練 学習 テスト 検証 обучение тест"
)
VARIANT_WORDS = words(  # the whole name: versions of the same pictures, or mere containers
    "original originals segmented segmentation segmentations raw processed preprocessed normalized "
    "normalised normalization augmented augmentation cropped crops crop enhanced filtered resized "
    "mask masks annotation annotations label labels gt groundtruth image images img imgs picture "
    "pictures photo photos data dataset datasets files patches tiles output outputs result results "
    "bmp png jpg jpeg tif tiff gray grey grayscale greyscale rgb thumbnails thumbs overlay "
    "overlays bilder daten imagenes images imagini dati 图像 图片 数据 画像 изображения"
)
NUMBERED = re.compile(
    r"(fold|kfold|split|cv|part|partition|subset|set|batch|run|patient|patients|pat|subject|subj|"
    r"case|donor|person|participant|slide|smear|patiente?|probe|患者|病人|пациент)\d+[a-z]?"
)
ASIDE = words(  # folders below a class whose pictures are drawn over or made from its images
    "mask masks gt groundtruth segmentation segmentations segmented annotation annotations label "
    "labels overlay overlays thumb thumbs thumbnail thumbnails preview previews"
)
DRAWN = (
    "masks?|seg|segm|segmentation|segmented|gt|ground_?truth|labels?|labelled|anno|annotations?|"
    "annotated|overlay|contours?|outlines?|thumb|thumbnail|preview|nucleus|nuclei|cytoplasm|maske"
)
BESIDE = re.compile(rf"(?:(.+)[ _.-]+(?:{DRAWN})|(?:{DRAWN})[ _.-]+(.+))", re.IGNORECASE)
SHOWN = 4


def class_level(
    files: Sequence[str],
    *,
    home: Path,
    class_folder: int | None,
    classes: Collection[str] | None,
) -> int:
    """How many folders deep the class is named: 0 for no labels, 1 for the first folder below home.

    files : paths below home, with "/"
    class_folder : what the user says, or None
    classes : the names that the user gives the classes, or None
    raises UserError where the first folder may well not be the class, and for images on several
        levels
    """
    flat = [name for name in files if "/" not in name]
    if class_folder is not None:
        return _checked(class_folder, files)
    if flat and len(flat) < len(files):
        raise UserError(
            f"folder: images lie in class folders or all in {home}, not both; {len(flat)} of "
            f"{len(files)} lie in it, {flat[0]} first (data.class_folder=0 takes all of them "
            "without labels)"
        )
    if flat or not files:
        return 0
    below: dict[str, set[str]] = {}  # first folder -> the folders in it that hold images
    for name in files:
        first, *rest = name.split("/")[:-1]
        below.setdefault(first, set()).add(rest[0] if rest else "")
    if not set(below) <= set(classes or ()) and (doubt := _doubt(below)):
        raise UserError(_question(doubt, below, home))
    return 1


def beside(files: Sequence[str]) -> dict[str, str]:
    """Images that are drawn over others, or made from them (`x_mask.png`): path -> why.

    files : paths below the image root, with "/"
    """
    stems = {name.rpartition(".")[0].lower() for name in files}
    found = {}
    for name in files:
        folder, _, last = name.rpartition("/")
        if match := BESIDE.fullmatch(last.rpartition(".")[0]):
            base = match[1] or match[2]
            if (f"{folder}/{base}" if folder else base).lower() in stems:
                found[name] = "looks like a mask or a picture of the image beside it"
    return found


def aside(files: Sequence[str], *, level: int) -> dict[str, str]:
    """Images in a folder of masks or thumbnails below that of the class: path -> why."""
    found = {}
    for name in files:
        for folder in name.split("/")[level:-1]:
            if _plain(folder) in ASIDE:
                found[name] = f"in {folder}: looks like a folder of masks or pictures of images"
    return found


def _checked(level: int, files: Sequence[str]) -> int:
    short = next((name for name in files if name.count("/") < level), None)
    if short is not None:
        raise UserError(
            f"data.class_folder={level}: every image lies at least {level} folders below "
            f"data.root, {short} does not"
        )
    return level


def _doubt(below: dict[str, set[str]]) -> str:
    """Why the first folders may not be the classes; empty where nothing speaks against it."""
    odd = {first: _kind(first) for first in below}
    if named := [first for first, kind in odd.items() if kind]:
        return f"{_some(named)} named like {odd[named[0]]}"
    held = Counter(name for inside in below.values() for name in inside if name)
    if any(folders > 1 for folders in held.values()):
        return f"{_some(sorted(below))} holding folders of the same names"
    (only,) = below.values() if len(below) == 1 else ({""},)
    if "" not in only and len(only) > 1:
        return f"{next(iter(below))} alone, holding several folders"
    return ""


def _question(doubt: str, below: dict[str, set[str]], home: Path) -> str:
    deeper = sorted({name for inside in below.values() for name in inside if name})
    first = _some(sorted(below))
    second = f" ({_some(deeper)}), " if deeper else ", "
    return (
        f"folder: which folder names the class? {home} has {doubt}. Set "
        f"data.class_folder=1 if it is the first ({first}), data.class_folder=2 if it is the "
        f"second{second}data.class_folder=0 if no image has a label, or take one alone: "
        f"data.root='{home / min(below)}'"
    )


def _kind(name: str) -> str:
    """What else than a class a folder of this name is likely to be; empty for a class."""
    plain = _plain(name)
    words = re.split(r"[\W_]+|(?<=[a-z])(?=[A-Z])|(?<=\D)(?=\d)", _bare(name))
    if SPLIT_WORDS & {plain, *(word.lower() for word in words)}:
        return "a part of a split, not like a class"
    if plain in VARIANT_WORDS:
        return "a version of the images, not like a class"
    if NUMBERED.fullmatch(plain):
        return "one of many, not like a class"
    return ""


def _plain(name: str) -> str:
    """Lower case without blanks, marks and accents."""
    return re.sub(r"[\W_]+", "", _bare(name).lower())


def _bare(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f", … ({len(names)})" if len(names) > SHOWN else "")
