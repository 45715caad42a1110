"""Identifiers with a shape of their own, as data, and the version of all rules.

A shape is enough for e-mail, URL, IP, telephone numbers and the numbers that states give; `labels`
has the numbers that need a word in front.
"""

from __future__ import annotations

import re

from medqlora.data.phi.labels import LABEL_RULES
from medqlora.data.phi.rule import PhiRule
from medqlora.domain.phi import PhiKind

VERSION = "1"
"""Raised whenever what the screen finds changes."""


def _shaped(kind: PhiKind, pattern: str, score: float, reason: str, *, flags: int = 0) -> PhiRule:
    return PhiRule(kind=kind, pattern=re.compile(pattern, flags), score=score, reason=reason)


_PHONE_CUE = (
    r"(?<![A-Za-z])(?:phone|telephone|tel|mobile|cell|call|contact|ph|reached at|whatsapp|pager"
    r"|beeper"
    r"|t[ée]l[ée]phone|telefon|tel[ée]fono|telefone|handy|portable|m[óo]vil|celular|电话|手机)"
    r"(?![A-Za-z])(?:\s?(?:number|no|nr|n[°º]|#))?\.?(?:\s(?:is|at|on|me at|us at|her at"
    r"|him at))?[\s:.(]{0,4}"
)
_FAX_CUE = (
    r"(?<![A-Za-z])(?:fax|facsimile|telefax|传真)(?:\s?(?:number|no|nr|#))?\.?"
    r"[\s:.]{0,4}(?:is |at |to )?"
)
_ANY_PHONE = r"(?P<phi>\(?\+?\d[\d().\s/-]{5,20}\d(?:\s?(?:x|ext\.?|extension)\s?\d{1,6})?)(?!\d)"

RULES: tuple[PhiRule, ...] = (
    *LABEL_RULES,
    _shaped(
        "email",
        r"(?<![\w.+-])[\w.+-]{1,64}\s?(?:@|\[at\]|\(at\))\s?[\w-]{1,63}(?:\.[\w-]{1,63}){0,3}\.[A-Za-z]{2,24}",
        0.99,
        "the shape of an e-mail address",
    ),
    _shaped(
        "url",
        r"(?:https?|ftp)://[^\s<>\"')\]]{3,2000}|(?<![\w@.])www\.[\w-]{1,63}\.[^\s<>\"')\]]{2,2000}",
        0.95,
        "the shape of a web address",
        flags=re.IGNORECASE,
    ),
    _shaped(
        "url",
        r"(?<![\w@./-])(?:[a-z0-9-]{2,63}\.){1,3}(?:com|org|net|edu|info|io|health|de|fr|co\.uk|nhs\.uk|ac\.uk)"
        r"(?:/[^\s<>\"')\]]{0,500})?(?![\w-]|\.\w)",
        0.8,
        "the shape of a web address",
        flags=re.IGNORECASE,
    ),
    _shaped(
        "url",
        r"(?<![\w@])(?:twitter|instagram|facebook|linkedin|skype|telegram|snapchat|tiktok|wechat|insta|handle)"
        r"\s?(?:handle|id|name|account)?\s?[:=]?\s?(?P<phi>@[\w.]{3,40})",
        0.85,
        "an account on a network",
        flags=re.IGNORECASE,
    ),
    _shaped(
        "ip",
        r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w]|\.\d)",
        0.9,
        "the shape of an IP address",
    ),
    _shaped(
        "ip",
        r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}(?![\w:])"
        r"|(?<![\w:])(?=[0-9a-fA-F:]{0,30}[0-9a-f]{3})(?:[0-9a-fA-F]{1,4}:){2,6}:(?:[0-9a-fA-F]{1,4}:){0,4}[0-9a-fA-F]{1,4}(?![\w:])",
        0.9,
        "the shape of an IP address",
    ),
    _shaped(
        "device",
        r"(?<![\w:-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:-])",
        0.9,
        "the shape of a MAC address",
    ),
    _shaped(
        "ssn",
        r"(?<![\w-])(?!000|666)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])",
        0.85,
        "the shape of a US social security number",
    ),
    _shaped(
        "ssn",
        r"(?<![A-Za-z0-9])[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\s?\d\d\s?\d\d\s?\d\d\s?[A-D](?![A-Za-z0-9])"
        r"|(?<!\w)[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z](?!\w)"
        r"|(?<![\d.-])\d{3}\.\d{3}\.\d{3}-\d\d(?!\d)"
        r"|(?<![\d.-])[12]\s\d\d\s(?:0[1-9]|1[0-2])\s\d[\dAB]\s\d{3}\s\d{3}(?:\s\d\d)?(?!\d)"
        r"|(?<!\w)[1-9]\d{5}(?:19|20)\d{9}[\dXx](?!\w)|(?<![\d-])(?:19|20)?\d{6}[-+]\d{4}(?![\d-])",
        0.8,
        "the shape of a national number",
    ),
    _shaped(
        "health_plan",
        r"(?<![\w-])[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-?[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-?[AC-HJKMNP-RT-Y]{2}\d\d(?![\w-])",
        0.9,
        "the shape of a Medicare number",
    ),
    _shaped(
        "account",
        r"(?<!\w)[A-Z]{2}\d\d(?:\s?[A-Z0-9]{4}){3,7}(?:\s?[A-Z0-9]{1,3})?(?!\w)"
        r"|(?<![\d.-])(?:4\d{3}|5[1-5]\d\d|6011|3[47]\d\d)(?:[ -]\d{4}){3}(?![\d-])",
        0.9,
        "the shape of a bank or card number",
    ),
    _shaped(
        "vehicle",
        r"(?<![A-Za-z0-9])(?=[A-Z0-9]{0,16}\d)(?=[A-Z0-9]{0,16}[A-Z])[A-HJ-NPR-Z0-9]{3}[A-HJ-NPR-Z0-9]{5}[0-9X][A-HJ-NPR-Z0-9]{2}\d{6}(?![A-Za-z0-9])",
        0.8,
        "the shape of a vehicle identification number",
    ),
    _shaped(
        "fax", _FAX_CUE + _ANY_PHONE, 0.95, "a number after a word for fax", flags=re.IGNORECASE
    ),
    _shaped(
        "phone",
        _PHONE_CUE + _ANY_PHONE,
        0.95,
        "a number after a word for telephone",
        flags=re.IGNORECASE,
    ),
    _shaped(
        "phone",
        r"(?<![\w-])(?:\+?1[\s.-]{0,2})?(?:\(\d{3}\)[\s.-]{0,2}|\d{3}[\s.-])\d{3}[\s.-]\d{4}"
        r"(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![\w-]|\.\d)",
        0.9,
        "the shape of a telephone number",
    ),
    _shaped(
        "phone",
        r"(?<![\w+])\+\d{1,3}[\s./()-]{0,3}\d(?:[\s./()-]{0,3}\d){6,12}(?![\d-])",
        0.9,
        "the shape of an international telephone number",
    ),
    _shaped(
        "phone",
        r"(?<!NDC )(?<!NDC: "
        r")(?<![\w.,/-])\(?0[1-9]\d{0,4}\)?[\s./-]{1,2}\d(?:[\s./-]?\d){4,9}(?![\w-]|[.,]\d)"
        r"|(?<![\w.,/-])0[1-9](?:[\s.]\d\d){4}(?![\w-]|[.,]\d)"
        r"|(?<![\w.,/-])07\d{9}(?!\w)|(?<![\d.-])1[3-9]\d{9}(?!\d)|(?<![\w.-])\d{3}-\d{4}(?![\w-]|[.,]\d)(?=\s?(?:$|[).,;?]))",
        0.7,
        "the shape of a telephone number",
    ),
    _shaped(
        "phone",
        r"(?<![\w-])1-8(?:00|33|44|55|66|77|88)-[A-Z0-9]{1,7}(?:-[A-Z0-9]{1,7}){0,2}(?![\w-])",
        0.8,
        "the shape of a toll-free number",
    ),
    _shaped(
        "unique_id",
        r"(?<![\w/.-])(?!(?:NCT|PMID|PMC|ISRCTN|CRD|UMIN|ACTRN|BMS|GSK|AZD|ABT|MK|LY|GS|SCH|NM|NP|XM|XP|NC|RS|ENSG|HGNC|OMIM|MIM|EGFR|ICD|SNOMED|CPT|CHICTR|BAY|RO|SB|TAK|CP|PF|AMG)[\s_-]?\d)"
        r"[A-Z]{1,5}-\d{5,10}(?:-[A-Z0-9]{1,8})?(?![\w-])",
        0.6,
        "the shape of a number that an institution gives",
    ),
    _shaped(
        "unique_id",
        r"(?<![\w-])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![\w-])",
        0.9,
        "the shape of a universally unique identifier",
    ),
    _shaped(
        "unique_id",
        r"[(\[]\s?(?:ID|MRN|#)?\s?[:#]?\s?(?P<phi>\d{6,10})\s?[)\]]",
        0.5,
        "a long number in brackets",
    ),
)
