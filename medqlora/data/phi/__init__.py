"""The PHI screen: finds what may identify a person in a text, and masks, replaces or drops it.

rules      identifiers with a shape or a label, as a table
dates      calendar dates and ages over 89
names      names of people, from lexicons, titles and context
places     facilities, addresses, postal codes, places below a state
lexicons   the words the screen knows
screen     `PhiScreen`: all of it on one text
bulk       many texts, several processes
surrogates other values in place of those found
entries    an action applied to the entries of a dataset
limits     what it covers, what it does not, and what was measured
"""
