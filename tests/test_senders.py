"""Who may send is written so that nothing is left to guess, and what can't hold is refused at start."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from daemon.settings import Settings, describe, load
from daemon.settings.agreement import for_strangers
from tests.fix_settings import is_told, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_settings import Credentials, Toml

pytestmark = pytest.mark.usefixtures("no_standard_file")

OURS = '[smtp]\nrecipients = "specs@example.org"\n'

RULE = """\
[senders.example]
from = ["*@Example.com", "ana@partner.example"]
repos = ["Example/*"]
proof = ["none"]
"""


def with_rule(**keys: str) -> str:
    """A rule that holds, with the TOML of some of its keys replaced or added."""
    usual = {"from": '["*@example.com"]', "repos": '["example/*"]', "proof": '["none"]'}
    return "[senders.example]\n" + "".join(f"{key} = {value}\n" for key, value in (usual | keys).items())


def test_a_rule_is_read_as_it_is_written(toml: Toml) -> None:
    """What is left out is allowed, or nobody's default."""
    (rule,) = load(toml(RULE), {}).senders.values()

    assert rule.from_ == ("*@Example.com", "ana@partner.example")
    assert rule.repos == ("Example/*",)
    assert (rule.proof, rule.repo, rule.branch) == (("none",), None, None)
    assert rule.may_set == ("branch", "dod")


def test_rules_keep_the_order_of_the_file(toml: Toml) -> None:
    """The first that fits decides, so none may overtake another."""
    names = ["zoe", "a-1", "m_2"]
    text = "".join(RULE.replace("example]", f"{name}]") for name in names)

    assert list(load(toml(text), {}).senders) == names


def test_a_rule_is_described_and_can_be_written_again(toml: Toml) -> None:
    """Under the name that its keys have in the file."""
    settings = load(toml(with_rule(repo='"example/app"', branch='"dev"', may_set="[]")), {})

    shown = describe(settings)["senders"]

    assert shown == {
        "example": {
            "from": ["*@example.com"],
            "repos": ["example/*"],
            "proof": ["none"],
            "repo": "example/app",
            "branch": "dev",
            "may_set": [],
        }
    }
    assert Settings.model_validate({"senders": shown}).senders == settings.senders


def test_variables_and_credentials_make_and_change_rules(toml: Toml, credentials: Credentials) -> None:
    """Like every other key; a list is commas or a TOML array."""
    environ = credentials(**{"senders__example-2__proof": "none\n"}) | {
        "SPECPOST_SENDERS__EXAMPLE__FROM": "bo@example.com, *@b.example",
        "SPECPOST_SENDERS__EXAMPLE-2__FROM": "*@example.com",
        "SPECPOST_SENDERS__EXAMPLE-2__REPOS": '["example/a", "example/b-*"]',
        "SPECPOST_SENDERS__EXAMPLE-2__MAY_SET": "",
    }

    senders = load(toml(RULE), environ).senders

    assert list(senders) == ["example", "example-2"]
    assert senders["example"].from_ == ("bo@example.com", "*@b.example")
    assert senders["example-2"].repos == ("example/a", "example/b-*")
    assert senders["example-2"].may_set == ()


@pytest.mark.parametrize(
    "address",
    ["*@example.com", "*@localhost", "ana@partner.example", "a.b+c_d'e@x-y.example", "jürgen@bücher.example"],
)
def test_senders_are_addresses_or_all_of_one_domain(toml: Toml, address: str) -> None:
    """Whatever the one address in a From can be."""
    (rule,) = load(toml(with_rule(**{"from": f'["{address}"]'})), {}).senders.values()

    assert rule.from_ == (address,)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("*", "* stands for everybody of one domain, as in *@example.com"),
        ("*@*.example.com", "* stands for everybody of one domain"),
        ("*@*", "* stands for everybody of one domain"),
        ("ana*@example.com", "* stands for everybody of one domain"),
        ("Ana <ana@example.com>", "without a display name: names prove nothing"),
        ("ana @example.com", "without a display name"),
        ("ana@example.com\u200b", "allowed: addresses such as"),
        ("ana", "allowed: addresses such as"),
        ("@example.com", "allowed: addresses such as"),
        ("ana@", "allowed: addresses such as"),
        ("a@b@example.com", "allowed: addresses such as"),
        (".ana@example.com", "allowed: addresses such as"),
        ("ana@[192.0.2.1]", "allowed: addresses such as"),
        ("ana@example..com", "allowed: addresses such as"),
        ("ana@example.com.", "allowed: addresses such as"),
        ("x" * 65 + "@example.com", "longer than an address can be"),
        ("ana@" + "x" * 251, "longer than an address can be"),
        ("ａna@example.com", "letters that look like others"),  # noqa: RUF001  # what must be refused
    ],
)
def test_what_may_be_read_as_more_than_it_says_is_no_sender(toml: Toml, address: str, says: str) -> None:
    """A rule that lets in more people than its author meant is the worst there is."""
    assert is_told(toml(with_rule(**{"from": f'["{address}"]'})), 2, says)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[senders.example]", 1, "senders.example.from: missing; needed: addresses such as"),
        ("\n[senders.example]\nfrom = 'a@b'", 2, "senders.example.repos: missing; needed: GitHub repo"),
        ("[senders.example]", 1, 'senders.example.proof: missing; needed: any of "dkim"'),
        ("[senders.example]\nform = 'x'", 2, "unknown key; did you mean senders.example.from?"),
        ("[senders.example]\nfrom_ = 'x'", 2, "unknown key; did you mean senders.example.from?"),
        ("[sender.example]\nproof = 'x'", 2, "unknown key; did you mean senders.example.proof?"),
        ("[senders.example]\nqqq = 1", 2, "allowed in [senders.example]: from, repos, proof, repo, branch,"),
        ("[routing]\nmay_set = 1", 2, "unknown key; did you mean senders.NAME.may_set?"),
        ("[smtp]\nrepo = 'a/b'", 2, "unknown key; did you mean routing.repo?"),
        (RULE.replace("example]", "Example]"), 1, "senders.Example: no name for a rule; allowed: at most 63"),
        (RULE.replace("example]", "-a]"), 1, "senders.-a: no name for a rule"),
        (RULE.replace("example]", '"a b"]'), 1, "senders.a b: no name for a rule"),
        (RULE.replace("example]", '"\\u001b"]'), 1, r"senders.\x1b: no name for a rule"),
        (RULE.replace("example]", "a" * 64 + "]"), 1, "no name for a rule"),
        ("senders = 3", 1, "senders: given no table; allowed: a table, [senders]"),
        ("[senders]\nexample = 3", 2, "given no table; allowed: a table, [senders.example]"),
        (with_rule(**{"from": "[]"}), 2, "given [] (at least 1 is needed); allowed: addresses"),
        (with_rule(repos="[]"), 3, "given [] (at least 1 is needed); allowed: GitHub repositories"),
        (with_rule(proof="[]"), 4, "given [] (at least 1 is needed); allowed: any of"),
        (with_rule(repos='["*/app"]'), 3, "'*/app': * may stand after the / only"),
        (with_rule(repos='["*"]'), 3, "'*': * may stand after the / only"),
        (with_rule(repos='["example"]'), 3, "names no repository; write owner/name"),
        (with_rule(repos='["example/a?"]'), 3, "allowed: GitHub repositories"),
        (with_rule(repos='["example/[a-z]*"]'), 3, "('example/[a-z]*'); allowed: GitHub repositories"),
        (with_rule(repos='["example/a/*"]'), 3, "('example/a/*'); allowed: GitHub repositories"),
        (with_rule(repos='["https://github.com/example/*"]'), 3, "); allowed: GitHub repositories"),
        (with_rule(proof='["dkin"]'), 4, "given [\"dkin\"] ('dkin'); allowed: any of"),
        (with_rule(proof='["spf"]'), 4, "('spf'); allowed: any of"),
        (with_rule(proof='["dkim", "none"]'), 4, '"none" stands alone'),
        (with_rule(repo='"other/app"'), 5, 'example.repo: given "other/app" (not one of this rule\'s repos'),
        (with_rule(repo='"example/*"'), 5, "allowed: a GitHub repository"),
        (with_rule(branch='"a..b"'), 5, "allowed: a branch name that git takes"),
        (with_rule(may_set='["repo"]'), 5, '(\'repo\'); allowed: "branch", "dod", both or neither'),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_with_its_place(
    toml: Toml, text: str, line: int, says: str
) -> None:
    """In the words of all other keys, under the name that the operator gave."""
    assert is_told(toml(text), line, says)


def test_what_a_rule_lacks_is_said_of_the_variable_that_began_it() -> None:
    """There is no line to name."""
    told = refusal(SPECPOST_SENDERS__EXAMPLE__FROM="*@example.com", SPECPOST_SENDERS__EXAMPLE__PROOF="none")

    assert told.startswith("$SPECPOST_SENDERS__EXAMPLE__FROM: senders.example.repos: missing; needed: ")


@pytest.mark.parametrize("repo", ["example/app", "EXAMPLE/App", "Other/one"])
def test_the_default_repository_is_one_of_the_rules_own(toml: Toml, repo: str) -> None:
    """GitHub tells no letters' case apart."""
    text = with_rule(repos='["example/*", "other/ONE"]', repo=f'"{repo}"')

    assert load(toml(text), {}).senders["example"].repo == repo


@pytest.mark.parametrize(
    ("proof", "says"),
    [
        ("smtp-auth", '"smtp-auth" needs [smtp] logins_file'),
        ("authentication-results", '"authentication-results" needs [smtp] authserv_id and relays'),
        ("dkim", '"dkim" needs our addresses in [smtp] recipients'),
    ],
)
def test_a_proof_has_what_it_needs(toml: Toml, proof: str, says: str) -> None:
    """A rule that can never be satisfied, or that proves nothing, is a mistake."""
    assert is_told(toml(with_rule(proof=f'["{proof}"]')), 4, f"senders.example.proof: {says}")


def test_a_proof_that_has_what_it_needs_is_taken(toml: Toml, tmp_path: Path) -> None:
    """All three beside each other, on a door to the whole world."""
    (tmp_path / "file").write_text("x")
    keys = ("tls_cert", "tls_key", "logins_file")
    smtp = OURS + "".join(f'{key} = "{tmp_path}/file"\n' for key in keys)
    smtp += (
        'relays = "10.0.0.0/24"\nauthserv_id = "mx.example.org"\nlisten = ["[::]:25", "lmtp:///run/lmtp"]\n'
    )
    proof = ("dkim", "smtp-auth", "authentication-results")

    settings = load(toml(smtp + with_rule(proof=str(list(proof)))), {})

    assert settings.senders["example"].proof == proof
    assert settings.smtp.logins_file == tmp_path / "file"


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:25", "mail.example.org:25", "lmtp://127.0.0.1:24", "lmtp:///run/lmtp"]
)
def test_a_door_that_strangers_reach_needs_to_know_who_may_send(toml: Toml, listen: str) -> None:
    """The complaint names the door; neither no rule nor a rule without proof will do."""
    text = f'[smtp]\nrecipients = "specs@example.org"\nlisten = ["127.0.0.1:25", "{listen}"]\n'
    full = listen if "://" in listen else f"smtp://{listen}"

    assert is_told(toml(text), 3, f"smtp.listen: on {full} mail may come from strangers, and nobody is named")
    assert is_told(toml(text + RULE), 7, f'"none" takes whatever From says, and on {full} mail may come from')
    assert load(toml(text + with_rule(proof='"dkim"')), {}).senders


def test_on_loopback_plain_smtp_asks_for_nothing(toml: Toml) -> None:
    """It is for trying the daemon: without rules, or with rules that take anybody's word."""
    smtp = '[smtp]\nlisten = ["127.0.0.1:25", "[::1]:25", "localhost:26"]\n'

    assert not load(toml(smtp), {}).senders
    assert load(toml(smtp + RULE), {}).senders


@pytest.mark.parametrize("recipients", ["", '"specs@example.com"'])
def test_what_the_complaint_says_to_add_mends_it(toml: Toml, recipients: str) -> None:
    """With our addresses when they are missing too, and nothing else."""
    listen = 'listen = "lmtp:///run/lmtp"\n' + (f"recipients = {recipients}\n" if recipients else "")
    told = refusal(toml(f"[smtp]\n{listen}"))

    found = re.search(
        r"add (\[senders\.\w+\]) with (from = .*), (repos = .*) and (proof = .*?\])"
        r"(?:, and to \[smtp\] (.*))?$",
        told,
    )

    assert found
    *rule, ours = found.groups()
    assert (ours is None) is bool(recipients)
    assert load(toml(f"[smtp]\n{listen}{ours or ''}\n" + "\n".join(rule)), {}).senders


def test_a_door_from_elsewhere_is_held_to_the_same(toml: Toml) -> None:
    """A socket that systemd hands over is in no configuration."""
    proven = load(toml(OURS + with_rule(proof='"dkim"')), {})
    anybody = load(toml(RULE), {})

    assert keys_against(load(None, {})) == [("smtp", "listen")]
    assert keys_against(anybody) == [("senders", "example", "proof")]
    assert keys_against(proven) == []


def keys_against(settings: Settings) -> list[tuple[str, ...]]:
    """The keys that keep a socket from being one that strangers reach."""
    return [key for key, _ in for_strangers(settings, "on 0.0.0.0:25", ("smtp", "listen"))]
