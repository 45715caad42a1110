"""Addresses, postal codes, and places with their state, as rules."""

from __future__ import annotations

import re

from medqlora.data.phi.rule import PhiRule

STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK"
    "|OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|PR|ON|QC|BC|AB|MB|SK|NS|NB|NSW|VIC|QLD|TAS|ACT"
)
STATE_NAMES = (
    "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|Indiana|Iowa"
    "|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada"
    "|New Hampshire|New Jersey|New Mexico|New York|North Carolina|North Dakota|Ohio|Oklahoma"
    "|Oregon|Pennsylvania|Rhode Island"
    "|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West Virginia"
    "|Wisconsin|Wyoming"
    "|Ontario|Quebec|British Columbia|Alberta|Manitoba|Saskatchewan|Nova Scotia"
)
_UP = r"[A-Z\u00c0-\u00de\u0100-\u017f]"
_WORD = rf"{_UP}[\w\u00df-\u00ff'\u2019-]{{0,30}}"
_NAME = rf"{_WORD}\.?(?:\s{_WORD}\.?){{0,3}}"
_STREET = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq|Terrace|Ter|Way|Parkway|Pkwy|Highway"
    r"|Hwy|Circle|Cir|Crescent|Close|Trail|Row|Mews|Gardens|Quay|Alley|Pike|Loop|Turnpike|street|avenue|road|lane|drive|boulevard|ave|blvd|rd)"
)
_UNIT = r"(?:,?\s(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Room|Rm|#)\.?\s?#?[\w-]{1,6})?"
_CITY = rf"(?:,?\s{_NAME})?"
_ZIP = rf"(?:,?\s(?:{STATES}|{STATE_NAMES})\b\.?)?(?:,?\s\d{{5}}(?:-\d{{4}})?\b)?"
_UK_POSTCODE = r"[A-Z]{1,2}\d[A-Z\d]?\s\d[ABD-HJLNP-UW-Z]{2}"


def _rule(pattern: str, score: float, reason: str, flags: int = 0) -> PhiRule:
    return PhiRule(kind="location", pattern=re.compile(pattern, flags), score=score, reason=reason)


_FRENCH_STREET = (
    r"(?:[Rr]ue|[Aa]venue|[Bb]oulevard|[Bb]d|[Pp]lace"
    r"|[Cc]hemin|[Aa]llée|[Qq]uai|[Ii]mpasse|[Rr]oute)"
)
_ADDRESS = "the shape of an address"
PLACE_RULES: tuple[PhiRule, ...] = (
    _rule(
        rf"(?<![\w.,/-])\d{{1,6}}[A-Za-z]?,?\s(?:[NSEW]\.?\s|North\s|South\s|East\s|West\s)?(?:\d{{1,3}}(?:st|nd|rd|th)|{_NAME})\s{_STREET}\b\.?"
        rf"{_UNIT}{_CITY}{_ZIP}(?:,?\s{_UK_POSTCODE})?",
        0.95,
        _ADDRESS,
    ),
    _rule(
        r"(?<![\w.,/\u2013-])\d{1,5}\s(?!or\b|and\b|to\b)(?:[a-z]{3,20}\s){1,2}(?:street|avenue|road|boulevard|blvd)\b",
        0.8,
        _ADDRESS,
    ),
    _rule(
        r"\b\d{1,3}(?:st|nd|rd|th)\s(?:[Ss]treet|[Aa]venue|[Aa]ve|St)\b\.?(?:\s[Cc]linic)?",
        0.7,
        _ADDRESS,
    ),
    _rule(
        rf"\b(?:{_UP}[\w\u00df-\u00ff-]{{1,30}}(?:stra(?:ß|ss)e|str\.|weg|platz|allee|gasse|ring|damm|ufer|laan|straat|gracht|plein|gatan|vägen|gade|vej|veien)"
        rf"|(?:{_WORD}[ -]){{1,3}}(?:Straße|Strasse|Str\.|Weg|Platz"
        rf"|Allee))\s\d{{1,4}}\s?[a-z]?\b(?:,?\s(?:[A-Z]{{1,2}}-)?\d{{4,5}}\s?(?:[A-Z]{{2}}\s)"
        rf"?{_NAME})?",
        0.9,
        _ADDRESS,
    ),
    _rule(
        rf"(?<!\w)(?:\d{{1,4}}\s?(?:bis|ter)?,?\s{_FRENCH_STREET}\s|{_FRENCH_STREET}\s(?=de\s|des\s|du\s|d['\u2019]))"
        rf"(?:de\sla\s|de\sl['\u2019]|des\s|du\s|de\s|d['\u2019])?{_NAME}(?:,?\s\d{{5}}\s{_NAME})?",
        0.8,
        _ADDRESS,
    ),
    _rule(
        rf"(?<!\w)(?:Via|Viale|Piazza|Corso|Calle|C/|Avenida|Av\.|Avda\.|Plaza|Paseo|Rua|Travessa|Largo|Praça|ul\.|ulica)\s"
        rf"(?:del(?:la)?\s|de\s(?:la\s)?|di\s|da\s|do\s|dos\s|von\s)?{_NAME},?\s(?:n[.º°]?\s?)?\d{{1,4}}\b(?:,?\s(?:\d\d-)?\d{{3,5}}(?:-\d{{3}})?\s{_NAME})?",
        0.85,
        _ADDRESS,
    ),
    _rule(rf"\b{_NAME}\s(?:Street|Avenue|Boulevard|Road|Lane)\b(?!\sJournal)", 0.6, _ADDRESS),
    _rule(r"\bP\.?\s?O\.?\s?Box\s\d{1,6}\b", 0.9, _ADDRESS, re.IGNORECASE),
    _rule(
        rf"\b{_NAME},\s?(?!(?:MD|PA|DO)\b(?!,?\s\d{{5}}))(?:{STATES})\b(?:,?\s\d{{5}}(?:-\d{{4}})?\b)?(?![\w-])",
        0.8,
        "a place with its state",
    ),
    _rule(
        rf"\b(?:{STATES}|{STATE_NAMES}),?\s(?P<phi>\d{{5}}(?:-\d{{4}})?)\b", 0.9, "a postal code"
    ),
    _rule(
        r"\b(?:zip(?:\s?code)?|postal\s?code|postcode|plz|cap|cep"
        r"|code postal)\b\s?(?:is\s)?[:#]?\s?"
        r"(?P<phi>(?=[A-Z]{0,3}\d)[A-Z\d]{3,5}(?:[ -][A-Z\d]{3,4})?)\b",
        0.85,
        "a postal code",
        re.IGNORECASE,
    ),
    _rule(rf"(?<![\w-]){_UK_POSTCODE}(?![\w-])", 0.75, "a postal code"),
    _rule(r"(?<![\w-])[ABCEGHJ-NPRSTVXY]\d[A-Z]\s\d[A-Z]\d(?![\w-])", 0.75, "a postal code"),
    _rule(
        r"(?<![\w.,-])-?\d{1,2}\.\d{4,8}\s?°?\s?[NS]?,\s?-?\d{1,3}\.\d{4,8}\s?°?\s?[EW]?(?![\w.])",
        0.85,
        "coordinates",
    ),
    _rule(
        r"[\u4e00-\u9fff]{2,4}(?:省|市|县|区|大学)[\u4e00-\u9fff]{0,8}医院"
        r"|(?<![在去到于])(?:[\u4e00-\u9fff]{2,3})(?:协和|人民|中心|第[一二三四五六七八九十]|中医|妇幼保健|儿童|肿瘤)医院"
        r"|[\u4e00-\u9fff]{2,4}(?:市|县|区)[\u4e00-\u9fff]{2,8}(?:路|街|巷)(?:\d{1,5}号)?",
        0.7,
        "a word for a facility or an address",
    ),
)

STATE_AFTER = re.compile(rf"^,?\s(?:{STATES}|{STATE_NAMES})\b")
_LIVES = re.compile(
    r"(?:\b(?:lives?|living|lived|resid(?:es|ing|ent)|moved|born|based|works?|working|from"
    r"|grew up|travel(?:led|ed|s)?|relocated)\b[^.;:\n]{0,20}\b(?:in|from|to|near|at|of)"
    r"|\bfrom)\s$",
    re.IGNORECASE,
)


STATE_AFTER = re.compile(
    rf"(?:,?\s(?:in\s)?(?:{STATES}|{STATE_NAMES})\b)?(?:,?\s\d{{5}}(?:-\d{{4}})?\b)?"
)
"""What may follow a place and belongs to it."""
