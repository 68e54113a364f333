"""Patterns of values that stand beside the name of a secret: assignments, options of commands, elements, headers."""

import re

from otel_callbacks.privacy.pattern import Pattern, behind, letters

_NAMES = (
    *("apikey", "api_key", "api-key", "api key", "accesskey", "access_key", "access-key", "access key"),
    *("accountkey", "account_key", "privatekey", "private_key", "secretkey", "secret_key", "secret-key"),
    *("subscriptionkey", "subscription_key", "subscription-key", "signingkey", "signing_key", "signing-key"),
    *("encryptionkey", "encryption_key", "encryption-key", "masterkey", "master_key", "master-key"),
    *(
        "sharedkey",
        "shared_key",
        "shared-key",
        "authkey",
        "auth_key",
        "auth-key",
        "servicekey",
        "service_key",
    ),
    *("passphrase", "passcode", "password", "passwd", "_pass", "-pass", "_pwd", "-pwd", "secret", "token"),
    *("authorization", "cookie", "credential", "credentials", "connectionstring", "connection_string"),
    *(";pwd", "; pwd", "&pwd", "_gitlab_session", "phpsessid", "jsessionid", "sonar.login"),
)
_FILLER = r"[\"'\\\]*` ]"  # between a name and the sign after it
_CLOSING = r"\"'&;,(\[)}\]<>\\`"
_SCHEMES = "bearer|basic|token|apikey|api-key|key|bot|digest|negotiate|ntlm|splunk|jwt|sso-key|geniekey"
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
    value = (
        rf"(?={sign_goes_on}?(?:[^\S\n]|\*\*|`)*+(?P<quote>[bf]?\\*[\"'])?+"
        rf"(?P<secret>(?(quote)|(?={character}{{6}}|(?i:{_SCHEMES})\s))(?!{no_secret})"
        rf"(?(quote)[^\"'\\\n]{{4,}}|{bare}(?![(\[]))))"
    )
    near = (
        f"{sign}(?:(?<={_LAST}{sign})|(?<={_LAST}{_FILLER}{sign})){value}"
        f"(?:{_named(sign)}|{_named(_FILLER + sign)})"
    )
    far = f"{_FILLER}(?<={_LAST}{_FILLER}){_named(_FILLER)}{_FILLER}{{1,30}}+{sign}{value}"
    precheck = f"{sign}{_FILLER}{{2,31}}+{_REVERSED}"
    return (
        Pattern("assigned", re.compile(near), (sign,)),
        Pattern("assigned", re.compile(far), (sign,), re.compile(precheck)),
    )


_NO_OPTION = r"(?!\[redacted|\*{3})"

NAMED = (
    *_assigned("=", ">", rf"[^=\s{_CLOSING}]{{6,}}+=*+"),
    *_assigned(":", "=", rf"(?:(?i:{_SCHEMES})\s)?+(?=[^:\s{_CLOSING}]*\d)[^:\s{_CLOSING}]{{6,}}+"),
    Pattern(  # --api-key VALUE, also as a list of arguments in JSON
        "option",
        re.compile(
            rf"-(?<![\w-]-)-?[A-Za-z][\w-]{{1,60}}+(?<={_LAST})(?:{_named('')})"
            rf"(?:[ \t]+|\\?[\"'],\s*)(?P<quote>\\?[\"'])?+(?P<secret>{_NO_OPTION}"
            r"(?(quote)[^\"'\\\n-][^\"'\\\n]{3,}|(?=[^\s\"'`]*\d)[^\s\"'`<>$\[({-][^\s\"'`]{5,}))"
        ),
        ("-",),
    ),
    Pattern(  # curl -u user:password
        "option",
        re.compile(
            r"-(?<![\w-]-)(?:u|-user|-proxy-user)(?:[ =]{1,4}|\\?[\"'],\s*)\\?[\"']?[^\s:\"'/\\]{1,64}:"
            r"(?P<secret>(?!//|\d+(?![^\s\"'])|\[redacted)[^\s\"'\\]{4,})"
        ),
        ("-u",),
    ),
    Pattern(  # <password>VALUE</password>
        "element",
        re.compile(rf">(?<={_LAST}>)(?=(?P<secret>(?!\[redacted)[^<>\n]{{4,}})</)(?:{_named('>')})"),
        ("</",),
    ),
    Pattern(  # name: DB_PASSWORD, value: VALUE
        "assigned",
        re.compile(
            rf"(?:name|key|Name|Key)\\?[\"']?\s{{0,4}}[:=]\s{{0,4}}\\?[\"']?[\w.:-]{{0,60}}(?:{_named('')})"
            r"\\?[\"']?\s{0,4},?\s{0,40}\\?[\"']?[vV]alue\\?[\"']?\s{0,4}[:=]\s{0,4}\\?[\"']?"
            r"(?P<secret>(?!\[redacted|\$)[^\s\"'\\,}>]{4,})"
        ),
        ("alue",),
        re.compile(rf"eula[vV][\"'\\]{{0,2}}\s{{0,40}},?\s{{0,4}}[\"'\\]{{0,2}}{_REVERSED}"),
    ),
    Pattern(  # Cookie: a=1; b=2
        "cookie",
        re.compile(
            r"(?:ookie|OOKIE)2?[\"'\]\\]{0,4}[ \t]*[:,][ \t]*\\?[\"']?"
            r"(?P<secret>[\w.%~-]{1,64}=(?!\[redacted)[^\n\"'\\]+)"
        ),
        ("ookie", "OOKIE"),
    ),
    Pattern(  # Authorization: Digest username="ann", response="..."
        "assigned",
        re.compile(
            r"uthorization[\"'\\]{0,3}[ \t]*[:=][ \t]*\\?[\"']?(?i:digest|oauth|hawk|signature|aws4-hmac-sha256)[ \t]+"
            r"(?P<secret>[^\n}]{8,600})"
        ),
        ("uthorization",),
    ),
    Pattern(  # a .netrc file
        "assigned",
        re.compile(r"login\s+\S{1,64}\s+password\s+(?P<secret>(?!\[redacted)\S+)"),
        ("login",),
    ),
)
"""Patterns of what stands beside the name of a secret."""
