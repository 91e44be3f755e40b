"""A job's commands: each is run once for a net and resumed after a failure; no command outlives its worker."""

from robust_tf.sweep.job import DONE, STOPPED, Job, finish, last_line

TRAINS = "import pathlib, sys; net = pathlib.Path(sys.argv[1]); net.exists() or net.write_text('net');"
TRAINS += "(net.parent / 'summary.json').write_text('{}')"
COUNTS = "import sys; open(sys.argv[1], 'a').write('x')"


def job_of(folder, *commands):
    (folder / "run").mkdir(exist_ok=True)
    train = ["-c", TRAINS, str(folder / "run" / "model.keras")]
    return Job(folder / "run", folder / "log", [train, *commands], folder)


def test_what_is_done_is_not_done_again(tmp_path):
    job = job_of(tmp_path, ["-c", COUNTS, str(tmp_path / "count")])
    assert finish(job) == finish(job) == ""
    assert (tmp_path / "count").read_text() == "x"
    (tmp_path / "run" / "model.keras").write_text("another net")
    assert finish(job) == ""
    assert (tmp_path / "count").read_text() == "xx"


def test_a_failure_is_told_and_gone_on_from(tmp_path):
    fails = ["-c", "import pathlib, sys; sys.exit('no disk' if not pathlib.Path('there').exists() else 0)"]
    job = job_of(tmp_path, ["-c", COUNTS, str(tmp_path / "count")], fails)
    assert finish(job) == "no disk"
    (tmp_path / "there").touch()
    assert finish(job) == ""
    assert (tmp_path / "count").read_text() == "x"
    log = (tmp_path / "log").read_text()
    assert log.startswith("$ python -c ")
    assert "no disk" in log


def test_a_training_that_was_stopped_is_no_success(tmp_path):
    job = Job(tmp_path, tmp_path / "log", [["-c", "pass"]], tmp_path)
    assert finish(job) == STOPPED


def test_a_signal_is_named(tmp_path):
    job = job_of(tmp_path, ["-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
    assert finish(job) == "killed by SIGKILL"


def test_a_damaged_record_is_made_anew(tmp_path):
    job = job_of(tmp_path)
    assert finish(job) == ""
    (tmp_path / "run" / DONE).write_text('{"')
    assert finish(job) == ""


def test_the_last_line(tmp_path):
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_text("first\n" * 5000 + "last \n\n")
    assert last_line(log) == "last"
