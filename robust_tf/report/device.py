"""The exported files: sizes, what the export reports, latencies on all devices (thesis, 4.7, 4.8, D.1, D.2)."""

from robust_tf.drawing.figures import Figure, Missing, bars
from robust_tf.drawing.words import number, numbered
from robust_tf.export import FORMATS


def size(runs):
    rows = [
        {"file": f"{run.name}, {file.format}", "how": how, "bytes": count, "clean": file.clean_accuracy}
        for run in runs
        for file in run.files
        for how, count in (("uncompressed", file.bytes), ("gzip", file.gzip_bytes))
    ]
    if not rows:
        return Missing("File sizes", "bin/export_tflite writes the files and their manifest")
    chart = bars(rows, ("file", None), ("bytes", "bytes"), "how", "~s", ("clean:Q",))
    return Figure("bytes", "File sizes", "Of the files as they are, and compressed by gzip.", chart=chart)


def notes(runs):
    """What the export reports: files that lose robust accuracy, and formats without a file; nothing if all is well."""
    rows = []
    for run in runs:
        if run.manifest:
            rows += [(run.name, "warning", flag) for flag in run.manifest.flags]
            rows += [(run.name, f"no {left.format} file", left.reason) for left in run.manifest.left_out]
    columns = ("run", "what", "details")
    return Figure("export", "Problems of the export", columns=columns, rows=rows) if rows else []


PROTOCOLS = {
    "memory": "Latency, images in memory",
    "loading": "Latency, with the loading of the images",
}


def latency(runs):
    """A figure for each protocol (thesis, figures D.1 and D.2)."""
    found = [milliseconds(runs, protocol, title) for protocol, title in PROTOCOLS.items()]
    missing = Missing("Latency", "bin/benchmark --workdir=RUN measures it; so does the script on a device")
    return [figure for figure in found if figure] or missing


def milliseconds(runs, protocol, title):
    """The Figure of one protocol, with a bar for each timing; None without timings."""
    rows = [
        {
            "file": f"{run.name}, {timing.file.removeprefix('model_').removesuffix('.tflite')}",
            "where": f"{timing.device}; {timing.runtime} {timing.version}, threads {timing.threads}, batch"
            f" {timing.batch}",
            "ms": timing.median_ms / timing.batch,
            "p90": timing.p90_ms / timing.batch,
            "delegate": timing.delegate,
        }
        for run in runs
        for timing in dict.fromkeys(run.timings)
        if timing.protocol == protocol
    ]
    if not rows:
        return None
    wheres = numbered([row["where"] for row in rows], [row["file"] for row in rows])  # a file may be timed again
    rows = [row | {"where": where} for row, where in zip(rows, wheres)]
    chart = bars(rows, ("file", None), ("ms", "ms an image, median"), "where", "", ("p90:Q", "delegate:N"))
    caption = (
        "The median time of a batch, divided by its number of images. From export/benchmark*.json, where you can copy"
        " those of devices, and from --benchmarks. Compare only times at which the delegate ran the same part of the"
        " graph (the tooltip of a bar says which)."
    )
    return Figure("latency" if protocol == "memory" else f"latency-{protocol}", title, caption, chart=chart)


def compaction(runs):
    rows = [
        (run.name, file.format, number(file.parameters), number(file.multiply_adds))
        + (number(run.manifest.parameters), number(run.manifest.multiply_adds))
        for run in runs
        for file in run.files
        if file.format in FORMATS and FORMATS[file.format].compact
    ]
    if not rows:
        return Missing("Compact files", "bin/export_tflite --formats=compact,... writes them")
    columns = ("run", "format", "parameters", "multiply-adds", "parameters before", "multiply-adds before")
    caption = "Compact files leave out filters and neurons whose weights are all zero. Before: in the Keras net."
    return Figure("compaction", "Compact files", caption, columns=columns, rows=rows)


FIGURES = (size, notes, latency, compaction)
