"""ReportConfig: the flags of bin/report."""

import dataclasses

from robust_tf.flags.declare import flag
from robust_tf.flags.kinds import MANY, TEXT, listed
from robust_tf.refusal import Refusal


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """bin/report: writes report.html, one page that needs no network, and its figures as PNG and SVG in report/."""

    workdir: tuple = flag(MANY, None, "run directory; give it once for each run to compare (required)")
    benchmarks: tuple = flag(
        listed(TEXT),
        None,
        "JSON files that the benchmark script wrote on devices, comma-separated; the files' digests say of which run a"
        " timing is",
    )
    out: str = flag(TEXT, None, "folder for the page; default: the first run directory")

    def checked(self):
        if self.workdir is None:
            raise Refusal("--workdir: expected a run directory of bin/train; got none")
        return self
