"""What stands around names of people, as data: titles, labels, words before and after.

In the word lists an underscore stands for a space.
"""

from __future__ import annotations

import re


def _any(words: str) -> str:
    """A pattern for any of the words, which are patterns themselves."""
    return "(?:" + "|".join(words.split()).replace("_", r"\s") + ")"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


PARTICLES = _set(
    """de da dos das do del della di du la le van von der den ter ten el al bin ibn binti bint abu
    ben bar st mac af zu y e san santa dela"""
)
SUFFIXES = _set("jr sr ii iii iv")

# With a full stop or without one.
_SHORT_TITLES = _any(
    """mr mrs ms mx dr drs prof rev fr sr sra srta hr mme mlle dott sig sgt lt capt dra mevr dhr
    smt"""
)
_LONG_TITLES = _any(
    """miss doctor professor sir madam nurse reverend pastor rabbi imam señora? señorita doña herr
    frau monsieur madame mademoiselle dottoressa signora? captain officer mevrouw meneer shri"""
)
TITLE = re.compile(
    rf"(?<![\w.-])(?P<title>(?:{_SHORT_TITLES}(?:\.(?!\w\.\w)\s{{0,2}}|\s)|{_LONG_TITLES}\s)"
    r"(?:(?:med|dr|prof|dent)\b\.?\s?){0,2})(?=\w)",
    re.IGNORECASE,
)
# Titles that are words of their own when written small and without a full stop.
SMALL_WORDS = _set("fr sr miss sir hr nurse officer doctor professor ms lt sig captain")
NOT_A_NAME_AFTER_TITLE = _set(
    """said says told and or the to is was who has had appointment office visit prescribed gave if
    when about for in on at wants put would will not does did just can could should please thank
    thanks of with as a an i my so but x y z"""
)

_PEOPLE = _any(
    """male female man woman boy girl gentleman lady patient pts? child infant baby newborn toddler
    teen(?:ager)? adolescent veteran yo y/o y\\.o old m f resident client subject case nurse
    physician surgeon provider therapist pharmacist mother father son daughter wife husband partner
    brother sister uncle aunt cousin friend spouse grandmother grandfather grandson niece
    granddaughter nephew neighbou?r mom mum dad boyfriend girlfriend fianc[ée]e? caregiver
    colleague twin patiente paciente patientin paziente"""
)
_CALLED = _any(
    """named called name'?s name_is name_was signed_by dictated_by transcribed_by known_as
    llamad[oa] nomm[ée]e? namens"""
)
CALLED_BEFORE = re.compile(rf"\b{_CALLED}\s$", re.IGNORECASE)
STRONG_BEFORE = re.compile(
    rf"(?:\b{_CALLED}\s|\b{_PEOPLE}\.?(?:,|:|\s-|\s\(|\s\u2013)?\s)$", re.IGNORECASE
)
_WEAK = _any(
    """by notes?_for for like with to from and per re regarding about of referencing see hi hello
    dear thanks regards sincerely cheers ref i_am i'm this_is signed dictated"""
)
CUE_BEFORE = re.compile(
    rf"(?:\b{_CALLED}\s|\b{_PEOPLE}\.?(?:,|:|\s-|\s\(|\s\u2013)?\s|\b{_WEAK},?\s"
    r"|[(,;:\u2013-]\s?)$",
    re.IGNORECASE,
)
GREETING_BEFORE = re.compile(
    r"(?:\bhi|\bhello|\bdear|\bthanks|\bregards|\bsincerely),?\s$", re.IGNORECASE
)
SAINT_BEFORE = re.compile(r"\b(?:St|Saint|San|Santa|Mt|Mount)\.?\s$")

# After these a name is expected, whatever its spelling.
_NAME_LABELS = _any(
    """(?:patient|pt|client|subject|full|first|last|family|given|maiden|contact|mother|father)(?:'s)?_name
    name surname forename nombre apellidos? nom pr[ée]nom vorname nachname cognome nome naam
    name_der_patientin name_des_patienten nombre_del_paciente nom_du_patient 姓名"""
)
NAME_LABEL = re.compile(rf"(?<![\w-]){_NAME_LABELS}\s?[:=]\s{{0,3}}(?=\w)", re.IGNORECASE)
# After these a name may come, or a sentence: what follows has to look like a name.
_ROLE_LABELS = _any(
    """patient pt client mother father emergency_contact contact next_of_kin nok guarantor provider
    physician doctor attending(?:_physician)? surgeon referring_(?:physician|provider|doctor) pcp
    ordering_provider nurse author dictated_by (?:electronically_)?signed(?:_by)? reviewed_by
    transcribed_by seen_by cc from to paciente patientin paziente hausarzt arzt m[ée]decin
    m[ée]dico re"""
)
ROLE_LABEL = re.compile(rf"(?<![\w-]){_ROLE_LABELS}\s?[:=]\s{{0,3}}(?=\w)", re.IGNORECASE)

_DEGREES = _any(
    r"""M\.?D R\.?N N\.?P P\.?A(?:-C)? D\.?O Ph\.?D MBBS FRCP DDS DPM LCSW PharmD PT DPT CRNP APRN
    LPN"""
)
AFTER = re.compile(
    r"^(?:,?\s(?:(?:is|was)\s)?(?:an?\s)?(?:age\s|aged\s)?\d{1,3}[\s-]?(?:y|M\b|F\b|year|mo|week|day)"
    r"|,?\s(?:is|was)\san?\s(?:\d|\w{1,12}-year|pleasant|very)"
    r"|,?\s?\(?(?:MRN|DOB|D\.O\.B|SSN|ID\b|M\.R\.N|MR#|phone|DoB|dob|mrn)"
    rf"|,\s?{_DEGREES}\b|,?\s\d{{1,2}}[MF]\b|,?\s(?:aged?|age)\s\d)"
)
_VERBS = _any(
    """is was has had presented presents reports reported denies complains complained came arrived
    who went underwent lives lived called says said told asked feels started wants needs takes took
    states stated got appears seems tolerated will"""
)
VERB_AFTER = re.compile(rf"^,?\s{_VERBS}\b")
GOES_ON = re.compile(
    r"^(?:['\u2019]s\b|\s"
    + _any("seen who at is was has had with w/ for on from in and presented reports came")
    + r"(?!\w))"
)

# Small words that end a search for the noun of an eponym.
STOPS = _set("and or is was has had in on at with for of to who the a an by from")
# Capitalised words that end a name.
NO_NAME = _set(
    """hospital clinic center centre medical university health healthcare street st avenue ave road
    rd dr drive lane mrn dob ssn id phone email fax md rn np pa do phd mbbs address date age sex
    gender male female diagnosis history patient doctor physician nurse dept department ward room
    unit institute school college foundation pharmacy office county city state insurance plan
    medicare medicaid and of the i"""
)
