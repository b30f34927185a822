"""How an operator says which mailboxes are watched, and what is said against it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from daemon.settings import describe, load
from daemon.settings.kind import MIB
from tests.fix_daemon import specpost
from tests.fix_settings import is_told, refusal

if TYPE_CHECKING:
    from tests.fix_settings import Credentials, Toml

pytestmark = pytest.mark.usefixtures("no_standard_file")

SMTP = '[smtp]\nrecipients = "specs@example.org"\n'
BY_TOKEN = '{ provider = "google", client_id = "id" }'
KEY = base64.b64encode(bytes(range(32))).decode()

#: The line of a configuration on which a mailbox's table begins, after ``rule()``.
HERE = 5


def rule(proof: str = "dkim") -> str:
    """Who may send, without which no mailbox is watched."""
    return f'[senders.example]\nfrom = "*@example.com"\nrepos = "example/*"\nproof = "{proof}"\n'


def box(name: str = "specs", **keys: str) -> str:
    """A mailbox that can be watched, but for some of its keys in TOML; an empty one is left out."""
    usual = {"host": '"mail.example.org"', "user": '"specs@example.org"', "password": '"geheim"'}
    lines = [f"{key} = {value}\n" for key, value in (usual | keys).items() if value]
    return f"[imap.{name}]\n" + "".join(lines)


def test_three_keys_are_a_mailbox(toml: Toml) -> None:
    """All else is as most servers have it, and nothing that was there before is taken."""
    (imap,) = load(toml(rule() + box()), {}).imap.values()

    assert (imap.host, imap.port, imap.tls) == ("mail.example.org", 993, "implicit")
    assert (imap.folder, imap.existing, imap.authserv_id) == ("INBOX", "skip", None)
    assert (imap.processed, imap.rejected, imap.held) == ("Processed", "Rejected", "Held")
    assert (imap.refused, imap.ignored) == ("", "")
    assert (imap.idle, imap.poll, imap.max_size) == (240, 120, 25 * MIB)


@pytest.mark.parametrize(("tls", "port"), [("implicit", 993), ("starttls", 143), ("none", 143)])
def test_the_port_is_that_of_the_tls(toml: Toml, tls: str, port: int) -> None:
    """Left out; one that is given is taken as it is."""
    keys = {"host": '"localhost"', "tls": f'"{tls}"'}

    assert load(toml(rule() + box(**keys)), {}).imap["specs"].port == port
    assert load(toml(rule() + box(port="7", **keys)), {}).imap["specs"].port == 7


def test_mailboxes_have_names(toml: Toml) -> None:
    """Any number of them, in the order of the file."""
    names = ["zoe", "a-1", "m_2"]

    assert list(load(toml(rule() + "".join(map(box, names))), {}).imap) == names


@pytest.mark.parametrize("name", ["Specs", '"sp ecs"', '"spécs"', '""', '"a.b"', "_a", "x" * 64])
def test_a_name_can_stand_everywhere(toml: Toml, name: str) -> None:
    """In the log, in a credential's name, and in the database for ever."""
    assert is_told(toml(rule() + box(name)), HERE, "allowed: at most 63 lower-case letters, digits, - and _")


def test_a_password_comes_as_a_credential_or_as_a_variable(toml: Toml, credentials: Credentials) -> None:
    """The file of the configuration may be read by more people; a line end of the file is none of its own."""
    path = toml(rule() + box(password=""))
    variable = {"SPECPOST_IMAP__SPECS__PASSWORD": "from a variable"}
    credential = credentials(imap__specs__password="from a credential\n")

    assert load(path, variable).imap["specs"].password == "from a variable"
    assert load(path, variable | credential).imap["specs"].password == "from a credential"


def test_tokens_take_the_place_of_a_password(toml: Toml, credentials: Credentials) -> None:
    """In one line; its secret and the key come as credentials."""
    path = toml(rule() + box(password="", oauth=BY_TOKEN))
    secrets = credentials(imap__specs__oauth__client_secret="geheim\n", oauth__key=f"{KEY}\n")

    settings = load(path, secrets)

    oauth = settings.imap["specs"].oauth
    assert oauth
    assert (oauth.provider, oauth.client_id, oauth.client_secret) == ("google", "id", "geheim")
    assert settings.oauth.key == bytes(range(32))


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"password": ""}, "imap.specs: neither password nor oauth: give a password (or the credential"),
        ({"oauth": BY_TOKEN}, "imap.specs: both password and oauth: take one out"),
        ({"password": "", "host": "", "port": "993"}, "imap.specs.host: missing; needed: a host name"),
        ({"user": ""}, "imap.specs.user: missing; needed: text without control characters"),
    ],
)
def test_what_a_mailbox_lacks_is_said_of_its_table(toml: Toml, keys: dict[str, str], says: str) -> None:
    """Before anybody connects."""
    assert is_told(toml(rule() + box(**keys)), HERE, says)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("pasword", '"x"', "imap.specs.pasword: unknown key; did you mean imap.specs.password?"),
        ("folders", '"x"', "imap.specs.folders: unknown key; did you mean imap.specs.folder?"),
        ("tls", '"starttls "', 'allowed: "implicit" or "starttls" or "none"'),
        ("existing", '"all"', 'given "all"; allowed: "skip" or "take"'),
        ("port", "0", "given 0; allowed: a whole number, 1 to 65535"),
        ("authserv_id", '"mx example"', "allowed: a host name"),
        ("idle", '"30 min"', "allowed: a duration, 1 s to 29 min"),
        ("poll", "0", "allowed: a duration, 1 s to 1 h"),
        ("max_size", '"2 GiB"', "allowed: a size, 1 KiB to 1 GiB"),
        ("oauth", '"google"', "given no table; allowed: a table, [imap.specs.oauth]"),
        ("oauth", '{ provider = "gogle", client_id = "x" }', 'given "gogle"; allowed: "google" or'),
    ],
)
def test_what_is_wrong_is_said_with_its_place(toml: Toml, key: str, value: str, says: str) -> None:
    """In the words of all other keys."""
    keys = {"port": "993"} | {key: value}

    assert is_told(toml(rule() + box(**keys)), HERE + 4 + (key != "port"), says)


@pytest.mark.parametrize("host", ["mail.example.org", "192.0.2.1", "127.0.0.1.example.org"])
def test_no_password_goes_over_a_network_in_clear_text(toml: Toml, host: str) -> None:
    """Without TLS only this machine is spoken to."""
    beyond, here = (box(host=f'"{each}"', port="143", tls='"none"') for each in (host, "127.0.0.1"))

    assert is_told(toml(rule() + beyond), HERE + 5, f"({host} is not on loopback, and everybody on the way")
    assert load(toml(rule() + here), {}).imap["specs"].tls == "none"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"host": ""}, "imap.specs.host: missing; needed: a host name"),
        ({"host": '"a b"'}, 'imap.specs.host: given "a b"; allowed: a host name'),
        ({"tls": '"on"'}, 'imap.specs.tls: given "on"; allowed: "implicit"'),
        ({"tls": '"none"'}, 'imap.specs.tls: given "none" (mail.example.org is not on loopback'),
    ],
)
def test_where_the_port_is_left_out_the_rest_is_still_told(
    toml: Toml, keys: dict[str, str], says: str
) -> None:
    """It is said what is wrong, and nothing else."""
    (told,) = refusal(toml(rule() + box(**keys))).splitlines()

    assert says in told


FOLDERS = ("folder", "processed", "rejected", "held", "refused", "ignored")


@pytest.mark.parametrize("key", FOLDERS)
@pytest.mark.parametrize("name", ["*", "Specs/%", "a\\nb", "a\\u0000", "a\\u007f", "/a", "a/", "a//b"])
def test_a_folder_is_one_folder(toml: Toml, key: str, name: str) -> None:
    """No pattern that means many, nothing that begins a second command, and no level without a name."""
    assert is_told(toml(rule() + box(**{key: f'"{name}"'})), HERE + 4, "allowed: the name of a folder, with")


@pytest.mark.parametrize("name", ["Specs", "Specs/Done", "INBOX.Specs", "Spécs & plans/Été 日本", '\\"a\\"'])
def test_a_folder_has_any_name_that_a_person_gives_it(toml: Toml, name: str) -> None:
    """Also beyond ASCII, and with its server's own separator."""
    settings = load(toml(rule() + box(folder=f'"{name}"')), {})

    assert settings.imap["specs"].folder == name.replace("\\", "")


def test_only_where_mails_go_may_be_nowhere(toml: Toml) -> None:
    """Then they stay where they are; what is watched has a name."""
    stays = dict.fromkeys(FOLDERS[1:], '""')

    assert load(toml(rule() + box(**stays)), {}).imap["specs"].processed == ""
    assert is_told(
        toml(rule() + box(folder='""')), HERE + 4, 'imap.specs.folder: given ""; allowed: the name'
    )


def test_a_mailbox_needs_to_know_who_may_send(toml: Toml) -> None:
    """Anybody can write to it; the complaint names it, and what to add mends it."""
    path = toml(box())

    assert is_told(
        path, 1, "imap.specs: in the mailbox specs mail may come from strangers, and nobody is named"
    )
    assert specpost("run", "--config", str(path)).returncode == 78
    assert load(toml(rule() + box()), {}).senders


def test_nobody_is_believed_without_proof(toml: Toml) -> None:
    """From alone says nothing in a mailbox."""
    says = '"none" takes whatever From says, and in the mailbox specs mail may come from strangers'

    assert is_told(toml(rule("none") + box()), 4, f"senders.example.proof: {says}")


def test_each_mailbox_is_asked_for(toml: Toml) -> None:
    """One complaint each, so that none is forgotten."""
    told = refusal(toml(box("one") + box("two")))

    assert [line.split(": ")[1] for line in told.splitlines()] == ["imap.one", "imap.two"]


def test_a_user_who_is_an_address_is_one_of_ours(toml: Toml) -> None:
    """So dkim needs no other; of a user with another name it is not known where mails are sent."""
    assert load(toml(rule("dkim") + box()), {}).imap
    assert load(toml(SMTP + rule("dkim") + box(user='"specs"')), {}).imap

    assert is_told(
        toml(rule("dkim") + box(user='"specs"')), 4, '"dkim" needs our addresses in [smtp] recipients'
    )


def test_what_to_add_names_our_addresses_only_where_they_are_unknown(toml: Toml) -> None:
    """The least that mends it."""
    assert "recipients" not in refusal(toml(box()))
    assert 'and to [smtp] recipients = ["specs@example.org"]' in refusal(toml(box(user='"specs"')))


def test_a_mailboxes_own_server_is_believed_without_a_relay(toml: Toml) -> None:
    """Its authserv_id is all that authentication-results needs."""
    proof = rule("authentication-results")

    assert load(toml(proof + box(authserv_id='"mx.example.org"')), {}).imap["specs"].authserv_id
    assert is_told(toml(proof + box()), 4, "or authserv_id of a mailbox, which say whose are believed")


def test_tokens_need_a_key(toml: Toml) -> None:
    """Else they would lie open in the database."""
    by_token = box(password="", oauth=BY_TOKEN)

    assert is_told(
        toml(rule() + by_token), HERE + 3, "imap.specs.oauth: its tokens are kept sealed, and there"
    )
    assert load(toml(rule() + by_token + f'[oauth]\nkey = "{KEY}"\n'), {}).imap


def test_secrets_are_not_shown(toml: Toml) -> None:
    """Neither in the log of the settings nor in a representation."""
    oauth = BY_TOKEN.replace("}", ', client_secret = "geheim" }')
    text = rule() + box() + box("two", password="", oauth=oauth) + f'[oauth]\nkey = "{KEY}"\n'

    settings = load(toml(text), {})

    shown = describe(settings)
    assert shown["imap"]["specs"]["password"] == shown["imap"]["two"]["oauth"]["client_secret"] == "***"
    assert shown["oauth"] == {"key": "***"}
    assert not [secret for secret in ("geheim", KEY, "\\x01") if secret in repr(settings) + str(shown)]


@pytest.mark.parametrize("password", ['"geheim\\u0007"', '["geheim"]', '""'])
def test_a_secret_that_is_refused_is_not_repeated(toml: Toml, password: str) -> None:
    """Complaints are logged."""
    told = refusal(toml(rule() + box(password=password)))

    assert "imap.specs.password: given a value (not shown, it is secret); allowed: text without" in told
    assert "geheim" not in told


def test_beside_a_mailbox_smtp_may_be_turned_off(toml: Toml) -> None:
    """By naming no address; where there is no mailbox either, nothing would ever come in."""
    off = SMTP + "listen = []\n"

    assert load(toml(off + rule() + box()), {}).smtp.listen == ()
    assert is_told(toml(off + rule()), 3, "smtp.listen: [] turns SMTP off, and without a mailbox in [imap]")
