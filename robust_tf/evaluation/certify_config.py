"""CertifyConfig: the flags of bin/certify."""

import dataclasses

from robust_tf.data import DATASETS
from robust_tf.evaluation.config import check_data_dir
from robust_tf.flags.declare import flag
from robust_tf.flags.kinds import EPS, TEXT, one_of, whole
from robust_tf.flags.suggestions import of_8_bits
from robust_tf.models.imported.scaling import AS_PIXELS, SCALINGS
from robust_tf.refusal import Refusal


@dataclasses.dataclass(frozen=True)
class CertifyConfig:
    """bin/certify FILE: the images that a .tflite file provably classifies correctly within eps, on all kernels."""

    file: str = flag(TEXT, None, "the .tflite file; or without --file=, as the first word of the command line")
    dataset: str = flag(
        one_of(DATASETS), "digits", "data set; folder: your own images in --data_dir, scaled to the file's"
    )
    data_dir: str = flag(
        TEXT, None, "folder of TensorFlow Datasets, or of your images: its folder test, or if it has none all of them"
    )
    eps: float = flag(EPS, None, "radius in pixels of [0, 1], L-inf (required)")
    input_scaling: str = flag(
        one_of(SCALINGS),
        AS_PIXELS,
        "what your program computes from pixels in [0, 1] before it calls the file: "
        + "; ".join(f"{name}: {each.summary}" for name, each in SCALINGS.items()),
    )
    labels: str = flag(TEXT, None, "text file with the name of each output in a line; default: the data's order")
    num_images: int = flag(whole(1), None, "number of test images, from the first; default: all")
    batch_size: int = flag(whole(1), "200", "images bounded at once; it changes no result")
    json: str = flag(TEXT, None, "file to which the record is written")

    def checked(self):
        """Raises Refusal for invalid flags."""
        if self.file is None:
            raise Refusal("expected bin/certify FILE, a .tflite file; got none")
        if self.eps is None:
            raise Refusal("--eps: expected a radius in pixels of [0, 1], such as 8/255; got none")
        if self.eps > 1:
            raise Refusal(f"--eps: expected a number or fraction in [0, 1]; got {self.eps:g}{of_8_bits(self.eps)}")
        check_data_dir(self.data_dir, self.dataset)
        return self
