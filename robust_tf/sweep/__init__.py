"""A grid of runs, each trained, evaluated and exported; what is finished is skipped, what was stopped goes on.

grid.py     flags -> the runs of a sweep, and the dense nets that they share
plan.py     what will be done, and refusals of what cannot
job.py      one run: its commands, one after the other, as processes
engines.py  where jobs run: processes of this machine, or a Ray cluster
table.py    mean and spread over seeds
sweep.py    all of it
"""
