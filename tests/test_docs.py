"""What README and CHANGELOG say is so."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from daemon.cli import main
from daemon.settings import table

REPO = Path(__file__).resolve().parent.parent
README = (REPO / "README.md").read_text()

_FENCED = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_IN_LINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
#: A call of ours where a command may begin, with its variables before it and its arguments behind it.
_CALL = re.compile(
    r"(?:^|[;|&]\s*|\$\()\s*(?:\w+=\S*\s+)*(?:\S*/)?specpost(?P<arguments>(?: [^;|&#)\n]*)?)", re.MULTILINE
)


def settings_table() -> str:
    """The README's table of the settings, as it must be between its two marks."""
    rows = [
        "| key | allowed | default | what it does |",
        "|---|---|---|---|",
        *("| " + " | ".join([f"`{key}`", *map(_cell, rest)]) + " |" for key, *rest in table()),
    ]
    return "\n".join(rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def faults_survived() -> str:
    """The README's list of what the fault lab promises, as it must be between its two marks."""
    sources = [ast.parse(path.read_text()) for path in sorted((REPO / "tests" / "faults").glob("test_*.py"))]
    tests = [
        node
        for source in sources
        for node in source.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    return "\n".join(f"- {(ast.get_docstring(test) or test.name).splitlines()[0]}" for test in tests)


def calls() -> list[tuple[str, ...]]:
    """The arguments of each ``specpost …`` in README's shell blocks and code in a line."""
    prose = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    texts = _FENCED.findall(README) + _IN_LINE.findall(prose)
    return [tuple(shlex.split(call["arguments"])) for text in texts for call in _CALL.finditer(text)]


def test_the_settings_are_those_of_the_code() -> None:
    """The manual is generated once and held for ever."""
    shown = README.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0].strip()

    assert shown == settings_table(), f"README's table must be:\n{settings_table()}"


def test_the_faults_are_those_of_the_lab() -> None:
    """Nothing is promised that isn't broken and healed, and nothing is broken for nobody to know."""
    shown = README.partition("<!-- faults -->")[2].partition("<!-- /faults -->")[0].strip()

    assert shown == faults_survived(), f"README's list must be:\n{faults_survived()}"


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_in_the_readme(command: str) -> None:
    """A command nobody is told of is none."""
    assert command in {arguments[0] for arguments in calls() if arguments}


def test_there_are_calls_to_hold() -> None:
    """Else the next test promises nothing."""
    assert ("try",) in calls()
    assert any("--create-login" in arguments for arguments in calls())


@pytest.mark.parametrize("arguments", sorted({each for each in calls() if each}), ids=" ".join)
def test_every_call_in_the_readme_is_one_we_know(arguments: tuple[str, ...]) -> None:
    """No command and no option that doesn't exist, and none without its value."""
    name, *rest = arguments
    assert name in main.commands
    command = main.commands[name]
    command.make_parser(click.Context(command, info_name=name)).parse_args(rest)


def test_a_call_with_a_wrong_option_is_seen() -> None:
    """The parser that the last test trusts does refuse."""
    command = main.commands["tail"]
    with pytest.raises(click.NoSuchOption):
        command.make_parser(click.Context(command)).parse_args(["--folow"])


def test_the_changelog_knows_this_version() -> None:
    """Its newest heading is the version that is being made."""
    version = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## (\S+)", (REPO / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert newest
    assert newest[1] == version
