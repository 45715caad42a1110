"""The PHI screen: finds what may identify a person in a text, and masks, replaces or drops it.

`screen` is the door: `PhiScreen` on one text. It asks `rules` (identifiers with a shape) with
`labels` (numbers with a word in front), `dates`, `names` (with `name_cues`, `name_judging` and
`chinese_names`) and `places` (with `addresses` and `facilities`); `lexicons` and `tokens` say what
is known about a word. `bulk` takes many texts through several processes, `surrogates` makes other
values, `entries` applies an action to the entries of a dataset, `limits` says what is not covered.
"""
