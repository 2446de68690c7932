"""What the ending of a file, or its first bytes, say of it."""

import re
from pathlib import Path

from oadls.data.words import words

# lossless ones first: of two files of one name the earlier one is taken
IMAGE_ENDINGS = (
    *(".bmp", ".dib", ".png", ".apng", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc"),
    *(".gif", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"),
)
UNREADABLE = words(  # pictures, but of a format that oadls does not read
    ".svs .ndpi .scn .mrxs .vsi .czi .lif .lsm .nd2 .oib .oif .dcm .dicom .nii .nrrd .mha .npy "
    ".npz .h5 .hdf5 .zarr .mat .avif .heic .heif .psd .xcf .svg .eps .ai .ico .icns .tga .pcx "
    ".exr .hdr .raw .cr2 .cr3 .nef .arw .dng .orf .fits .pfm .jxl .jxr .wdp .avi .mp4 .mov"
)
OTHER = words(  # no pictures: not worth opening
    ".txt .csv .tsv .json .jsonl .xml .md .rst .html .htm .pdf .doc .docx .xls .xlsx .ods .odt "
    ".ppt .pptx .rtf .py .ipynb .m .r .sh .bat .yaml .yml .toml .ini .cfg .conf .db .log .url "
    ".lnk .zip .gz .tgz .tar .bz2 .xz .7z .rar .parquet .pq .feather .pkl .pt .pth .ckpt "
    ".safetensors .sqlite .md5 .sha256 .geojson .roi .imj .bib .tex .gitkeep .gitignore"
)
BACKUP = re.compile(r"~$|\.(bak|old|orig|tmp|temp|part|partial|crdownload|swp|download)$", re.I)
MAGIC = (  # first bytes of the formats that oadls reads
    b"BM",
    b"\x89PNG\r\n\x1a\n",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"\0\0\0\x0cjP  \r\n\x87\n",
    b"\xff\x4f\xff\x51",
)
PORTABLE = re.compile(rb"P[1-6][\s#]")  # PPM and its kin


def ending_of(name: str) -> str:
    """ ".png" of "a/cell.7.PNG", "" of "a/cell" and of "a/.hidden"."""
    stem, dot, last = name.rpartition("/")[2].rpartition(".")
    return f".{last.lower()}" if dot and stem.strip(".") else ""


def without_ending(name: str) -> str:
    """The name without its ending where that is one of an image: "cell.7" stays "cell.7"."""
    ending = ending_of(name)
    return name[: -len(ending)] if ending in IMAGE_ENDINGS else name


def starts_as_image(path: str | Path) -> bool:
    """Whether the first bytes are those of a format that oadls reads; False for no readable file.

    "BM" alone opens many a text: of a bitmap the reserved bytes must be zero as well.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except OSError:
        return False
    if start.startswith(b"BM"):
        return start[6:10] == b"\0\0\0\0"
    if start.startswith(b"RIFF"):
        return start[8:12] == b"WEBP"
    return start.startswith(MAGIC) or PORTABLE.match(start) is not None
