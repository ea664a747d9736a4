"""Film titles as a language model should read them.

MovieLens writes `Godfather, The (1972)` and `Horseman on the Roof, The (Hussard sur le toit, Le) (1995)`.
Here the article goes to the front, in each bracket too, white space is squeezed and the mark `(V)` of
video releases is dropped: `The Godfather (1972)`, `The Horseman on the Roof (Le Hussard sur le toit) (1995)`.
"""

import re

ARTICLES = "The|An?|Le|La|Les|L'|Une?|Il|Lo|Gli|Uno|Der|Die|Das|Eine?|Det|El|Los|Las"
_MOVED = re.compile(rf"(\s*)([^()]+), ({ARTICLES})(?=\s*(?:[()]|$))")
_YEAR = re.compile(r"\((\d{4})[^()]*\)$")
_VIDEO = re.compile(r"\s*\(V\)$")


def film_title(raw: str) -> tuple[str, str]:
    """Return the readable title, its year included, and the four digits of the (first) year.

    Returns:
        For example `("The Godfather (1972)", "1972")`; the year is "" where the title has none.
    """
    title = _VIDEO.sub("", " ".join(raw.split()))
    title = _MOVED.sub(_article_first, title)
    year = _YEAR.search(title)
    return title, year[1] if year else ""


def film_text(title: str, genres: list[str]) -> str:
    """Return `title (year). Genre, Genre`; the title alone without genres."""
    return f"{title}. {', '.join(genres)}" if genres else title


def _article_first(match: re.Match[str]) -> str:
    space, name, article = match.groups()
    gap = "" if article.endswith("'") else " "
    return f"{space}{article}{gap}{name}"
