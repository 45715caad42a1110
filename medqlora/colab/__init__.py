"""The machine and the notebook session: what is installed, what it offers, how long it lasts."""
