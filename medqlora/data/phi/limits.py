"""What the PHI screen covers and what it does not, in sentences for the page and the README.

The figures are what `python -m tests.benchmarks.phi` printed for these rules.
"""

from __future__ import annotations

COVERS = (
    "Names of people, places below a state, dates except years, ages over 89, telephone and fax "
    "numbers, e-mail and web addresses, IP addresses, and numbers with a label or a known shape: "
    "social security, medical record, health plan, account, licence, vehicle, device, other codes."
)
DOES_NOT_COVER = (
    "Pictures, voices and fingerprints.",
    "Names without a title, a label or a frequent spelling, above all in small letters.",
    "Nicknames, misspelt names, and rare places without a word such as hospital or street.",
    "Numbers that identify somebody but have neither a label nor a known shape.",
    "Vague dates such as last month, and what only the whole story gives away.",
    "Languages other than English as well as English; a few others are read in part.",
)
MEASURED = (
    "On a held-out half of ASQ-PHI (525 synthetic clinical questions in English), the screen "
    "covered 98.1 % of 1,483 labelled identifiers and touched 2 of 112 questions that hold none."
)
NO_CERTIFICATE = "A PHI screen helps to find identifiers; it cannot certify that none is left."
