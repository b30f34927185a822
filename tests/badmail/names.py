"""Names of files: paths, pieces, percent signs, and what no file may be called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bombs import SPEC, parts, section

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The parameters of a Content-Disposition.
PARAMETERS = {
    "a path upwards": 'filename="../../../../etc/cron.d/spec.yaml"',
    "a path from the root": 'filename="/etc/passwd"',
    "a path of Windows": 'filename="C:\\Windows\\System32\\spec.yaml"',
    "a share": 'filename="\\\\evil.example\\share\\spec.yaml"',
    "a URL": 'filename="file:///etc/spec.yaml?x#y"',
    "a device": 'filename="CON.yaml"',
    "dots": 'filename=".."',
    "a dot": 'filename="."',
    "a slash": 'filename="/"',
    "blanks": 'filename="   "',
    "empty": 'filename=""',
    "nothing": "filename=",
    "NUL": 'filename="spec.yaml\0.exe"',
    "an encoded NUL": "filename*=utf-8''spec.yaml%00.exe",
    "line ends": "filename*=utf-8''spec.yaml%0D%0AX-Evil:%20x",
    "a terminal's title": "filename*=utf-8''%1B]0;owned%07spec.yaml",
    "directions": "filename*=utf-8''%E2%80%AElmay.ceps",
    "no ASCII": 'filename="sp\udce9c.yaml"',
    "in UTF-8": 'filename="spéc-🌊.yaml"',
    "overlong UTF-8": "filename*=utf-8''%C0%AE%C0%AE/spec.yaml",
    "a lone surrogate": "filename*=utf-8''%ED%A0%80spec.yaml",
    "255 letters": f'filename="{"a" * 250}.yaml"',
    "5,000 letters": f'filename="{"a" * 5000}.yaml"',
    "50,000 letters": f'filename="spec{"a" * 50_000}.yaml"',
    "open quotes": 'filename="spec.yaml',
    "escaped quotes": 'filename="sp\\"ec\\\\.yaml"',
    "semicolons": 'filename="spec;x=y;.yaml"',
    "no semicolon between": 'filename="spec.yaml" name="x"',
    "two": "filename=spec.yaml; filename=other.txt",
    "two kinds": "filename=other.txt; filename*=utf-8''spec.yaml",
    "pieces": 'filename*0="sp"; filename*1="ec"; filename*2=".yaml"',
    "pieces out of order": 'filename*2=".yaml"; filename*0="sp"; filename*1="ec"',
    "pieces with a gap": 'filename*0="spec"; filename*2=".yaml"',
    "pieces from 7": 'filename*7="spec.yaml"',
    "pieces twice": 'filename*0="spec"; filename*0="evil"; filename*1=".yaml"',
    "pieces of both kinds": "filename*0*=utf-8''sp%65; filename*1=\"c%2e\"; filename*2*=yaml",
    "a piece of a huge number": 'filename*99999999999999999999="spec.yaml"',
    "a piece of a negative number": 'filename*-1="spec.yaml"',
    "a piece of no number": 'filename*x="spec.yaml"',
    "stars": "filename****=spec.yaml",
    "half a character to a piece": "filename*0*=utf-8''%F0%9F; filename*1*=%8C%8A.yaml",
    "broken percents": "filename*=utf-8''%zz%4%.yaml",
    "one quote": "filename*=utf-8'spec.yaml",
    "five quotes": "filename*=utf-8''a'b'c'.yaml",
    "no charset": "filename*=''spec%E9.yaml",
    "a charset that is none": "filename*=x-none''spec%E9.yaml",
    "a codec for a charset": "filename*=zlib''%78%9C%03%00",
    "in quotes though encoded": "filename*=\"utf-8''spec.yaml\"",
    "an encoded word": 'filename="=?utf-8?q?spec=2Eyaml?="',
    "an encoded path": 'filename="=?utf-8?b?Li4vLi4vc3BlYy55YW1s?="',
    "a comment": "filename=spec.yaml (a comment",
    "SQL": 'filename="\'; drop table specs; --.yaml"',
    "a shell": 'filename="$(touch x)`id`|spec.yaml"',
    "markup": 'filename="<script>alert(1)</script>.yaml"',
    "a format string": 'filename="%s%n{0}.yaml"',
    "two suffixes": 'filename="spec.yaml.exe"',
    "all suffixes": 'filename="spec.md.json.yaml.yml"',
    "a blank behind": 'filename="spec.yaml "',
    "in capitals": 'FILENAME="SPEC.YAML"',
    "a thousand parameters": "; ".join(f"p{n}=x" for n in range(1000)),
    "500 pieces": "; ".join(f"filename*{n}=a" for n in range(500)),
}
KINDS = ("attachment", "inline", "", "form-data", "x-unheard-of", "ATTACHMENT", "a\0b", "attach ment", "é")


def mails() -> Iterator[tuple[str, bytes]]:
    """In Content-Disposition, and some of them in Content-Type."""
    for name, parameters in PARAMETERS.items():
        yield name, parts(section(f"Content-Disposition: attachment; {parameters}", SPEC))
    for name in list(PARAMETERS)[::4]:
        typed = PARAMETERS[name].replace("filename", "name")
        yield f"by its type: {name}", parts(section(f"Content-Type: application/yaml; {typed}", SPEC))
    for kind in KINDS:
        yield (
            f"disposition {kind!r}",
            parts(section(f"Content-Disposition: {kind}; filename=spec.yaml", SPEC)),
        )
