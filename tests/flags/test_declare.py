"""Configurations read from command lines and flagfiles, and their help."""

import pytest

from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.export.config import ExportConfig
from robust_tf.flags.declare import help_text, parse
from robust_tf.report.config import ReportConfig
from robust_tf.sweep.config import SweepConfig
from robust_tf.training.config import TrainConfig


def test_flags_after_a_flagfile_override_it(tmp_path):
    file = tmp_path / "a.cfg"
    file.write_text("# a comment\n--eps=0.1\n--epochs=3\n--norandom_start\n")
    config = parse(TrainConfig, [f"--flagfile={file}", "--epochs=5"])
    assert (config.eps, config.epochs, config.random_start) == (0.1, 5, False)


@pytest.mark.parametrize("Config", [TrainConfig, EvaluateConfig, ExportConfig, ReportConfig, SweepConfig])
def test_help_names_every_flag_with_its_default(Config):
    text = help_text(Config)
    for name in Config.__dataclass_fields__:
        assert f"--{name}" in text
    assert all(len(line) <= 120 for line in text.splitlines())
