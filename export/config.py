"""ExportConfig: the flags of bin/export_tflite."""

import dataclasses

from robust_tf.export import FORMATS
from robust_tf.flags.declare import flag
from robust_tf.flags.kinds import SWITCH, TEXT, listed, one_of, whole
from robust_tf.refusal import Refusal


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """bin/export_tflite: writes *.tflite files, each compared with the net, and manifest.json to WORKDIR/export/."""

    workdir: str = flag(TEXT, None, "run directory of bin/train (required)")
    data_dir: str = flag(TEXT, None, "folder of TensorFlow Datasets; default: the one of the training run")
    formats: tuple = flag(listed(one_of(FORMATS)), ",".join(FORMATS), "formats, comma-separated", options=FORMATS)
    num_images: int = flag(whole(1), None, "number of test images for the comparison, from the first; default: all")
    attack_images: int = flag(whole(1), "500", "number of these images, from the first, that PGD attacks on the net")
    steps: int = flag(whole(1), "20", "gradient steps of that attack")
    seed: int = flag(whole(0), "0", "seed of that attack's random starts")
    lint: bool = flag(
        SWITCH,
        "false",
        "print for each of --formats which layers run in sparse kernels on an ARM device, which do not, and why;"
        " exports only where files of this net are missing or were compared with other flags, and keeps other formats",
    )
    bundle: bool = flag(
        SWITCH,
        "false",
        "also write WORKDIR/export/bundle.tar.gz for a device: all files, labels, golden vectors (images"
        " and each file's scores, for benchmark_tflite.py --check), manifest, benchmark",
    )
    test_images: bool = flag(
        SWITCH,
        None,
        "--bundle: it holds test images: 100 sample images, and 20 in the golden vectors; without them the device gets"
        " random images; default: yes, but no for a folder of your own images",
    )

    def checked(self):
        if self.workdir is None:
            raise Refusal("--workdir: expected a run directory of bin/train; got none")
        if self.test_images is not None and not self.bundle:
            raise Refusal("--test_images: expected --bundle with it; got none")
        return self
