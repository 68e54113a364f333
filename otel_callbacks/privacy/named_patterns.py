"""Patterns of values that stand beside the name of a secret: assignments, options of commands, elements, headers."""

from otel_callbacks.privacy.pattern import Pattern, behind, letters

_KEYS = (  # of what a key may be
    "access account admin api app application auth client consumer deploy encryption functions hmac license master"
    " openai private secret security service shared signing subscription webhook"
)
_OTHERS = (
    "passphrase passcode password passwd _pass -pass _pwd -pwd ;pwd &pwd secret token authorization cookie credential"
    " credentials connectionstring connection_string sshpass requirepass _gitlab_session phpsessid jsessionid"
    " sonar.login"
)
_NAMES = (
    *(f"{word}{gap}key" for word in _KEYS.split() for gap in ("", "_", "-", " ")),
    *_OTHERS.split(),
    "; pwd",
)
_QUOTE = r"[\"']"
_FILLER = r"[\"'\\\]*`? ]"  # between a name and the sign after it
_CLOSING = r"\"'&;,(\[)}\]<>\\`"
_SCHEMES = "bearer|basic|token|apikey|api-key|key|bot|digest|negotiate|ntlm|splunk|jwt|sso-key|geniekey"
_GAP = (  # between the sign and the value: also a line end before quotes, a list of one value, a block of YAML
    rf"(?:[^\S\n]|\*\*|`|\n[ \t]*(?=\"(?!\")|'(?!'))|\[(?=[bfru]?[\"']|(?i:{_SCHEMES})\s)|[|>][+-]?[ \t]*\n(?=[ \t]))*+"
)
_BOTH_CASES = (*_NAMES, *map(str.upper, _NAMES))
_LAST = letters(_BOTH_CASES, -3, -2, -1)
_REVERSED = f"(?={letters(_BOTH_CASES, -1, -2, -3)})(?i:{'|'.join(name[::-1] for name in _NAMES)})"


def _named(after: str) -> str:
    """Returns an expression that looks back at the name of a secret, followed by `after`."""
    return f"(?i:{behind(_NAMES, after=after)})"


def _assigned(sign: str, sign_goes_on: str, bare: str) -> tuple[Pattern, Pattern]:
    """Makes patterns for values assigned to the name of a secret, except words of prose or code.

    `bare` matches a value without quotes. The value is a lookahead, because it may contain further assignments. It
    ends at the next `sign`; otherwise a text full of signs would be read over and over.
    """
    character = rf"[^{sign}\s{_CLOSING}]"
    no_secret = (
        r"(?i:none|null|true|false|undefined|string|required|optional)"
        rf"(?(quote)(?![^\"'\\\n])|(?!{character}))|\[redacted|\*{{3}}|\$|(?i:os|self|settings|config)\."
    )
    # A value in quotes ends at the same quotes, and one in escaped quotes at the next ones of any kind.
    quoted = r"(?(escaped)[^\"'\\\n]{4,}|(?:\\.|(?!(?P=quote))[^\\\n]){4,}+)"
    value = (
        rf"(?={sign_goes_on}?{_GAP}(?:[bfruBFRU]?(?P<escaped>\\++)?(?P<quote>\"\"\"|'''|[\"']))?+"
        rf"(?P<secret>(?(quote)|(?={character}{{6}}|(?i:{_SCHEMES})\s))(?!{no_secret})"
        rf"(?(quote){quoted}|{bare}(?![(\[]))))"
    )
    near = (
        f"{sign}(?:(?<={_LAST}{sign})|(?<={_LAST}{_FILLER}{sign})){value}"
        f"(?:{_named(sign)}|{_named(_FILLER + sign)})"
    )
    far = f"{_FILLER}(?<={_LAST}{_FILLER}){_named(_FILLER)}{_FILLER}{{1,30}}+{sign}{value}"
    precheck = f"{sign}{_FILLER}{{2,31}}+{_REVERSED}"
    return (
        Pattern("assigned", near, (sign,)),
        Pattern("assigned", far, (sign,), precheck),
    )


_NO_OPTION = r"(?!\[redacted|\*{3})"

NAMED = (
    *_assigned("=", ">", rf"(?:(?i:{_SCHEMES})\s)?+[^=\s{_CLOSING}]{{6,}}+=*+"),
    *_assigned(":", "=", rf"(?:(?i:{_SCHEMES})\s)?+(?=[^:\s{_CLOSING}]*\d)[^:\s{_CLOSING}]{{6,}}+"),
    Pattern(  # --api-key VALUE, also as a list of arguments in JSON
        "option",
        (
            rf"-(?<![\w-]-)-?[A-Za-z][\w-]{{1,60}}+(?<={_LAST})(?:{_named('')})"
            rf"(?:[ \t]*(?:[ \t]|\\\n\s*|\n\s*-\s+)|\\?[\"'],\s*)(?P<quote>\\?[\"'])?+(?P<secret>{_NO_OPTION}"
            r"(?(quote)[^\"'\\\n-][^\"'\\\n]{3,}|(?=[^\s\"'`]*\d)[^\s\"'`<>$\[({-][^\s\"'`]{5,}))"
        ),
        ("-",),
    ),
    Pattern(  # curl -u user:password
        "option",
        (
            r"-(?<![\w-]-)(?:u|-user|-proxy-user)(?:[ =]{1,4}|\\?[\"'],\s*)\\?[\"']?[^\s:\"'/\\]{1,64}:"
            r"(?P<secret>(?!//|\d+(?![^\s\"'])|\[redacted)[^\s\"'\\]{4,})"
        ),
        ("-u",),
    ),
    Pattern(  # api_key: str = "VALUE"
        "assigned",
        (
            rf":(?<={_LAST}:)(?:{_named(':')}) ?[A-Za-z_][\w.\[\]| ]{{0,40}}= ?[bfruBFRU]?[\"']"
            rf"(?P<secret>(?!\[redacted|(?i:none|null|string)[\"'])[^\"'\\\n]{{4,}})"
        ),
        (": str", ":str", ": String", ": Optional["),
    ),
    Pattern(  # ("api_key", "VALUE"), setenv("API_KEY", "VALUE")
        "assigned",
        (
            rf",(?<={_LAST}{_QUOTE},)(?:{_named(_QUOTE + ',')}) {{0,4}}[bfruBFRU]?[\"']"
            r"(?P<secret>(?!\[redacted|/)(?=[^\"'\\\n]*\d)[^\"'\\\n]{6,})"
        ),
        ('",', "',"),
    ),
    Pattern(  # PASSWORD 'VALUE', IDENTIFIED BY 'VALUE'
        "assigned",
        r"[\"'](?i:(?<=password .)|(?<=identified by .))(?P<secret>(?!\[redacted)[^\"'\\\n]{4,})(?=[\"'])",
        ("assword ", "ASSWORD ", "ied by ", "IED BY "),
    ),
    Pattern(  # ENV API_KEY VALUE
        "assigned",
        rf"ENV[ \t]+\w{{1,60}}+(?<={_LAST})(?:{_named('')})[ \t]+[\"']?(?P<secret>(?!\[redacted)[^\s\"']{{4,}})",
        ("ENV ",),
    ),
    Pattern(  # SecretStr("VALUE")
        "assigned",
        r"\((?<=SecretStr\()[bfru]?[\"'](?P<secret>(?!\[redacted|\*{3})[^\"'\\\n]{4,})",
        ("SecretStr(",),
    ),
    Pattern(  # auth=("ann", "VALUE"), HTTPBasicAuth("ann", "VALUE")
        "assigned",
        (
            r"\((?<=[hl= ]\()(?:(?<=Auth\()|(?<=Credential\()|(?<=auth=\()|(?<=auth = \())"
            r"[\"'][^\"'\n]{1,64}[\"'],\s{0,9}[\"'](?P<secret>(?!\[redacted)[^\"'\\\n]{4,})"
        ),
        ("uth(", "uth=(", "uth = (", "redential("),
    ),
    Pattern(  # api_key%3DVALUE
        "assigned",
        rf"%3[dD](?<={_LAST}%3.)(?:{_named('%3.')})(?P<secret>(?!\[redacted)[^\s%&\"'<>]{{6,}})",
        ("%3D", "%3d"),
    ),
    Pattern(  # <password type="text">VALUE</password>, <string name="password">VALUE</string>
        "element",
        (
            r">(?=(?:<!\[CDATA\[)?(?P<secret>(?!\[redacted)[^<>\n]{4,}?)(?:\]\]>)?</)"
            rf"(?:(?<={_LAST}{_QUOTE}>)(?:{_named(_QUOTE + '>')})"
            rf"|(?=[^<]*(?:<![^<]*)?</[\w:.-]{{1,60}}+(?<={_LAST})(?:{_named('')})>))"
        ),
        ("</",),
    ),
    Pattern(  # name: DB_PASSWORD, value: VALUE
        "assigned",
        (
            rf"(?:name|key|type|id|Name|Key)\\?[\"']?\s{{0,4}}[:=]\s{{0,4}}\\?[\"']?[\w.:-]{{0,60}}(?:{_named('')})"
            r"\\?[\"']?\s{0,4},?\s{0,40}\\?[\"']?[vV]alue\\?[\"']?\s{0,4}[:=]\s{0,4}\\?[\"']?"
            r"(?P<secret>(?!\[redacted|\$)[^\s\"'\\,}>]{4,})"
        ),
        ("alue",),
        rf"eula[vV][\"'\\]{{0,2}}\s{{0,40}},?\s{{0,4}}[\"'\\]{{0,2}}{_REVERSED}",
    ),
    Pattern(  # Cookie: a=1; b=2
        "cookie",
        (
            r"(?:ookie|OOKIE)2?[\"'\]\\]{0,4}[ \t]*[:,][ \t]*\\?[\"']?"
            r"(?P<secret>[\w.%~-]{1,64}=(?!\[redacted)[^\n\"'\\]+)"
        ),
        ("ookie", "OOKIE"),
    ),
    Pattern(  # Authorization: Digest username="ann", response="..."
        "assigned",
        (
            r"uthorization[\"'\\]{0,3}[ \t]*[:=][ \t]*\\?[\"']?(?i:digest|oauth|hawk|signature|aws4-hmac-sha256)[ \t]+"
            r"(?P<secret>[^\n}]{8,600})"
        ),
        ("uthorization",),
    ),
    Pattern(  # Authorization: SSWS VALUE
        "assigned",
        (
            r"uthorization[\"'\\]{0,3}[ \t]*[:=][ \t]*\\?[\"']?[A-Za-z][\w-]{1,20}:?[ \t]+"
            r"(?P<secret>(?!\[redacted)(?=[^\s\"'\\,;}]*\d)[^\s\"'\\,;}]{6,})"
        ),
        ("uthorization",),
    ),
    Pattern(  # a .netrc file
        "assigned",
        r"login\s+\S{1,64}\s+password\s+(?P<secret>(?!\[redacted)\S+)",
        ("login",),
    ),
)
"""Patterns of what stands beside the name of a secret."""
