"""Callbacks of Keras' fit, which trains a stage; one callback in each file.

schedule.py            sets eps, the attack's gradient steps and the learning rate
pacing.py              delays k or eps after an epoch whose loss is too high
constraint_updates.py  starts and updates the weight constraint
shipping.py            validates the net that would ship
support.py             follows which weights would ship
selection.py           saves the best weights
restore.py             restores the weights after fit
history.py             writes history.csv
checkpoints.py         saves what a resumed run needs
stopping.py            saves a checkpoint and stops when the run is asked to stop
explosion.py, overfitting.py, extension.py   end a stage early, or extend it
progress.py            shows a progress bar and prints a line for each epoch
"""
