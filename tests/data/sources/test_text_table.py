"""A table is read whatever wrote it; what is no table is refused in one sentence."""

import gzip

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oadls.data.sources import c_nmc, c_nmc_manifest, folder, wbc_jtsc
from oadls.data.sources.text_table import read_text_table
from oadls.errors import UserError

CODECS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16": b"",
    "utf-16-le": b"",
    "utf-16-be": b"\xfe\xff",
    "cp1252": b"",
}
VALUES = st.text(st.sampled_from("abZ09äß .-_/\\'"), max_size=8).map(str.strip)
ROWS = st.lists(st.tuples(VALUES, VALUES, VALUES).filter(any), min_size=1, max_size=4)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    ROWS,
    st.sampled_from(sorted(CODECS)),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.booleans(),
)
def test_the_same_table_comes_from_every_encoding_delimiter_and_line_end(
    tmp_path, rows, codec, mark, end, zipped, told
):
    header = ["path to it", "label", "Fälle"]
    lines = [mark.join(row) for row in [header, *rows, ("", "", "")]]
    if told:
        lines.insert(0, f"sep={mark}")
    content = CODECS[codec] + end.join(lines).encode(codec)
    (tmp_path / "t.csv").write_bytes(gzip.compress(content) if zipped else content)
    table = read_text_table(tmp_path / "t.csv", source="made")
    assert list(table.columns) == header
    assert [tuple(row) for row in table.to_numpy()] == rows


def test_quotes_hold_delimiters_and_blanks_round_values_go(tmp_path):
    (tmp_path / "t.csv").write_text('"a, b; c" , label\n"x;y", all \n')
    table = read_text_table(tmp_path / "t.csv", source="made")
    assert table.to_dict("records") == [{"a, b; c": "x;y", "label": "all"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "with a header, it is empty"),
        (b"\xef\xbb\xbf", "with a header, it is empty"),
        (b"\xff\xfe", "with a header, it is empty"),
        (b"\n\n  \n", "with a header, it is empty"),
        (b"PK\x03\x04\x14\0rest", "a spreadsheet or an archive, save the table as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1", "an Excel workbook, save the table as CSV"),
        (b"a,b\n1,2" + b"x" * 300 + b"\0", "it holds bytes that are none"),
        (b"\x1f\x8b\x08\x00half", "not a readable table"),
        (b"a,b\n1,2,3\n", "not a readable table: .*Expected 2 fields in line 2, saw 3"),
        (b"a,b,a\n1,2,3\n", "each column once, a is there twice"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError, match=f"made: .*{message}") as error:
        read_text_table(tmp_path / "t.csv", source="made")
    assert "\n" not in str(error.value).strip()


PRELIM = "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data"
FIRST = "Patient_ID,new_names,labels\nUID_57_1_1_all.bmp,1.bmp,1\n"
SOURCES = {  # the files of a source, the one with the table, its text, and how it is loaded
    "c_nmc": (f"{PRELIM}/1.bmp", f"{PRELIM}_labels.csv", FIRST, lambda root: c_nmc.load(root=root)),
    "wbc_jtsc": (
        "images/001.png",
        "class-labels.csv",
        "image ID,class label\n1,2\n",
        lambda root: wbc_jtsc.load(root=root),
    ),
    "manifest": (
        "unused",
        "list.tsv",
        "path\tsha256\tsize\nC-NMC_Leukemia/training_data/fold_0/all/UID_1_1_1_all.bmp\tx\t9\n",
        lambda root: c_nmc_manifest.load(manifest=root / "list.tsv"),
    ),
    "folder": (
        "x.png",
        "t.csv",
        "path,label\nx.png,all\n",
        lambda root: folder.load(root=root, table=root / "t.csv"),
    ),
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_reads_its_table_as_any_program_writes_it(touch, source):
    image, name, text, load = SOURCES[source]
    root = touch(image)
    (root / name).write_text(text)
    plain = load(root).table
    for content in (text.encode("utf-16"), text.replace("\n", "\r\n").encode("utf-8-sig")):
        (root / name).write_bytes(content)
        assert load(root).table.equals(plain)
    for content in (b"", text.splitlines()[0].encode(), "\ufeff".encode("utf-16-le")):
        (root / name).write_bytes(content)
        with pytest.raises(UserError):
            load(root)
