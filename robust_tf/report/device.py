"""Bytes and milliseconds of the files, on every device that has timed them (thesis, 4.7, 4.8, D.1, D.2)."""

from robust_tf.report.figures import Figure, Missing, bars, number


def size(runs):
    rows = [
        {"file": f"{run.name}, {file['format']}", "how": how, "bytes": file[key], "clean": file["clean_accuracy"]}
        for run in runs
        for file in run.manifest.get("files", [])
        for how, key in (("as it is", "bytes"), ("gzip", "gzip_bytes"))
    ]
    if not rows:
        return Missing("Bytes", "bin/export_tflite writes the files and their manifest")
    chart = bars(rows, ("file", None), ("bytes", "bytes"), "how", "~s", ("clean:Q",))
    return Figure("bytes", "Bytes of the files", "And of what gzip makes of them.", chart=chart)


def latency(runs):
    rows = [
        {
            "file": f"{run.name}, {record['file'].removeprefix('model_').removesuffix('.tflite')}",
            "where": f"{record['device']}; {record['runtime']} {record['version']}, threads {record['threads']}",
            "ms": record["median_ms"],
            "p90": record["p90_ms"],
            "delegate": record["delegate"],
        }
        for run in runs
        for record in run.benchmarks
        if record["protocol"] == "memory"
    ]
    if not rows:
        return Missing("Milliseconds", "bin/benchmark --workdir=RUN writes them; so does the script on a device")
    chart = bars(
        rows, ("file", None), ("ms", "ms, median of one image in memory"), "where", "", ("p90:Q", "delegate:N")
    )
    caption = (
        "Every benchmark*.json in export/ counts, and those of --benchmarks: copy the devices' there. Times compare"
        " where the delegate took the same part of the graph."
    )
    return Figure("latency", "Milliseconds of the files", caption, chart=chart)


def compaction(runs):
    rows = [
        (run.name, file["format"], number(file["parameters"]), number(file["multiply_adds"]))
        + (number(run.manifest["parameters"]), number(run.manifest["multiply_adds"]))
        for run in runs
        for file in run.manifest.get("files", [])
        if file["format"].startswith("compact") and "parameters" in run.manifest
    ]
    if not rows:
        return Missing("Compaction", "bin/export_tflite --formats=compact,... writes such files")
    columns = ("run", "format", "parameters", "multiply-adds", "of parameters", "of multiply-adds")
    return Figure("compaction", "What compaction left", columns=columns, rows=rows)


FIGURES = (size, latency, compaction)
