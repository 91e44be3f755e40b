"""Training: RobustModel, the schedules and callbacks that drive it, and the papers' methods as lists of stages."""
