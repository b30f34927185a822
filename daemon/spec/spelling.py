"""Near misses: the known key that somebody probably meant."""

from __future__ import annotations

from difflib import SequenceMatcher
from functools import lru_cache

#: How alike two keys are before one is taken for a slip of the other: "epic" and "epics" are,
#: "unit_pass" and "lint_pass" (0.78) are two different checks.
_ALIKE = 0.79
#: A slip adds or drops a few letters; more letters make another word ("line_coverage_min").
_LETTERS = 4

#: Other words for our keys that no comparison of letters finds.
_SYNONYMS = {
    "acceptance_criteria": "acceptance",
    "definition_of_done": "dod",
    "done": "dod",
    "e2e": "e2e_pass",
    "lint": "lint_pass",
    "metadata": "meta",
    "min_coverage": "coverage_min",
    "min_lighthouse": "lighthouse_min",
    "plan": "planning",
    "repository": "repo",
    "stories": "user_stories",
    "types": "type_check",
}


@lru_cache(maxsize=4096)
def nearest(key: str, known: tuple[str, ...]) -> str | None:
    """The one of ``known`` that ``key`` is a near miss of, or None; case and hyphens do not count."""
    plain = key.strip().lower().replace("-", "_").replace(" ", "_")
    if plain in known:
        return plain
    if _SYNONYMS.get(plain) in known:
        return _SYNONYMS[plain]
    return next((other for other in known if _alike(plain, other)), None)


def _alike(one: str, other: str) -> bool:
    if abs(len(one) - len(other)) > _LETTERS:
        return False
    compared = SequenceMatcher(None, one, other, autojunk=False)
    return compared.quick_ratio() >= _ALIKE and compared.ratio() >= _ALIKE
