"""Imports point one way: who may know whom, read from the sources themselves."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REPO = Path(__file__).resolve().parent.parent

#: The rooms of the daemon from top to bottom: each knows only those in the lines below its own.
ROWS = """
    __main__
    cli
    commands
    service
    reloading
    wiring
    sources database whereabouts
    intake
    changes court
    batches ledger proving mailboxes
    jobs
    worker
    readers records
    child
    reading storage notify resolver logins tokens
    passwords oauth vault
    trust
    planning settings
    spec
    mail
    log outcome memory names rates peers credentials gate reports
    text pipe
"""
LINE_OF = {room: line for line, row in enumerate(ROWS.split("\n")) for room in row.split()}
#: Where ``db`` stands, and the packages' own ``__init__``: they import nothing of the daemon.
BELOW = max(LINE_OF.values()) + 1

#: Rooms that know less than their line allows. What reads hostile bytes has no business with rows.
KNOWS_NOTHING_OF = {
    "sources": {"db", "spec", "planning", "settings", "storage", "intake"},
    "mail": {"db"},
    "spec": {"db"},
    "planning": {"db", "mail"},
    "reading": {"db", "storage", "settings"},
    "child": {"db", "storage", "settings"},
    "trust": {"db", "spec", "planning", "settings"},
    "proving": {"db", "storage", "settings"},
    "resolver": {"db", "mail", "settings"},
    "logins": {"db", "settings"},
    "storage": {"db", "mail", "settings"},
}

#: Libraries that enter through one door.
ONLY_IN = {
    "mailparser": "mail",
    "aiosmtpd": "sources",
    "imapclient": "sources",
    "dkim": "trust",
    "publicsuffixlist": "trust",
    "dns": "resolver",
    "obstore": "storage",
    "argon2": "passwords",
    "urllib3": "oauth",
    "nacl": "vault",
}


@dataclass(frozen=True)
class Import:
    """One import: in which module it stands, and what it names."""

    module: str
    name: str

    @property
    def importer(self) -> str:
        """The room it stands in."""
        return _room(self.module)

    @property
    def imported(self) -> str:
        """The room it reaches into, or the library."""
        return _room(self.name)


def _room(name: str) -> str:
    package, _, rest = name.partition(".")
    return rest.partition(".")[0] if package == "daemon" else package


def modules(root: Path) -> Mapping[str, Path]:
    """The modules of the two packages under ``root``, by their dotted names."""
    files = [*root.glob("daemon/**/*.py"), *root.glob("db/**/*.py")]
    return {".".join(file.relative_to(root).with_suffix("").parts): file for file in files}


def imports(root: Path) -> Iterator[Import]:
    """Every import, those for type checkers too: who names a type knows the room."""
    for module, file in modules(root).items():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from (Import(module, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module} imports relatively"
                yield from (Import(module, f"{node.module}.{alias.name}") for alias in node.names)


def wrong(root: Path) -> list[str]:
    """What breaks a rule, as ``module -> name``."""
    return [f"{each.module} -> {each.name}" for each in imports(root) if not _is_allowed(each)]


def _is_allowed(each: Import) -> bool:
    importer, imported = each.importer, each.imported
    if importer == imported:
        return True
    if imported in ONLY_IN:
        return importer == ONLY_IN[imported]
    if imported in KNOWS_NOTHING_OF.get(importer, ()):
        return False
    return not each.name.startswith("daemon.") or LINE_OF.get(importer, BELOW) < LINE_OF[imported]


def cycle(root: Path) -> list[str]:
    """Modules that import each other in a ring; empty when none do."""
    known = modules(root)
    graph: dict[str, set[str]] = {_module(module, known): set() for module in known}
    for each in imports(root):
        if each.name.partition(".")[0] in ("daemon", "db"):
            graph[_module(each.module, known)].add(_module(each.name, known))
    try:
        TopologicalSorter({module: after - {module} for module, after in graph.items()}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _module(name: str, known: Mapping[str, Path]) -> str:
    """The module that ``name`` or a name in it comes from; a package is its ``__init__``."""
    while name not in known and f"{name}.__init__" not in known:
        name = name.rpartition(".")[0]
    return name.removesuffix(".__init__")


def test_imports_point_one_way() -> None:
    """Each room knows only those below it, and the rows know nothing of mail."""
    assert wrong(REPO) == []


def test_no_modules_import_each_other_in_a_ring() -> None:
    """Not inside of a room either."""
    assert cycle(REPO) == []


def test_every_room_has_its_line() -> None:
    """A new room says where it stands; a line for none is a plan."""
    rooms = {_room(module) for module in modules(REPO) if module.startswith("daemon.")} - {"__init__"}

    assert rooms - LINE_OF.keys() == set()
    assert LINE_OF.keys() - rooms <= {"worker"}


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("db/rows.py", "from daemon.text import printable"),
        ("daemon/sources/smtp.py", "from daemon import spec"),
        ("daemon/sources/smtp.py", "from db.mails import MailRow"),
        ("daemon/sources/smtp.py", "from daemon.intake import Intake"),
        ("daemon/reading.py", "from daemon.child import Child"),
        ("daemon/mail/header.py", "    import daemon.spec.text"),
        ("daemon/spec/text.py", "from mailparser import MailParser"),
        ("daemon/service.py", "import aiosmtpd.smtp"),
        ("daemon/trust.py", "from daemon.storage.files import FileStorage"),
    ],
)
def test_a_wrong_import_is_seen(tmp_path: Path, module: str, line: str) -> None:
    """Wherever it stands in its file, and however it is written."""
    file = tmp_path / module
    file.parent.mkdir(parents=True)
    file.write_text(f"import re\nif True:\n    pass\ndef late():\n    {line.strip()}\n")

    assert len(wrong(tmp_path)) == 1


def test_a_ring_is_seen(tmp_path: Path) -> None:
    """Of any length."""
    (tmp_path / "db").mkdir()
    for name, after in (("a", "b"), ("b", "c"), ("c", "a")):
        (tmp_path / "db" / f"{name}.py").write_text(f"from db.{after} import something\n")

    assert set(cycle(tmp_path)) == {"db.a", "db.b", "db.c"}
