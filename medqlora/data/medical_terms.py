"""Terms by which a tokenizer's hold on medical language is judged: drugs, units, abbreviations.

A sample of common ones, not a dictionary; a new term is one word in the table.
"""

from __future__ import annotations

from collections.abc import Mapping

MEDICAL_TERMS: Mapping[str, tuple[str, ...]] = {
    "drug": (
        "acetaminophen",
        "amlodipine",
        "amoxicillin",
        "apixaban",
        "atorvastatin",
        "ceftriaxone",
        "clopidogrel",
        "dexamethasone",
        "enoxaparin",
        "furosemide",
        "heparin",
        "ibuprofen",
        "insulin",
        "levothyroxine",
        "lisinopril",
        "metformin",
        "metoprolol",
        "morphine",
        "omeprazole",
        "prednisone",
        "salbutamol",
        "sertraline",
        "vancomycin",
        "warfarin",
    ),
    "unit": ("mg", "mcg", "µg", "mmol/L", "mg/dL", "mmHg", "mL/min", "IU", "mEq/L", "kg/m2"),
    "abbreviation": (
        "ACE",
        "BMI",
        "CKD",
        "COPD",
        "CT",
        "ECG",
        "eGFR",
        "HbA1c",
        "HIV",
        "INR",
        "LDL",
        "MRI",
        "NSAID",
        "SpO2",
        "TSH",
    ),
}
"""Terms by kind, spelt as they are usually written."""
