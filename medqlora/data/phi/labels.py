"""Numbers after a word that says what they are, as data.

A laboratory value or a dose looks like any identifier, so that a number needs its label.
"""

from __future__ import annotations

import re

from medqlora.data.phi.rule import PhiRule
from medqlora.domain.phi import PhiKind

_VALUE = (
    r"(?!NCT\d)(?!\d{1,3}-\d{1,3}(?![\d-]))(?P<phi>#?[A-Za-z0-9]{1,24}(?:[-/._][A-Za-z0-9]{1,24})"
    r"{0,5}(?:[ ]\d{3,10}){0,4})"
    r"(?![A-Za-z0-9])(?!\s?(?:mg|ml|mcg|patients|subjects|participants|women|men|children|years)\b)"
)
_SHAPED_VALUE = r"(?=#|[A-Z]{1,5}-?\d{4})"
_MARK = r"\s{0,2}(?:(?:number|num|no|nr|n[°º]|id|code)\b\.?|(?=#))"
_LINK = r"(?:\s(?:is|was|of)\b|#?\s?[:=(]){0,3}\s{0,2}(?:#\s)?"
_JOINTS = {
    # A word that hardly ever stands before another number.
    "strong": rf"(?:{_MARK})?{_LINK}(?!(?:19|20)\d\d\b(?!-))",
    # A word of everyday language: it takes a mark such as "number" or ":", or a value in the
    # shape of an identifier.
    "weak": rf"(?:{_MARK}{_LINK}|\s?:{_LINK}(?!(?:19|20)\d\d\b(?!-))|\s(?:is\s)?{_SHAPED_VALUE})",
}


def _labelled(
    kind: PhiKind, labels: str, reason: str, *, joint: str = "strong", score: float = 0.9
) -> PhiRule:
    pattern = rf"(?<![A-Za-z0-9])(?:{labels})(?![A-Za-z]){_JOINTS[joint]}{_VALUE}"
    return PhiRule(
        kind=kind,
        pattern=re.compile(pattern, re.IGNORECASE),
        score=score,
        reason=reason,
        min_digits=3,
    )


LABEL_RULES: tuple[PhiRule, ...] = (
    _labelled(
        "mrn",
        r"m\.?r\.?n|mr\s?#|med(?:ical)?\.?\s?rec(?:ord)?s?|uhid|csn|emr|ehr|patienten-?(?:nr|nummer|id)"
        r"|fallnummer|historia cl[íi]nica|nhc|num[ée]ro de dossier|ipp|prontu[áa]rio"
        r"|cartella clinica|病历号|住院号",
        "a number after a word for a medical record",
    ),
    _labelled(
        "mrn",
        r"rec(?:ord)?s?|charts?|hospital|unit|clinic|visit|encounter|admission|episode|case|file"
        r"|accession|specimen|dossier",
        "a number after a word for a medical record",
        joint="weak",
        score=0.8,
    ),
    _labelled(
        "health_plan",
        r"medicare|medicaid|mbi|hicn|hpbn|hpn|versicherten-?(?:nr|nummer)|kvnr"
        r"|krankenversicherung\w{0,8}|ohip|phn|ihi|nhs|tarjeta sanitaria|carte vitale",
        "a number after a word for a health plan",
    ),
    _labelled(
        "health_plan",
        r""
        r"(?:health\s)?(?:insurance|plan|policy|member(?:ship)?|subscriber|beneficiary|coverage|payer|group|card)(?:\s(?:plan|policy|card|member|group|beneficiary))?"
        r"|ins|insurer|insurer|hmo|ppo|blue\s?cross|bcbs|aetna|cigna|humana|unitedhealth(?:care)?|kaiser"
        r"|mutuelle|krankenkasse",
        "a number after a word for a health plan",
        joint="weak",
        score=0.8,
    ),
    _labelled(
        "account",
        r"acc(?:oun)?t|a/c|billing|invoice|iban|bank|routing|(?:credit|debit)\s?card|payment"
        r"|konto|compte|cuenta|guarantor",
        "a number after a word for an account",
        joint="weak",
        score=0.8,
    ),
    _labelled(
        "licence",
        r"npi|dea|upin|gmc|nmc|kontonummer|passport|reisepass|passeport|pasaporte"
        r"|f[üu]hrerschein(?:nummer)?|driver'?s?\s?licen[cs]e|ahpra",
        "a number after a word for a licence or certificate",
    ),
    _labelled(
        "licence",
        r"licen[cs]e|lic|certificate|certification|cert|registration|permit|dl",
        "a number after a word for a licence or certificate",
        joint="weak",
        score=0.8,
    ),
    _labelled(
        "vehicle",
        r"(?:licen[cs]e|number|registration|vehicle)\s?plates?|vin|kennzeichen|immatriculation"
        r"|matr[íi]cula|car\sreg(?:istration)?",
        "a number after a word for a vehicle",
    ),
    _labelled(
        "vehicle",
        r"plates?|tag|vehicle",
        "a number after a word for a vehicle",
        joint="weak",
        score=0.8,
    ),
    _labelled(
        "device",
        r"serial|s/n|udi|imei|seriennummer|udid",
        "a number after a word for a device",
    ),
    _labelled(
        "device",
        r"sn|device|implant|lot|lead|pacemaker|icd serial|pump|model|pulse generator|sensor"
        r"|ventilator",
        "a number after a word for a device",
        joint="weak",
        score=0.8,
    ),
    _labelled(
        "ssn",
        r"ssn|s\.s\.n|social\s?sec(?:urity)?|soc\s?sec|itin|aadhaa?r|nino|national insurance|bsn"
        r"|cpf|dni|codice fiscale|rentenversicherung\w{0,10}|personnummer|pesel|curp|nric"
        r"|national\s?id(?:entity)?|身份证号?码?",
        "a number after a word for a national number",
    ),
    _labelled(
        "unique_id",
        r"pt|patient|subject|participant|study|client|employee|student|user|customer|badge|order"
        r"|prescription|rx|reference|ref|confirmation|ticket|tracking|donor|sample|barcode"
        r"|identifier|identification|referral|claim|authori[sz]ation|auth|military|trial",
        "a number after a word for an identifier",
        joint="weak",
        score=0.8,
    ),
    _labelled(
        "unique_id",
        r"id",
        "a number after a word for an identifier",
        score=0.7,
    ),
)
