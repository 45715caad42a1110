"""From a file to a prepared dataset, one row at a time.

drafting   a file becomes a draft: checked, screened, counted, nothing decided
hints      which columns hold labels, patients or documents
finishing  a draft and the user's choices become a dataset: cleaned, screened, split, compared
overlap    training questions that a benchmark also asks
lengths    how many tokens entries have, and what a length cuts off
proof      an entry token by token, as training sees it
records    the files of all this

No more than one row and some numbers for each are in memory. Nothing here starts a process.
"""
