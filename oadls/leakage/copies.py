"""One cell twice: between patients, between images, and with two labels."""

import pandas as pd

from oadls.leakage.finding import Finding, Outcome, count, listed


def duplicates(table: pd.DataFrame, pairs: pd.DataFrame) -> Outcome:
    """All copies of a data set.

    pairs : of `oadls.data.collect.duplicate_pairs`
    Copies within one patient are no finding: no grouped split separates them.
    """
    described = describe_pairs(table, pairs)
    shared = shared_images(table, pairs)
    findings = _shared(shared) + _nameless(described) + _two_labels(table, described)
    return Outcome(findings, {"pairs": described, "shared": shared})


def describe_pairs(table: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs with patient, part and label of either side."""
    cells = table.set_index("name")
    more = {
        f"{column}_{side}": pairs[f"name_{side}"].map(cells[column])
        for column in ("patient", "part", "label")
        for side in "ab"
    }
    return pairs.assign(**more)


def shared_images(table: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """How many images two patients share.

    returns a row for each pair of patient names: patient_a, patient_b, group, identical (images
        that are equal), near (pairs that show one cell; at least so many: the search ends as soon
        as two patients are joined), parts (where their cells stand)
    """
    known = table.dropna(subset=["patient"])
    owners = known[["pixels_sha256", "patient"]].drop_duplicates()
    equal = owners.merge(owners, on="pixels_sha256", suffixes=("_a", "_b"))
    patient = table.set_index("name")["patient"]
    near = pairs[pairs["kind"] == "near"]
    alike = pd.DataFrame({f"patient_{s}": near[f"name_{s}"].map(patient) for s in "ab"}).dropna()
    swap = (alike["patient_a"] > alike["patient_b"]).to_numpy()
    alike[swap] = alike[swap][["patient_b", "patient_a"]].to_numpy()
    keys = ["patient_a", "patient_b"]
    equal = equal[equal["patient_a"] < equal["patient_b"]]
    counts = pd.DataFrame(
        {"identical": equal.groupby(keys).size(), "near": alike.groupby(keys).size()}
    )
    counts = counts.rename_axis(keys).fillna(0).astype(int).reset_index()
    parts = known.groupby("patient")["part"].unique()
    group = known.drop_duplicates("patient").set_index("patient")["group"]
    counts["group"] = counts["patient_a"].map(group)
    counts["parts"] = [
        " and ".join(sorted({*parts[a], *parts[b]})) for a, b in counts[keys].to_numpy()
    ]
    return counts.sort_values(["identical", "near"], ascending=False, ignore_index=True)


def _shared(shared: pd.DataFrame) -> list[Finding]:
    """Patients that share images, and those of them that the set's own parts separate."""
    if shared.empty:
        return []
    groups = [(str(name), rows) for name, rows in shared.groupby("group", sort=False)]
    links = [f"{name} ({', '.join(map(_link, rows.to_dict('records')))})" for name, rows in groups]
    near = int(shared["near"].sum())
    more = f" and at least {count(near, 'near-duplicate')}" if near else ""
    found = [
        Finding(
            "duplicates",
            f"patients of different names share "
            f"{count(int(shared['identical'].sum()), 'identical image')}{more}, "
            f"in {count(len(groups), 'group')}: {listed(links)}",
            "one person under several names: a split by name puts a person on two sides",
            "treat each group as one patient; every grouped split here does",
        )
    ]
    parts = {name: sorted({*rows["parts"].str.split(" and ").explode()}) for name, rows in groups}
    between = [f"{name} ({', '.join(places)})" for name, places in parts.items() if places[1:]]
    if between:
        found.append(
            Finding(
                "duplicates",
                f"the set's own parts separate {len(between)} of these groups: {listed(between)}",
                "whoever trains on one part and tests on another tests on people trained on",
                "do not use the parts as sides as they are; split=official mends them",
            )
        )
    return found


def _link(row: dict) -> str:
    """ "51=78: 11", and the near-duplicates where there are any."""
    numbers = [str(row["identical"])] if row["identical"] else []
    numbers += [f"{row['near']} near"] if row["near"] else []
    return f"{row['patient_a']}={row['patient_b']}: {' + '.join(numbers)}"


def _nameless(pairs: pd.DataFrame) -> list[Finding]:
    """Pairs of which at least one cell has no patient."""
    open_pairs = pairs[pairs["patient_a"].isna() | pairs["patient_b"].isna()]
    if open_pairs.empty:
        return []
    kinds = open_pairs["kind"].value_counts()
    names = [f"{a} = {b}" for a, b in open_pairs[["name_a", "name_b"]].to_numpy()]
    return [
        Finding(
            "duplicates",
            f"{count(len(open_pairs), 'pair')} of images without a known patient "
            f"({kinds.get('identical', 0)} identical, {kinds.get('near', 0)} near): "
            f"{listed(names)}",
            "one cell twice: a split by image trains on one and tests on the other",
            "keep the copies together; every grouped split here does",
        )
    ]


def _two_labels(table: pd.DataFrame, pairs: pd.DataFrame) -> list[Finding]:
    known = table.dropna(subset=["label"])
    labels = known.groupby("pixels_sha256")["label"].nunique()
    torn = known[known["pixels_sha256"].isin(labels.index[labels > 1])]
    names = [" = ".join(sorted(n)) for _, n in torn.groupby("pixels_sha256")["name"]]
    near = pairs[(pairs["kind"] == "near") & ~pairs["same_label"]]
    names += [f"{a} = {b}" for a, b in near[["name_a", "name_b"]].to_numpy()]
    if not names:
        return []
    return [
        Finding(
            "duplicates",
            f"{count(len(names), 'cell')} with two labels: {listed(names)}",
            "one of the labels is wrong, and no network can get both right",
            "ask whoever labelled them, or leave these cells out",
        )
    ]
