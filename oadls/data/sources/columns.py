"""Which column of somebody's table is which of ours."""

import difflib
import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from oadls.data.words import words
from oadls.errors import UserError

log = logging.getLogger(__name__)

OURS = ("path", "label", "patient", "part", "mask")
REQUIRED = ("path", "label")
WORDS = {  # what people call it, without blanks, marks and accents
    "path": "path pathname file filename filepath fname image img images imagepath imagefile "
    "imagename imgpath imgname imgfile picture photo uri url pfad datei dateiname dateipfad bild "
    "bildpfad bilddatei chemin fichier ruta archivo imagen percorso immagine caminho arquivo "
    "plik obraz путь файл изображение 路径 文件 文件名 图像 图片 パス ファイル ファイル名 画像",
    "label": "label labels class classname classlabel category cat diagnosis diag dx target y "
    "type celltype kind subtype disease groundtruth gt truth annotation klasse kategorie diagnose "
    "typ zelltyp classe diagnostic categorie etiquette etiqueta clase diagnostico tipo etichetta "
    "diagnosi klasa метка класс диагноз 标签 类别 诊断 ラベル クラス 診断",
    "patient": "patient patients pat pt pid subject subj case donor person individual participant "
    "proband mrn patientin fall spender paciente caso sujeto sujet donneur paziente soggetto "
    "donatore pacjent hasta пациент больной 患者 病人 病例 被試 対象者 환자",
    "mask": "mask masks maskpath maskfile maskname segmentation seg segmask segpath segfile "
    "groundtruthmask gtmask maske segmentierung masque mascara maschera маска 掩码 掩膜 マスク",
}
# what may stand before or after such a word: patient_id, PatientNo., "no of case", ID-Patient
EXTRAS = words(
    "id ids no nr num number name code key uid uuid identifier index idx hash pseudonym nummer "
    "kennung kuerzel kurzel numero numer codigo codice номер 编号 番号 id号 号 的 の s of der des "
    "de del di the our original path file"
)
SPLIT_VALUES = words(
    "train training tr test testing te val valid validation validate dev eval holdout"
)
SPLIT_NAME = re.compile(r"(split|set|subset|partition|fold|phase|usage|side|traintest|dataset)s?")
FUZZY = 5  # letters from which on a misspelt word is still known


def map_columns(frame: pd.DataFrame, wanted: Mapping[str, object], *, table: Path) -> pd.DataFrame:
    """The columns of a table under our names: path, label, and patient, part, mask where known.

    wanted : our name -> the name in the table, None for the same, False for a column that is none
    A column that nobody asked for is named in the log.
    raises UserError for a required column that is missing, for one asked for that is not there, and
        for one that looks like a column that is missing, with the setting that takes it
    """
    there = [str(column) for column in frame.columns]
    chosen = {ours: _chosen(ours, wanted.get(ours), there, table) for ours in OURS}
    free = [name for name in there if name not in chosen.values()]
    for ours, name in chosen.items():
        if name is None and wanted.get(ours) is not False:
            _ask(ours, free, there, table)
    found = {name: ours for ours, name in chosen.items() if name is not None}
    if free:
        log.warning("folder: columns of %s that are not used: %s", table.name, ", ".join(free))
    for name in there:
        _tell_of_split(name, frame[name], table, taken=found.get(name) is not None)
    return frame[list(found)].rename(columns=found)


def looks_like(ours: str, name: str) -> bool:
    """Whether a column of this name may be meant for ours: "Patient-ID" for patient.

    A patient's age is no patient, nor is a file's size a path.
    """
    plain = _plain(name)
    if not plain:
        return False
    known = words(WORDS[ours])
    if plain in known or (plain.endswith("s") and plain[:-1] in known):
        return True
    rest = _without_extras(plain)
    if rest & known:
        return True
    return any(_misspelt(one, word) for one in rest for word in known if len(word) >= FUZZY)


def _misspelt(written: str, word: str) -> bool:
    """A letter too many, too few or wrong in a long word, or two that changed places."""
    if sorted(written) == sorted(word):
        return True
    if len(written) < FUZZY + 1 or abs(len(written) - len(word)) > 1:
        return False
    return difflib.SequenceMatcher(None, written, word).ratio() >= 0.85


def _chosen(ours: str, wanted: object, there: list[str], table: Path) -> str | None:
    if wanted is None:
        return ours if ours in there else None
    if wanted is False:
        if ours == "path":
            raise UserError(f"data.columns.path: {table} must have it, it cannot be false")
        return None
    if str(wanted) not in there:
        raise UserError(
            f"data.columns.{ours}={wanted}: {table} has no such column, it has {', '.join(there)}"
        )
    return str(wanted)


def _ask(ours: str, free: Sequence[str], there: Sequence[str], table: Path) -> None:
    near = [name for name in free if ours in WORDS and looks_like(ours, name)]
    if near:
        ways = " or ".join(f"data.columns.{ours}={_quoted(name)}" for name in near)
        none = "" if ours == "path" else f", or data.columns.{ours}=false if it has none"
        raise UserError(
            f"folder: {table} has no column {ours}, but {', '.join(near)}: set {ways}{none}"
        )
    if ours in REQUIRED:
        raise UserError(
            f"folder: {table} has the columns path and label; {ours} missing, its columns are "
            f"{', '.join(there)} (data.columns.{ours}=NAME says which one it is)"
        )


def _tell_of_split(name: str, values: pd.Series, table: Path, *, taken: bool = False) -> None:
    """A split that somebody made is not followed: say so."""
    held = {str(value).strip().lower() for value in values.dropna().unique()} - {""}
    if not held or len(held) > 20:
        return
    if held <= SPLIT_VALUES or (SPLIT_NAME.fullmatch(_plain(name)) and not taken):
        log.warning(
            "folder: column %s of %s (%s) looks like a split, which is not followed: "
            "the sides are dealt by the config group `split`",
            *(name, table.name, ", ".join(sorted(held))),
        )


def _plain(name: str) -> str:
    """Lower case without blanks, marks, accents and what stands in brackets."""
    bare = re.sub(r"\(.*?\)|\[.*?\]", "", unicodedata.normalize("NFKD", name)).casefold()
    return re.sub(r"[\W_]+", "", bare)


def _without_extras(plain: str) -> set[str]:
    """What may be left of a name when extras are taken from its ends."""
    found, todo = {plain}, [plain]
    while todo:
        one = todo.pop()
        for extra in EXTRAS:
            for rest in (one.removeprefix(extra), one.removesuffix(extra)):
                if rest and rest not in found:
                    found.add(rest)
                    todo.append(rest)
    return found


def _quoted(name: str) -> str:
    """As it must stand on a command line."""
    return name if re.fullmatch(r"\w+", name, re.ASCII) else f"\"'{name}'\""
