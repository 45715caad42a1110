"""The safety rules, as data: what each notices and says, what it covers and leaves out.

A rule is one row of `RULES`. Patterns are English, matched without case, on text whose
typographic quotes, dashes and spaces have been made plain. They read words, not meaning: a
paraphrase, a misspelling or another language passes. `safety.SafetyFilter` applies them; it
decides nothing beyond `withholds`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

EMERGENCY_STEP = "if it is happening now, call the local emergency number (112, 911 or 999)"
CRISIS_STEP = (
    "anyone in danger should call the local emergency number or a crisis line "
    "(988 in the USA and Canada, 116 123 in the UK and much of Europe)"
)
EMERGENCY_ADVICE = re.compile(
    r"\b(?:911|112|999|988|116 ?123|ambulance|emergency|casualty|paramedics?|A&E|\bER\b"
    r"|poison (?:control|cent(?:er|re))|crisis (?:line|team)|hotline|helpline"
    r"|(?:immediate|urgent)(?:ly)? (?:medical |care|help|attention|treatment)"
    r"|(?:hospital|doctor|medical help|help)[^.!?\n]{0,30}?\b(?:now|immediately|at once"
    r"|right away|without delay|straight away|urgently))\b",
    re.IGNORECASE,
)
"""Words with which an answer sends somebody for help without delay."""
WITHHELD_TEXT = (
    "This answer is not shown because it seems to encourage or instruct self-harm; "
    f"{CRISIS_STEP}. The original text is kept and can be opened."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyRule:
    """One thing to notice in a text.

    Attributes:
        name: Stable name of the rule, shown in reports.
        kind: `emergency`, `self_harm`, `dosing` or `absolute_certainty`.
        pattern: What it looks for.
        reason: What was noticed and what to do, one sentence for the user.
        covers: What it is able to notice, in words.
        leaves_out: What it is known to miss, in words.
        withholds: Whether the text is then not shown; otherwise a match is only a notice.
        yields_to_negation: Whether a "not" or "no" shortly before makes it no match.
    """

    name: str
    kind: str
    pattern: re.Pattern[str]
    reason: str
    covers: str
    leaves_out: str
    withholds: bool = False
    yields_to_negation: bool = False


def _any_of(*alternatives: str) -> re.Pattern[str]:
    return re.compile(r"(?<!\w)(?:" + "|".join(alternatives) + r")(?!\w)", re.IGNORECASE)


_GAP = r"[^.!?\n]{0,60}?"
_NUMBER = (
    r"(?:\d{1,6}(?:[.,/]\d{1,6}){0,2}(?:\s?(?:-|to)\s?\d{1,6}(?:[.,]\d{1,6})?)?"
    r"|one|two|three|four|five|six|eight|ten|half(?: an?)?)"
)
_MASS = r"(?:mg|mcg|[µμ]g|micrograms?|milligrams?|grams?|g|ml|millilit(?:er|re)s?|IU|units?|mEq)"
_FORM = (
    r"(?:tablets?|capsules?|pills?|puffs?|drops?|teaspoons?|tablespoons?|lozenges?|patch(?:es)?)"
)
_OFTEN = (
    r"(?:(?:once|twice|three times|four times|\d{1,2} times)(?: an?| per| every)?"
    r" (?:day|daily|week)"
    r"|(?:once|twice) daily|every \d{1,2}(?:\s?(?:-|to)\s?\d{1,2})? hours|per day|a day|daily"
    r"|(?:at|before) bedtime|(?:in|each|every) (?:the )?(?:morning|evening|night))"
)
_MEDICINE = r"(?:medicines?|medications?|meds|tablets?|pills?|insulin|anticoagulants?|antibiotics?)"
_YOUR = r"(?:your|the|this|that|these|any|all)"
_SELF = r"(?:myself|yourself|himself|herself|themselves)"
_DIE = r"(?:die|kill (?:yourself|myself)|commit suicide|end (?:your|my) (?:own )?life)"

RULES: tuple[SafetyRule, ...] = (
    SafetyRule(
        name="heart",
        kind="emergency",
        pattern=_any_of(
            r"(?:crushing|squeezing|sudden|severe) chest (?:pain|pressure|tightness)",
            rf"(?:chest (?:pain|pressure|tightness)|pain in (?:my|his|her|the) chest){_GAP}"
            r"(?:left arm|jaw|short(?:ness)? of breath"
            r"|sweat(?:ing|y)|can(?:no|')t breathe|trouble breathing|faint(?:ed|ing)?)",
            r"(?:having|had) a heart attack",
        ),
        reason=f"The text names signs of a heart attack; {EMERGENCY_STEP}.",
        covers="Chest pain that is severe, or with pain in arm or jaw, breathlessness, sweating.",
        leaves_out="Heart attacks without chest pain, and signs spread over several sentences.",
    ),
    SafetyRule(
        name="stroke",
        kind="emergency",
        pattern=_any_of(
            r"(?:face|mouth|one side of (?:my|his|her|the|your) face) (?:is |has )?"
            r"(?:droop(?:s|ed|ing)?|gone numb)",
            r"(?:facial|face) droop(?:ing)?",
            rf"sudden(?:ly)?{_GAP}(?:slurred speech|slurring|weakness|numbness|loss of vision"
            r"|blind|can(?:no|')t speak|confus(?:ed|ion)"
            r"|can(?:no|')t see)",
            r"(?:worst|thunderclap) headache",
        ),
        reason=f"The text names signs of a stroke or a bleed in the brain; {EMERGENCY_STEP}.",
        covers="A drooping face, sudden weakness, speech or vision loss, the worst headache.",
        leaves_out="Dizziness or clumsiness alone, and signs described without 'sudden'.",
    ),
    SafetyRule(
        name="breathing",
        kind="emergency",
        pattern=_any_of(
            r"(?:can(?:no|')t|could ?n[o']t|unable to|struggl(?:es|ing) to|stopped)"
            r" breath(?:e|ing)",
            r"(?:not|is ?n't) breathing",
            r"(?:severe|sudden|extreme) (?:difficulty breathing|trouble breathing"
            r"|shortness of breath|breathlessness)",
            rf"(?:throat|tongue|airway){_GAP}(?:swell(?:s|ing)?|swollen|clos(?:es|ing))",
            r"swell(?:s|ing) of (?:the |my |your )?(?:throat|tongue|airway)",
            r"(?:lips?|face|skin) (?:is|are|has|have|turn(?:s|ed|ing)?) (?:turned |gone )?blue",
            r"(?:is|are|was|am) choking",
        ),
        reason=f"The text names trouble with breathing; {EMERGENCY_STEP}.",
        covers="Not being able to breathe, swelling of throat or tongue, blue lips, choking.",
        leaves_out="Asthma or an allergy that worsens slowly.",
        yields_to_negation=True,
    ),
    SafetyRule(
        name="consciousness",
        kind="emergency",
        pattern=_any_of(
            r"(?:is|was|are|found|lying|remains?|became|becomes?) (?:unconscious|unresponsive)",
            r"(?:won't|will not|can(?:no|')t|does ?n't|can ?not be) (?:wake up|woken|respond)",
            rf"seizure{_GAP}(?:(?:more|longer) than (?:5|five) min\w*|won't stop|does ?n't stop)",
            r"(?:first|having a) seizure",
        ),
        reason=f"The text names a loss of consciousness or a seizure; {EMERGENCY_STEP}.",
        covers="Somebody who cannot be woken, a first seizure or one that does not stop.",
        leaves_out="Drowsiness and confusion that come on slowly.",
    ),
    SafetyRule(
        name="bleeding",
        kind="emergency",
        pattern=_any_of(
            r"(?:bleeding|blood)(?: that)? (?:won't|will not|does ?n't|does not) stop",
            r"(?:heavy|severe|uncontrolled) bleeding",
            r"(?:cough|vomit|throw)(?:s|ing)? up (?:a lot of )?blood",
            r"vomit(?:s|ing|ed)? (?:bright |a lot of )?(?:red )?blood",
        ),
        reason=f"The text names serious bleeding; {EMERGENCY_STEP}.",
        covers="Bleeding that is heavy or does not stop, vomited or coughed blood.",
        leaves_out="Bleeding inside the body, black stools, bleeding in pregnancy.",
    ),
    SafetyRule(
        name="poisoning",
        kind="emergency",
        pattern=_any_of(
            rf"(?:took|taken|swallowed|ate|drank|ingested){_GAP}(?:too many|whole bottle|bleach"
            r"|antifreeze|batter(?:y|ies)|rat poison|pesticide|overdose)",
            r"(?:has|have|had|took|taken) (?:an |a )?(?:\w+ )?overdosed?",
            r"(?:suspected|acute|intentional) overdose",
        ),
        reason=f"The text names an overdose or a poisoning; {EMERGENCY_STEP} or a poison centre.",
        covers="Too much of a medicine, bleach, batteries, pesticides that were swallowed.",
        leaves_out="Poisons without these names, and gases.",
    ),
    SafetyRule(
        name="infection",
        kind="emergency",
        pattern=_any_of(
            rf"(?:fever|headache){_GAP}stiff neck",
            rf"stiff neck{_GAP}(?:fever|headache)",
            rf"(?:newborn|infant|baby|\d\d?[- ](?:week|day)[- ]old){_GAP}"
            r"(?:fever|limp|not feeding)",
        ),
        reason=f"The text names signs of a dangerous infection; {EMERGENCY_STEP}.",
        covers="Fever or headache with a stiff neck, fever in a newborn.",
        leaves_out="Sepsis described in other words.",
    ),
    SafetyRule(
        name="suicidal_thoughts",
        kind="self_harm",
        pattern=_any_of(
            r"suicid(?:e|al|ality)(?! (?:bomb|attack|gene))",
            r"self[- ]?(?:harm|injur)(?:s|y|ing|ed)?",
            rf"(?:kill(?:ed|ing)?|hang(?:ed|ing)?|hurting|harming|cutting|starving) {_SELF}",
            # "You may cut yourself" is an accident; wanting to is not.
            rf"(?:wants?|wanted|wanna|going|urge|urges|plans?) (?:to )?(?:hurt|harm|cut) {_SELF}",
            r"end(?:ed|ing)? (?:my|your|his|her|their) (?:own )?li(?:fe|ves)",
            r"(?:take|took|taking) (?:my|your|his|her|their) own li(?:fe|ves)",
            r"(?:want|wants|wanted|wish|ready) to (?:die|be dead|not exist)",
            r"(?:no reason|don't want|do not want) to (?:live|be alive)",
            r"can(?:no|')t go on living",
            r"better off (?:dead|without me)",
        ),
        reason=f"The text speaks of suicide or self-harm; {CRISIS_STEP}.",
        covers="Suicide and self-harm named in common words, by or about anyone.",
        leaves_out="Hints, slang, and despair without these words.",
    ),
    SafetyRule(
        name="encourages_self_harm",
        kind="self_harm",
        pattern=_any_of(
            r"(?:you|u) (?:should|must|ought to|need to|may as well|might as well)"
            r"(?: just| simply)? (?:kill|hurt|harm|cut|hang|starve) yourself",
            rf"(?:you|u) (?:should|must|ought to|may as well|might as well)(?: just)? {_DIE}",
            r"(?:just|go ahead and|please) (?:kill|hurt|harm|hang) yourself",
            rf"(?:easiest|quickest|fastest|best|painless|most effective|most painless)"
            rf" (?:way|method)s? (?:to {_DIE}|of (?:suicide|dying|killing yourself)) (?:is|are)",
            rf"to {_DIE},? (?:you (?:can|should|need to)|simply|just|first|take|swallow|mix|tie)",
            r"(?:you|everyone) (?:would|will|'d|'ll) be better off (?:dead|without you)",
        ),
        reason=f"The text seems to encourage or instruct self-harm; {CRISIS_STEP}.",
        covers="Sentences that tell the reader to harm themselves, or name a way as best.",
        leaves_out="Methods described without being advised, and anything said indirectly.",
        withholds=True,
        yields_to_negation=True,
    ),
    SafetyRule(
        name="dose",
        kind="dosing",
        pattern=_any_of(
            rf"{_NUMBER}[\s-]?{_MASS}(?:/kg(?:/day)?)?(?!\s?/\s?(?:d?l|ml|mmol|g|dose))"
            rf"{_GAP}{_OFTEN}",
            rf"{_NUMBER} {_FORM}{_GAP}{_OFTEN}",
            rf"(?:take|taking|give|giving|inject|injecting|administer|prescribe|start with|dose of"
            rf"|dosage of|dose is|dosage is|maximum of|up to)\s(?:about |around |just |at least )?"
            rf"{_NUMBER}[\s-]?(?:{_MASS}(?!\s?/\s?(?:d?l|ml|mmol))|{_FORM})",
            rf"{_NUMBER}\s?{_MASS}/kg",
        ),
        reason="The text gives a dose; check it against a current formulary before use.",
        covers="An amount of a medicine with how often, per kilogram, or after 'take' or 'give'.",
        leaves_out="Whether the dose is right; doses in words, and amounts far from the verb.",
    ),
    SafetyRule(
        name="changed_treatment",
        kind="dosing",
        pattern=_any_of(
            rf"(?:stop|quit|discontinue|skip)(?: taking| using)? {_YOUR} (?:\w+ )?{_MEDICINE}",
            rf"(?:double|triple|halve|increase|reduce|lower) {_YOUR} (?:\w+ )?"
            r"(?:dose|dosage|insulin|medication)",
            r"(?:double|triple|halve) (?:dose|dosage|insulin)",
            r"(?:take|give|inject) an extra (?:dose|tablet|pill)",
        ),
        reason=(
            "The text speaks of changing or stopping a medicine; "
            "ask the prescriber before doing so."
        ),
        covers="Stopping, skipping, doubling or lowering a medicine in plain words.",
        leaves_out="Medicines called by their names only.",
        yields_to_negation=True,
    ),
    SafetyRule(
        name="certainty",
        kind="absolute_certainty",
        pattern=_any_of(
            r"(?:100|one hundred)\s?(?:%|percent|per cent)\s"
            r"(?:safe|effective|certain|sure|accurate|curable|guaranteed|harmless|successful)",
            r"guarantee(?:s|d)?",
            r"(?:completely|totally|absolutely|perfectly|entirely) (?:safe|harmless|risk[- ]free)",
            r"always (?:works|cures|succeeds|fatal)",
            r"never (?:fails|causes (?:any )?(?:harm|problems|side[- ]effects))",
            r"(?:no|zero|without(?: any)?) (?:side[- ]effects|risks? (?:at all|whatsoever))",
            r"(?:absolutely no risks?|risk[- ]free)",
            r"(?:will|can) (?:definitely|certainly|always|surely) "
            r"(?:cure|work|heal|recover|help|prevent)",
            r"(?:you|it|this|that) (?:definitely|certainly|undoubtedly) (?:have|has|is|do|does)",
            r"(?:it|this|that) is (?:definitely|certainly|undoubtedly)",
            r"(?:without (?:a|any) doubt|there is no doubt|beyond (?:any )?doubt)",
            r"(?:miracle|permanent|instant) cure",
            r"no need to (?:see|consult|ask|call) (?:a|your|any) (?:doctor|physician|specialist)",
            r"(?:don't|do not) need (?:to see )?a doctor",
        ),
        reason=(
            "The text claims more certainty than medicine has; "
            "look for a source or ask a clinician before relying on it."
        ),
        covers="Promises of safety, cure or certainty, and advice that no doctor is needed.",
        leaves_out="A wrong statement said without such words.",
        yields_to_negation=True,
    ),
)

KINDS: tuple[str, ...] = tuple(dict.fromkeys(rule.kind for rule in RULES))
