"""Writes the logits of all .tflite files of a folder on its sample images; compares those of two machines.

python logits.py write FOLDER OUT.npz KIT     KIT: the folder of benchmark_tflite.py
python logits.py compare ONE.npz OTHER.npz
"""

import glob
import os
import sys

import numpy as np


def write(folder, out, kit):
    sys.path.insert(0, kit)
    import benchmark_tflite as kit

    paths = sorted(glob.glob(os.path.join(folder, "*.tflite")))
    options, _ = kit.parse([folder])
    options.loaded_delegate = None
    Interpreter, runtime = kit.find_runtime("auto")
    found = {}
    for path in paths:
        try:
            interpreter = kit.load(Interpreter, path, options)
        except kit.Refusal as refusal:
            print(f"left out: {refusal}")
            continue
        images, _ = kit.read_images(options.images, interpreter.get_input_details()[0])
        scale = interpreter.get_output_details()[0]["quantization"][0] or 1.0
        found[os.path.basename(path)] = np.concatenate(
            [kit.run(interpreter, image[None]).astype(np.float32) * scale for image in images]
        )
    np.savez(out, **found)
    print(f"{folder}: {len(found)} files with {runtime}")


def compare(one, other):
    """Exits with 1 if the logits of a file differ too much, or the classes of more than 1 % of the images."""
    ours, theirs, failed = np.load(one), np.load(other), False
    for name in ours:
        if name not in theirs:
            print(f"{name:<30} does not load here  FAILED")
            failed = True
            continue
        largest = max(np.abs(ours[name]).max(), np.finfo(np.float32).tiny)  # all logits may be 0
        difference = np.abs(ours[name] - theirs[name]).max() / largest
        agreement = np.mean(ours[name].argmax(-1) == theirs[name].argmax(-1))
        exact = "int8" not in name and "dynamic" not in name
        ok = agreement >= 0.99 and difference <= (1e-4 if exact else 0.05)
        failed |= not ok
        print(
            "{:<30} largest difference {:.1e} of the largest logit, {:.0%} of classes agree{}".format(
                name, difference, agreement, "" if ok else "  FAILED"
            )
        )
    sys.exit(failed)


if __name__ == "__main__":
    {"write": write, "compare": compare}[sys.argv[1]](*sys.argv[2:])
