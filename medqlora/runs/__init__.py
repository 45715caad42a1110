"""Jobs as processes: a directory, a log of what happened, a worker, a thread that watches."""
