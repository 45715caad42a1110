"""From a file that somebody has to checked, split question-answer entries.

`formats` reads rows, `columns` says what they mean, `entries` builds entries, `validator` counts
what is wrong with them, `cleaning` mends white space, `splitting` holds some out, `phi` screens for
patient data, and `loader` is the one door to it all. Nothing here imports torch, and `datasets`
only where a `datasets.Dataset` is asked for.
"""
