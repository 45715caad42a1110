"""Training in this process: the trainer, what it reports, and what it uses of the machine."""
