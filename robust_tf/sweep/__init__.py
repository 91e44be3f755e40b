"""A grid of runs, each trained, evaluated and exported; finished runs are skipped, interrupted runs resume.

grid.py     flags -> the runs of a sweep, and the dense runs that they start from
plan.py     checks all flags, and plans the jobs
job.py      one run: its commands, one after the other, as processes
engines.py  where jobs run: processes of this machine, or a Ray cluster
table.py    mean and standard deviation over seeds
sweep.py    runs the jobs of a plan
"""
