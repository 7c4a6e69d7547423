"""Common words of which prompts are made: most tokenizers have a token for each."""

from __future__ import annotations

WORDS = """
    time year people way day man thing woman life child world school state family student group
    country problem hand part place case week company system program question work number night
    point home water room mother area money story fact month lot right study book eye job word
    business issue side kind head house service friend father power hour game line end member law
    car city name president team minute idea body back parent face others level office door health
    person art war history party result change morning reason research girl guy
""".split()  # noqa: SIM905 - a list of ninety quoted words is no easier to read
