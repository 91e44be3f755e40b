"""Do the tests notice when the code is changed? Mutation testing with cosmic-ray on what computes the results.

bin/python -m pip install -e .[mutants]
bin/python tests/mutants.py [--modules=attacks/apgd,...] [--each=10] [--seed=0]

Draws a number of changes of each module (operators, comparisons, numbers, truth values), makes one at a time in a copy
of the repository, and runs the tests of the module. Prints the share of changes that made a test fail, and the others.
Half a minute for a change on two cores: some hours for all modules. A module's own tests come first.
"""

import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import app, flags

ROOT = Path(__file__).resolve().parents[1]
MODULES = {  # each with the tests that should notice
    **{
        f"attacks/{name}": (f"attacks/test_{name}.py", *more, "attacks")
        for name, *more in (
            ("apgd", "attacks/test_apgd_transcribed.py"), ("fab",), ("square",), ("starts",), ("balls",),
        )
    },
    **{
        f"attacks/{name}": ("attacks/test_attacks.py", "attacks")
        for name in ("pgd", "cw", "wrm", "spsa", "margin", "seeds")
    },
    "certification/bounds": ("certification/test_bounds.py", "certification/test_rounding.py"),
    "certification/certified": ("certification/test_certified.py", "evaluation/test_sparing.py"),
    **{
        f"certification/{name}": (
            "certification/test_integers.py", "certification/test_single_operations.py", "certification",
        )
        for name in ("requantise", "integers", "file", "operations", "propagation")
    },
    **{
        f"compression/{name}": (f"compression/test_{name}.py", "compression")
        for name in ("admm", "atmc", "masks", "centroids")
    },
    "certification/floats": ("certification/test_floats.py", "certification/test_rounding.py"),
    "compression/quantise": ("compression/test_quantise.py",),
    "compression/hydra": ("compression/test_hydra.py",),
    **{
        f"projections/{name}": (f"projections/test_{tests}.py", "projections")
        for tests, names in {
            "projections": ("irregular", "blocks", "codebook", "per_layer"),
            "filters": ("channel", "filters", "redundant"),
            "funnel": ("funnel",),
            "low_rank": ("low_rank",),
        }.items()
        for name in names
    },
    "training/losses": ("training/test_losses.py", "training/test_model.py"),
    "training/schedules": ("training/test_schedules.py", "training/test_stage.py"),
    "training/model": ("training/test_model.py", "training/test_checks.py", "training/test_callbacks.py"),
}  # fmt: skip
# Changes that a test may miss. Others, such as + to <<, end in an error.
OPERATORS = (
    "NumberReplacer", "AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceUnaryOperator_Delete_USub",
    "ReplaceUnaryOperator_Delete_Not", "ZeroIterationForLoop", "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add", "ReplaceBinaryOperator_Mul_Div", "ReplaceBinaryOperator_Div_Mul",
    "ReplaceComparisonOperator_Lt_LtE", "ReplaceComparisonOperator_LtE_Lt", "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_GtE_Gt", "ReplaceComparisonOperator_Lt_Gt", "ReplaceComparisonOperator_Gt_Lt",
    "ReplaceComparisonOperator_Eq_NotEq", "ReplaceComparisonOperator_NotEq_Eq", "ReplaceAndWithOr", "ReplaceOrWithAnd",
)  # fmt: skip
TIMEOUT = 600  # seconds; a change that makes the tests run on for longer is noticed

ONLY = flags.DEFINE_list("modules", None, "modules below robust_tf, without .py; default: all of MODULES")
EACH = flags.DEFINE_integer("each", 10, "changes of each module", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "seed of the draw")


def copy(folder):
    """A copy of the files that git knows, as they are now."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    for name in filter(None, names):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def session(module, folder):
    """(config, database) of cosmic-ray for a module, with the drawn changes."""
    tests = " ".join(f"tests/{path}" for path in MODULES[module])
    config, database = folder / "mutants.toml", folder / f"{module.replace('/', '-')}.sqlite"
    config.write_text(
        f'[cosmic-ray]\nmodule-path = ["robust_tf/{module}.py"]\ntimeout = {TIMEOUT}.0\nexcluded-modules = []\n'
        f'test-command = "env PYTHONPATH=. {sys.executable} -P -m pytest -x -q -n0 {tests}"\n'
        '[cosmic-ray.distributor]\nname = "local"\n'
    )
    cosmic_ray(folder, "init", config, database)
    with sqlite3.connect(database) as connection:
        place = "start_pos_row, start_pos_col, operator_name, occurrence"
        rows = connection.execute(f"select job_id, operator_name from mutation_specs order by {place}").fetchall()
        possible = [job for job, operator in rows if operator.removeprefix("core/") in OPERATORS]
        drawn = random.Random(f"{module} {SEED.value}").sample(possible, min(EACH.value, len(possible)))
        for job, _ in rows:
            if job not in drawn:
                connection.execute("delete from mutation_specs where job_id = ?", (job,))
                connection.execute("delete from work_items where job_id = ?", (job,))
    return config, database


def cosmic_ray(folder, *words):
    command = [sys.executable, "-m", "cosmic_ray.cli", *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"mutants: cosmic-ray {words[0]} failed: {done.stderr.strip() or done.stdout.strip()}")


def main(_):
    unknown = set(ONLY.value or ()) - set(MODULES)
    if unknown:
        sys.exit(f"mutants: --modules: expected some of {', '.join(MODULES)}; got {', '.join(sorted(unknown))}")
    noticed = total = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy(folder)
        for module in ONLY.value or MODULES:
            config, database = session(module, folder)
            cosmic_ray(folder, "exec", config, database)
            with sqlite3.connect(database) as connection:
                results = connection.execute("select test_outcome, diff from work_results").fetchall()
            survived = [diff for outcome, diff in results if outcome == "SURVIVED"]
            noticed, total = noticed + len(results) - len(survived), total + len(results)
            print(f"{module}: {len(results) - len(survived)} of {len(results)} noticed", flush=True)
            for diff in survived:
                print("\n".join(line for line in diff.splitlines() if line[:1] in "+-@"), flush=True)
    print(f"{noticed} of {total} changes noticed, {noticed / max(total, 1):.1%}")


if __name__ == "__main__":
    app.run(main)
