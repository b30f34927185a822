"""From a document's bytes to a Spec, or to the Problems that only its writer can mend."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from daemon.outcome import Problem
from daemon.spec import jsondoc, markdown, upstream, yamldoc
from daemon.spec.form import Form
from daemon.spec.text import FaultyError, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from daemon.spec.documents import Document
    from daemon.spec.model import Spec

#: Problems told of one document; a sender mends them in turns.
MOST_PROBLEMS = 20

#: Who reads which form of document: text to Spec, or FaultyError. A new form is a file and a line here.
READERS: Final[Mapping[Form, Callable[[str], Spec]]] = {
    Form.YAML: lambda text: upstream.spec(yamldoc.read(text)),
    Form.JSON: lambda text: upstream.spec(jsondoc.read(text)),
    Form.MARKDOWN: markdown.spec,
}


def read(document: Document) -> Spec | tuple[Problem, ...]:
    """The Spec a document describes, or its Problems: at least one, at most MOST_PROBLEMS and a count.

    Raises nothing, whatever the bytes are. Lines and columns are those of the document as it was sent.
    """
    try:
        return READERS[document.form](decode(document.content, document.charset))
    except FaultyError as faulty:
        by_place = sorted(faulty.problems, key=lambda problem: (problem.line or 0, problem.column or 0))
        told = [replace(problem, file=document.label) for problem in by_place[:MOST_PROBLEMS]]
        if more := len(faulty.problems) - len(told):
            told.append(Problem(f"+{more} more", file=document.label))
        return tuple(told)
