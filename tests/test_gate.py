"""The gate in Python: what it says to which Definition of Done and summary."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from pydantic import ValidationError

from daemon.gate import SummaryError
from daemon.spec.model import DefinitionOfDone
from tests.gate_cases import BAD_DODS, CASES, Case

BY_NAME = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@BY_NAME
def test_the_gate_decides_as_the_table_says(case: Case) -> None:
    """The database's gate is held to the same table."""
    dod = DefinitionOfDone(**case.dod)
    if case.error:
        with pytest.raises(SummaryError) as raised:
            dod.evaluate(case.summary)
        assert all(word in str(raised.value) for word in case.error), str(raised.value)
        assert str(raised.value).isprintable()
        return

    decision = asdict(dod.evaluate(case.summary))

    assert decision | {"criteria": list(decision["criteria"])} == case.expected


@pytest.mark.parametrize(("dod", "key"), BAD_DODS, ids=[str(dod) for dod, _ in BAD_DODS])
def test_an_impossible_definition_of_done_is_none(dod: dict[str, Any], key: str) -> None:
    """It never comes as far as the gate."""
    with pytest.raises(ValidationError, match=key):
        DefinitionOfDone(**dod)
