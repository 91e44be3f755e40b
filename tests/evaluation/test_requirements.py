"""--require: what it may name, and when an evaluation falls short."""

import dataclasses
import re
import shutil
import subprocess
import sys

import pytest

from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.evaluation.requirements import REQUIREMENTS, measurable, shortfalls
from robust_tf.flags.declare import parse
from robust_tf.records.evaluation import Attacks, CertifiedFile, Certify
from robust_tf.records.manifest import Certificate
from robust_tf.refusal import Refusal

COMMON = {"norm": "linf", "seed": 0, "num_images": 500, "model_sha256": "", "eps": 0.3}
RECORD = Attacks(
    mode="attacks", attacks=("autoattack",), version="standard", clean_accuracy=0.97, robust_accuracy=0.872,
    per_attack={"apgd_ce": 0.9, "square": 0.872}, per_attack_seconds={}, certified_accuracy=0.86, **COMMON,
)  # fmt: skip


def asked(*flags):
    return parse(EvaluateConfig, ["--workdir=RUN", *flags])


@pytest.mark.parametrize(
    ("required", "short"),
    [
        ("autoattack>=0.83", []),  # the interval is [0.840, 0.900]
        ("autoattack>=0.85", ["autoattack>=0.85: got 87.20% [84.0, 90.0]"]),
        ("autoattack>=0.85:estimate", []),
        ("robust>=0.873:estimate", ["robust>=0.873:estimate: got 87.20% [84.0, 90.0]"]),
        ("apgd_ce>=0.87,clean>=0.99", ["clean>=0.99: got 97.00% [95.1, 98.3]"]),
        ("certified>=0.82", []),
    ],
)
def test_the_lower_end_of_the_interval_counts(required, short):
    assert shortfalls(RECORD, REQUIREMENTS.parse(required)) == short


def test_no_certificate_is_a_shortfall():
    record = dataclasses.replace(RECORD, certified_accuracy=None)
    assert shortfalls(record, REQUIREMENTS.parse("certified>=0")) == [
        "certified>=0.0: interval bounds do not support the net or the norm"
    ]


def test_certified_files_count_by_the_least():
    def file(certified):
        certificate = Certificate(eps=0.3, num_images=500, certified=certified, seconds=1)
        return CertifiedFile(sha256="", bytes=1, correct=490, outside=0, certificate=certificate)

    record = Certify(
        mode="certify", clean_accuracy=0.98, certified_accuracy=0.9, files={"a": file(440), "b": file(430)}, **COMMON,
    )  # fmt: skip
    assert shortfalls(record, REQUIREMENTS.parse("certified>=0.86:estimate")) == []
    (short,) = shortfalls(record, REQUIREMENTS.parse("certified>=0.87:estimate"))
    assert re.fullmatch(r"certified>=0.87:estimate: got 86.00% \[.*\] for b; --file names one file", short)
    hybrid = dataclasses.replace(file(None), certificate=Certificate(eps=0.3, num_images=500, reason="why", seconds=1))
    record = dataclasses.replace(record, files={**record.files, "c": hybrid})
    (short,) = shortfalls(record, REQUIREMENTS.parse("certified>=0.1"))
    assert short.endswith(" for c, which cannot be certified: why; --file names one file")


def test_only_what_is_measured_may_be_named():
    assert measurable(asked("--attacks=pgd,square")) == ["clean", "robust", "certified", "pgd", "square"]
    assert "apgd_t" in measurable(asked("--attacks=autoattack"))
    assert measurable(asked("--mode=transfer", "--targets=a")) == ["clean"]
    for flags, said in (
        (("--require=pdg>=0.1",), "got pdg; did you mean pgd?"),
        (("--require=autoattack>=0.1",), "clean, robust, certified, fgsm, pgd; got autoattack"),
        (("--mode=transfer", "--targets=a", "--require=robust>=0.1"), "is measured: clean; got robust"),
    ):
        with pytest.raises(Refusal) as refused:
            asked(*flags)
        assert said in str(refused.value)


@pytest.mark.parametrize("text", ["robust", "robust>=", "robust>=2", ">=0.5", "robust>=0.5:mean", "robust=>0.5", ","])
def test_malformed_requirements(text):
    with pytest.raises(ValueError, match="expected NAME>=SHARE"):
        REQUIREMENTS.parse(text)


def test_texts_of_requirements_are_read_again():
    found = REQUIREMENTS.parse("robust>=0.1,certified>=0.123456789:estimate")
    assert REQUIREMENTS.parse(REQUIREMENTS.write(found)) == found


def test_the_command_ends_with_1_and_one_line(shared_runs, tmp_path):
    run = shutil.copytree(shared_runs / "natural", tmp_path / "run")
    flags = [f"--workdir={run}", "--attacks=autoattack", "--version=thesis", "--num_images=9"]
    flags += ["--require=robust>=1,clean>=0"]
    command = [sys.executable, "-m", "robust_tf.commands.evaluate", *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("evaluate: --require: robust>=1.0: got ")
    assert "written: " in done.stdout
