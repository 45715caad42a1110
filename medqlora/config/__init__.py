"""Settings of a run: what they mean, what they may be, and what suits a model and a machine."""
