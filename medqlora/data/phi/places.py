"""Places below a state: facilities, addresses, postal codes and cities."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from medqlora.data.phi.rule import PhiRule
from medqlora.data.phi.tokens import Token, Vocabulary
from medqlora.domain.phi import PhiSpan

_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK"
    "|OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|PR|ON|QC|BC|AB|MB|SK|NS|NB|NSW|VIC|QLD|TAS|ACT"
)
_STATE_NAMES = (
    "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|Indiana|Iowa"
    "|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada"
    "|New Hampshire|New Jersey|New Mexico|New York|North Carolina|North Dakota|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode Island"
    "|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West Virginia|Wisconsin|Wyoming"
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
_ZIP = rf"(?:,?\s(?:{_STATES}|{_STATE_NAMES})\b\.?)?(?:,?\s\d{{5}}(?:-\d{{4}})?\b)?"
_UK_POSTCODE = r"[A-Z]{1,2}\d[A-Z\d]?\s\d[ABD-HJLNP-UW-Z]{2}"


def _rule(pattern: str, score: float, reason: str, flags: int = 0) -> PhiRule:
    return PhiRule(kind="location", pattern=re.compile(pattern, flags), score=score, reason=reason)


_ADDRESS = "the shape of an address"
PLACE_RULES: tuple[PhiRule, ...] = (
    _rule(
        rf"(?<![\w.,/-])\d{{1,6}}[A-Za-z]?,?\s(?:[NSEW]\.?\s|North\s|South\s|East\s|West\s)?(?:\d{{1,3}}(?:st|nd|rd|th)|{_NAME})\s{_STREET}\b\.?"
        rf"{_UNIT}{_CITY}{_ZIP}(?:,?\s{_UK_POSTCODE})?",
        0.95,
        _ADDRESS,
    ),
    _rule(
        r"(?<![\w.,/-])\d{1,6}\s(?:[a-z]{2,20}\s){1,3}(?:street|avenue|road|lane|drive|boulevard|court|ave|blvd|rd)\b",
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
        rf"|(?:{_WORD}[ -]){{1,3}}(?:Straße|Strasse|Str\.|Weg|Platz|Allee))\s\d{{1,4}}\s?[a-z]?\b(?:,?\s(?:[A-Z]{{1,2}}-)?\d{{4,5}}\s?(?:[A-Z]{{2}}\s)?{_NAME})?",
        0.9,
        _ADDRESS,
    ),
    _rule(
        rf"(?<!\w)(?:\d{{1,4}}\s?(?:bis|ter)?,?\s)?(?:rue|avenue|boulevard|bd|place|chemin|allée|quai|impasse|route|Rue|Avenue|Boulevard|Place|Chemin|Quai)"
        rf"\s(?:de\sla\s|de\sl['\u2019]|des\s|du\s|de\s|d['\u2019])?{_NAME}(?:,?\s\d{{1,4}})?(?:,?\s\d{{5}}\s{_NAME})?",
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
        rf"\b{_NAME},\s?(?:{_STATES})\b(?:,?\s\d{{5}}(?:-\d{{4}})?\b)?(?![\w-])",
        0.8,
        "a place with its state",
    ),
    _rule(
        rf"\b(?:{_STATES}|{_STATE_NAMES}),?\s(?P<phi>\d{{5}}(?:-\d{{4}})?)\b", 0.9, "a postal code"
    ),
    _rule(
        r"\b(?:zip|zip\s?code|postal\s?code|postcode|plz|cap|cep|code postal)\b\s?(?:is\s)?[:#]?\s?(?P<phi>[A-Z\d]{3,5}(?:[ -][A-Z\d]{3,4})?)\b",
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
        r"[\u4e00-\u9fff]{2,8}(?:医院|诊所|卫生院|卫生所)|[\u4e00-\u9fff]{2,6}(?:省|市|县|区)[\u4e00-\u9fff\d]{2,12}(?:路|街|号|村|镇|乡)",
        0.7,
        "a word for a facility or an address",
    ),
)

_HEADS = frozenset(
    [
        "hospital",
        "hospitals",
        "hosp",
        "clinic",
        "clinics",
        "infirmary",
        "hospice",
        "sanatorium",
        "polyclinic",
        "healthcare",
        "pharmacy",
        "krankenhaus",
        "klinik",
        "klinikum",
        "universitätsklinikum",
        "uniklinik",
        "hôpital",
        "hopital",
        "clinique",
        "ospedale",
        "hospitalet",
        "ziekenhuis",
        "sjukhus",
        "szpital",
        "policlinico",
        "sygehus",
        "sykehus",
        "chu",
        "urgentcare",
        "dispensary",
        "rehab",
        "center",
        "centre",
        "facility",
        "office",
        "branch",
        "site",
        "location",
        "campus",
        "practice",
    ]
)
_LONG_HEADS = (
    re.compile(
        r"(?:medical|med\.?|health|cancer|heart|surgical|surgery|care|trauma|rehab(?:ilitation)?|dialysis|nursing|imaging|wellness|treatment"
        r"|community|family|women['\u2019]s|children['\u2019]s|veterans|va|birth|eye|spine|pain|regional|primary care|psychiatric|sleep)\s"
        r"(?:centers?|centres?|ctr\.?|cent(?:er|re)|group|associates|practice|partners|system|campus|services|network|plaza|institute|pavilion)",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?:nursing|care|retirement|group|assisted living|skilled nursing|rest)\s(?:home|facility|village|community|residence)|assisted living|urgent care"
        r"|general practice|family medicine|internal medicine associates|health centre|hospital center|primary care",
        re.IGNORECASE,
    ),
)
_WEAK_HEADS = frozenset(
    [
        "center",
        "centre",
        "facility",
        "office",
        "branch",
        "site",
        "location",
        "campus",
        "practice",
        "health",
        "general",
        "memorial",
        "medical",
        "med",
        "medicine",
        "university",
        "college",
        "school",
        "academy",
        "prison",
        "jail",
        "office",
        "facility",
        "center",
        "centre",
        "presbyterian",
        "methodist",
        "elementary",
        "church",
        "surgery",
        "practice",
        "lab",
        "laboratories",
        "laboratory",
        "campus",
        "branch",
        "unit",
    ]
)
_CONNECTORS = frozenset(
    ["of", "and", "&", "the", "for", "de", "del", "della", "di", "du", "des", "la", "le", "st"]
)
_LEADING = frozenset(
    [
        "the",
        "a",
        "an",
        "at",
        "in",
        "from",
        "to",
        "our",
        "this",
        "that",
        "these",
        "her",
        "his",
        "their",
        "my",
        "your",
        "any",
        "each",
        "for",
        "and",
        "of",
        "on",
        "with",
        "by",
        "is",
        "was",
        "local",
        "nearby",
        "some",
        "what",
        "which",
        "patient",
        "patients",
        "dr",
        "called",
        "visit",
        "seen",
        "treated",
        "hospital",
        "clinic",
        "outpatient",
        "inpatient",
        "if",
        "when",
        "where",
        "national",
        "international",
    ]
)
_GENERIC = frozenset(
    [
        "hospital",
        "clinic",
        "university",
        "medical",
        "center",
        "centre",
        "health",
        "care",
        "department",
        "outpatient",
        "inpatient",
        "emergency",
        "surgical",
        "pediatric",
        "tertiary",
        "teaching",
        "public",
        "private",
        "primary",
        "district",
        "regional",
        "local",
        "children's",
        "women's",
        "dental",
        "eye",
        "cancer",
        "nursing",
        "home",
        "general",
        "family",
        "community",
        "practice",
        "national",
        "international",
        "hospitals",
        "clinics",
        "healthcare",
        "pharmacy",
        "and",
    ]
)
_VISIT = (
    r"(?:seen|treated|admitted|evaluated|examined|hospitali[sz]ed|operated|diagnosed|visit(?:ed|s|ing)?|referred|transferred|discharged|presented|presenting"
    r"|followed|follow-?up|f/u|surgery|appt|appointment|dialysis|born|lives|living|lived|resides|residing|resident|works|working|worked|employed"
    r"|consult(?:ed|ation)?|care|registered|enrolled|monitored|managed|cared|procedure|performed|underwent|delivered|attending|attends|rehab|therapy|chemo(?:therapy)?|scheduled"
    r"|patient|records?|done|placed|received|receiving|checked|clinic|scan|mri|ct|biopsy|stay|implanted|inserted|is|was|being|originally|moved|relocated|grew up|transplant|screened|assessed|reviewed|tested|imaging)"
)
_AT = re.compile(rf"\b(?P<prep>at|to|from|in|near)\s(?:the\s|our\s)?(?=(?P<first>{_UP}))")
_VISITED = re.compile(rf"\b{_VISIT}\b[^.;:!?\n]{{0,60}}$", re.IGNORECASE)
_SENT = re.compile(
    r"\b(?:admitted|transferred|discharged|referred|brought|sent|presented|returned|went|airlifted|moved)\b[^.;:!?\n]{0,25}$",
    re.IGNORECASE,
)
_PLACE_PREP = re.compile(
    r"(?:\b(?:in|from|of|near|at|to|around|outside|via|visiting|leaving|downtown|suburban)|,)\s(?:the\s|downtown\s|greater\s)?$",
    re.IGNORECASE,
)
_STATE_AFTER = re.compile(rf"^,?\s(?:{_STATES}|{_STATE_NAMES})\b")
_LIVES = re.compile(
    r"(?:\b(?:lives?|living|lived|resid(?:es|ing|ent)|moved|born|based|works?|working|from|grew up|travel(?:led|ed|s)?|relocated)\b[^.;:\n]{0,20}\b(?:in|from|to|near|at|of)"
    r"|\bfrom)\s$",
    re.IGNORECASE,
)


STATE_AFTER = re.compile(
    rf"(?:,?\s(?:in\s)?(?:{_STATES}|{_STATE_NAMES})\b)?(?:,?\s\d{{5}}(?:-\d{{4}})?\b)?"
)
"""What may follow a place and belongs to it."""


def find_places(text: str, tokens: Sequence[Token]) -> list[PhiSpan]:
    """The places of a text; they may overlap each other."""
    finder = _Finder(text, tokens)
    return [*finder.shaped(), *finder.facilities(), *finder.visited(), *finder.cities()]


class _Finder:
    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.text, self.tokens = text, tokens
        self.know = Vocabulary()
        self.at = {token.start: index for index, token in enumerate(tokens)}

    def shaped(self) -> Iterator[PhiSpan]:
        """Addresses, postal codes, coordinates."""
        for rule in PLACE_RULES:
            group = "phi" if "phi" in rule.pattern.groupindex else 0
            for match in rule.pattern.finditer(self.text):
                yield PhiSpan(
                    start=match.start(group),
                    end=match.end(group),
                    kind="location",
                    score=rule.score,
                    reason=rule.reason,
                )

    def facilities(self) -> Iterator[PhiSpan]:
        """Capitalised words that end in a word for a facility, and short names of hospitals."""
        for index, token in enumerate(self.tokens):
            head = self._head_end(index)
            if head is not None:
                first = self._first_of_facility(index)
                if first is not None:
                    last = self._tail(head)
                    yield self._span(first, last, 0.85, "a word for a facility")
            elif token.is_capital:
                last_known = self._known_facility(index)
                if last_known is not None:
                    yield self._span(index, last_known, 0.8, "a hospital's name")

    def _head_end(self, index: int) -> int | None:
        """Index of the last word of a word for a facility that begins here."""
        token = self.tokens[index]
        if token.key in _HEADS:
            return index
        for pattern in _LONG_HEADS:
            match = pattern.match(self.text, token.start)
            if match:
                last = index
                while last + 1 < len(self.tokens) and self.tokens[last + 1].start < match.end():
                    last += 1
                return last
        return None

    def _first_of_facility(self, head: int) -> int | None:
        """Index of the first word of the facility's name, None where it has no name."""
        first, index = head, head - 1
        while index >= 0 and head - index <= 7 and self._joined(index):
            token = self.tokens[index]
            if token.is_capital:
                first = index
            elif token.key not in _CONNECTORS:
                break
            index -= 1
        while first < head and self.tokens[first].key in _LEADING:
            first += 1
        while first < head and not self.tokens[first].is_capital:
            first += 1
        own = [token for token in self.tokens[first:head] if token.key not in _CONNECTORS]
        if not own:
            return None
        is_named = any(one.key not in _GENERIC for one in own)
        if not self.tokens[head].is_capital or self.tokens[head].key in _WEAK_HEADS:
            # "Dallas clinic" is one place; "COPD clinic" and "Warfarin clinic" are none.
            known = self.know.words.places
            return first if any(self._is_proper(one) or one.key in known for one in own) else None
        if not is_named:
            return first if own[0].key in ("general", "community") else None
        return first if any(self._names_a_facility(one) for one in own) else None

    def _is_proper(self, token: Token) -> bool:
        know = self.know
        return (
            not token.is_acronym
            and not know.is_word(token)
            and not know.is_eponym(token)
            and (know.family(token) == 2 or know.is_unknown_name(token))
        ) or token.key in know.words.facilities

    def _names_a_facility(self, token: Token) -> bool:
        return token.key not in self.know.words.acronyms and token.key not in _GENERIC

    def _joined(self, index: int) -> bool:
        left, right = self.tokens[index], self.tokens[index + 1]
        gap = self.text[left.end : right.start]
        if gap == ". ":
            return left.key in ("st", "mt", "ft", "ste", "med", "univ", "mem", "gen", "dr")
        return gap in (" ", "'s ", "\u2019s ", " & ", "-", "\u2013", "' ", "\u2019 ", "/")

    def _tail(self, last: int) -> int:
        """Takes in what follows a facility: `of Philadelphia`, `for Children`, ` Los Angeles`."""
        index = last
        while index + 1 < len(self.tokens) and index - last < 6 and self._joined(index):
            token = self.tokens[index + 1]
            if token.is_capital and not token.is_acronym and self._in_tail(token):
                last = index + 1
            elif token.key not in ("of", "for", "and", "the", "at"):
                break
            index += 1
        return last

    def _in_tail(self, token: Token) -> bool:
        return (
            token.key in self.know.words.places
            or token.key
            in (
                "children",
                "women",
                "new",
                "los",
                "san",
                "st",
                "medicine",
                "trust",
                "system",
                "center",
                "hospital",
            )
            or not self.know.is_word(token)
        )

    def _known_facility(self, index: int) -> int | None:
        names = self.know.words.facilities
        for length in (4, 3, 2, 1):
            last = index + length - 1
            if last >= len(self.tokens) or not all(map(self._joined, range(index, last))):
                continue
            words = self.tokens[index : last + 1]
            if not words[-1].is_capital:
                continue
            name = (
                self.text[words[0].start : words[-1].end]
                .lower()
                .replace("\u2019", "'")
                .replace(". ", " ")
            )
            possessive = name + ("'s" if words[-1].is_possessive else "")
            if name not in names and possessive not in names:
                continue
            if length == 1 and (
                self._follows_as_method(last) or not self._after_preposition(index)
            ):
                return None
            return last
        return None

    def _follows_as_method(self, last: int) -> bool:
        following = self.tokens[last + 1 : last + 3]
        return any(one.key in self.know.words.eponym_nouns for one in following)

    def _after_preposition(self, index: int) -> bool:
        before = self.text[max(0, self.tokens[index].start - 24) : self.tokens[index].start]
        return bool(_PLACE_PREP.search(before))

    def visited(self) -> Iterator[PhiSpan]:
        """What somebody was seen at, was sent to, comes from."""
        for match in _AT.finditer(self.text):
            first = self.at.get(match.start("first"))
            if first is None:
                continue
            before = self.text[max(0, match.start() - 70) : match.start()]
            surely = match["prep"] in ("at", "near") or bool(_SENT.search(before))
            if surely or _VISITED.search(before):
                last = self._place_run(first, surely=surely)
                if last is not None:
                    yield self._span(first, last, 0.65, "a visit to it")

    def _place_run(self, first: int, *, surely: bool) -> int | None:
        words, know = self.tokens, self.know
        last = index = first
        while index + 1 < len(words) and index - first < 5 and self._joined(index):
            following = words[index + 1]
            if following.is_capital and following.key not in _ENDS:
                last = index + 1
            elif following.key not in ("of", "and", "the"):
                break
            index += 1
        run = words[first : last + 1]
        if self._follows_as_method(last) or self._follows_as_method(first):
            return None
        names = [one for one in run if one.key not in _CONNECTORS]
        if run[0].key in ("st", "saint", "mt", "mount") and len(run) > 1:
            return last
        if not names or all(one.key in know.words.acronyms for one in names):
            return None
        if len(names) == 1 and names[0].is_acronym:
            return last if surely and len(names[0].text) > 2 else None
        if len(names) == 1 and (know.is_eponym(names[0]) or names[0].key in _ENDS):
            return None
        fits = [one for one in names if not know.is_word(one)]
        if surely:
            plain = len(fits) == 0
            return None if plain and not self._is_institution(names) else last
        return (
            last
            if any(
                one.key in know.words.places or one.key in know.words.facilities for one in names
            )
            or self._is_institution(names)
            else None
        )

    def _is_institution(self, names: Sequence[Token]) -> bool:
        return len(names) > 1 and any(one.key in _WEAK_HEADS or one.key in _HEADS for one in names)

    def cities(self) -> Iterator[PhiSpan]:
        """Cities of the gazetteer after a preposition or before a state."""
        index = 0
        while index < len(self.tokens):
            last = self._city(index)
            if last is None:
                index += 1
                continue
            yield self._span(index, last, 0.6, "the name of a city")
            index = last + 1

    def _city(self, index: int) -> int | None:
        token, places = self.tokens[index], self.know.words.places
        if not token.is_capital:
            return self._small_city(index)
        for length in (4, 3, 2, 1):
            last = index + length - 1
            if last >= len(self.tokens) or not all(map(self._joined, range(index, last))):
                continue
            name = " ".join(one.key for one in self.tokens[index : last + 1])
            if name in places and self._is_city(index, last, places[name]):
                return last
        return None

    def _is_city(self, first: int, last: int, rank: int) -> bool:
        token = self.tokens[first]
        if token.is_acronym and first == last and token.key not in ("nyc", "la"):
            return False
        after = self.text[self.tokens[last].end : self.tokens[last].end + 24]
        if self._follows_as_method(last) or self.know.is_eponym(token):
            return False
        if _STATE_AFTER.match(after):
            return True
        before = self.text[max(0, token.start - 60) : token.start]
        if _LIVES.search(before):
            return True
        if first < last and rank < 3000:
            return bool(_PLACE_PREP.search(before))
        is_given = self.know.words.given.get(token.key, 10**9) < 400
        return rank < 3000 and not is_given and bool(_PLACE_PREP.search(before[-24:]))

    def _small_city(self, index: int) -> int | None:
        """In small letters a city is taken only after words that say where somebody lives."""
        places, tokens = self.know.words.places, self.tokens
        if index == 0 or tokens[index - 1].key not in ("in", "from", "near"):
            return None
        for last in (index + 2, index + 1, index):
            name = " ".join(one.key for one in tokens[index : last + 1])
            if last < len(tokens) and places.get(name, 10**9) < 4000:
                before = self.text[max(0, tokens[index].start - 60) : tokens[index].start]
                if _LIVES.search(before) and not self.know.is_word(tokens[index]):
                    return last
        return None

    def _span(self, first: int, last: int, score: float, reason: str) -> PhiSpan:
        end = self.tokens[last].end
        if self.tokens[last].is_possessive:
            end += 2
        if self.tokens[last].key in ("hosp", "ctr") and self.text[end : end + 1] == ".":
            end += 1
        return PhiSpan(
            start=self.tokens[first].start, end=end, kind="location", score=score, reason=reason
        )


_ENDS = frozenset(
    [
        "on",
        "for",
        "with",
        "due",
        "after",
        "since",
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "mrn",
        "id",
        "dob",
        "phone",
        "stage",
        "type",
        "day",
        "week",
        "year",
        "level",
        "risk",
    ]
)
