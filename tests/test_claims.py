"""docs/claims.md matches the numbers in docs/claims/; verdicts follow from intervals."""

import importlib
import statistics
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def claims():
    """All names of the scripts in docs/claims/, which are no package."""
    sys.path.insert(0, str(ROOT / "docs" / "claims"))
    names = ("measurements", "verdicts", "statements", "page")
    found = {name: value for module in names for name, value in vars(importlib.import_module(module)).items()}
    sys.path.pop(0)
    return found


def test_the_page_is_as_the_numbers_are(claims):
    hint = "bin/python docs/claims/page.py writes it anew"
    assert (ROOT / "docs" / "claims.md").read_text() == claims["text"](), hint


def test_every_sweep_of_a_claim_is_committed(claims):
    for claim in claims["CLAIMS"]:
        assert claim.untestable or (ROOT / "configs" / "claims" / f"{claim.ran}.cfg").exists()
    for name in claims["FACTORS"]:
        assert list((ROOT / "configs" / "claims").glob(f"*/{name}.cfg"))


@pytest.mark.parametrize(
    ("values", "least", "verdict"),
    [
        ([2.0, 3.0, 4.0], 0.5, "holds"),  # the interval is [0.52, 5.48]
        ([2.0, 3.0, 4.0], 1, "undecided"),
        ([2.0, 3.0, 4.0], 6, "not seen"),
        ([2.0], 0, "not measured"),
    ],
)
def test_verdicts(claims, values, least, verdict):
    check = claims["Check"]("", lambda results: values, least=least)
    assert check.verdict(None) == verdict


def test_intervals_are_students(claims):
    """t(0.975, 2) = 4.3027."""
    low, high = claims["interval"]([2.0, 3.0, 4.0])
    assert (low, high) == pytest.approx((3 - 4.3027 / 3**0.5, 3 + 4.3027 / 3**0.5), abs=1e-4)


def test_differences_are_taken_seed_by_seed(claims):
    """Against the committed rows of AP and ATMC at 1 %."""
    results = claims["Results"]()
    atmc, ap = (results.of((name, "0.01"), *claims["ROBUST"]) for name in ("atmc", "ap"))
    assert set(atmc) == set(ap) != set()
    found = claims["lead"](("atmc", "0.01"), ("ap", "0.01"))(results)
    assert statistics.fmean(found) == pytest.approx(
        100 * (statistics.fmean(atmc.values()) - statistics.fmean(ap.values()))
    )


def test_a_repeated_record_replaces_the_earlier_one(claims, tmp_path, monkeypatch):
    head = "flagfile,ratio,method,seed,record,settings,quantity,value\n"
    for name, lines in (
        ("one", "a.cfg,0.1,,0,attacks,eps=0.1,x,1\na.cfg,0.1,,0,attacks,eps=0.2,x,2\n"),
        ("two", "a.cfg,0.1,,0,attacks,eps=0.2,x,3\na.cfg,0.1,,1,attacks,eps=0.2,x,4\n"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.csv").write_text(head + lines)
        (tmp_path / name / "epochs.csv").write_text(",".join((*claims["KEPT"], *claims["EPOCHS"])) + "\n")
    monkeypatch.setitem(claims["add"].__globals__, "FOLDER", tmp_path / "kept")
    for name in ("one", "two"):
        claims["add"](tmp_path / name)
    found = [(row["seed"], row["settings"], row["value"]) for row in claims["rows"]("results")]
    assert found == [("0", "eps=0.1", "1"), ("0", "eps=0.2", "3"), ("1", "eps=0.2", "4")]
