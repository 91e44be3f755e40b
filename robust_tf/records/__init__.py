"""The files that one part writes and another reads, as dataclasses: no part uses a key that no dataclass declares.

| file of a run directory | record | written by | read by |
|---|---|---|---|
| config.json | training.config.TrainConfig | train | all later commands |
| classes.json | a list of names | train | train (resumed), evaluate, export_tflite |
| images.json | images.OwnImages | train | train (resumed), evaluate, export_tflite |
| imported.json | imported.Imported | train, import | train (resumed) |
| history.csv | history.HistoryRow, one per row | train | train (resumed), report |
| summary.json | summary.Summary | train | train (resumed), quickstart, report, sweep |
| evaluation/*.json | evaluation.Evaluation's kinds, by mode | evaluate | quickstart, report, sweep |
| export/manifest.json | manifest.Manifest | export_tflite | evaluate, export_tflite, quickstart, report, sweep |
| export/benchmark*.json | benchmark.Timings | benchmark | quickstart, report |
| done.json | sweep.Done | sweep | sweep (resumed) |

sweep.json, a sweep.Sweep, is in the folder of a sweep. A later sweep in that folder reads it, to name the runs that it
leaves out.

record.py reads, checks and writes them; each has a version number.
"""
