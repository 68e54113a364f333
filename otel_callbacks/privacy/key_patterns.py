"""Patterns of keys and tokens that are known by their form: a prefix, a shape, or the address of a webhook.

The rules of two secret scanners, gitleaks and kingfisher, are the yardstick. SECURITY.md says which of their kinds are
covered, and `tests/support/secret_formats.py` has an example of each.
"""

import re

from otel_callbacks.privacy.pattern import Pattern, behind, letters

KEY_PREFIXES: dict[str, str] = {
    "models and search": (
        "gsk_ nvapi- tvly- lsv2_ csk- AQ. tgp_v1_ llx- pcsk_ bedrock-api-key- wandb_v1_ ctx7sk- ALTAK-"
        " sk-proj- sk-svcacct- sk-admin- sk-or-v1- sk-do- sk_car_ fpk_ flp_ esecret_ bb_live_ tpuf_ mxb_ dtn_"
        " zut_ zqt_ zwt_"
    ),
    "code": (
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- gldt- glrt- glcbt- glptt- glft- glimt- glagent- gloas-"
        " glsoat- glffct- glwt- gta_ dckr_ CFPAT- PMAK- pnu_ rdme_ bkua_ bkaj_ CCIPAT_ CCIPRJ_ sntrys_ sntryu_"
        " sntrya_ figd_ figp_ figu_ figo_ lin_api_ lin_oauth_ s-s4t2ud- s-s4t2af- BBDC- snyk_uat. sqco_"
    ),
    "monitoring": (
        "glsa_ glc_ dt0c01. dt0s01. dt0s16. NRAK- NRII- NRJS- NRAA- NRIQ- NRBR- pylf_v1_ hcaik_ hcbik_ hcxik_"
        " hcxmk_ hcamk_ xaat- xapt- cxtp_ essu_ px-api- px-dep- rootly_"
    ),
    "clouds": (
        "hvs. hvb. hvr. dop_v1_ doo_v1_ dor_v1_ tskey- dp.pt. dp.ct. dp.st. dp.sa. dp.scim. dp.audit."
        " pscale_tkn_ pscale_oauth_ pscale_pw_ fo1_ fm1a_ fm1r_ fm2_ sb_secret_ HRKU- cfut_ cfat_ cfk_ fio-u-"
        " SWMTKN-1- dnkey- tk-us- mdb_sa_sk_ ya29. GOCSPX- p8e- BBFF- AGE-SECRET-KEY- amzn1.oa2-cs.v1."
        " v1.local. v2.local. v3.local. v4.local. AVNS_ napi_ ddp_ ddw_ salad_cloud_ vercel_blob_rw_"
    ),
    "services": (
        "xoxb- xoxp- xoxa- xoxs- xoxc- xoxd- xoxe- xoxr- xoxo- xapp- xwfp- shpat_ shpca_ shppa_ shpss_ shptka_"
        " shltm_ sk_live_ sk_test_ sk_prod_ rk_live_ rk_test_ rk_prod_ whsec_ sq0atp- sq0csp- SG. xkeysib-"
        " xsmtpsib- tfp_ duffel_test_ duffel_live_ shippo_live_ shippo_test_ FLWSECK- FLWSECK_TEST- ak_live_"
        " rzp_live_ sm_aat_ sm_pat_ sm_sat_ VF. VF.DM. VF.WS. flb_live_ polar_oat_ pdl_live_apikey_"
        " WPL_AP1. ramp_sec_ rh-api- bb_pr_ bb_ma_"
    ),
}
"""Prefixes that are hardly ever part of anything but a key, besides `sk-`. What follows must look random."""

WORD_PREFIXES: dict[str, str] = {
    "models and search": (
        "pa- al- fc- pplx- xai- hf_ api_org_ r8_ fw_ jina_ ls__ sess- vck_ phx_ e2b_ rpa_ apify_api_ app-"
        " dataset- m0- as- ak- sk_ tnt_ ck- nk- ste- emb_ tl_ pl_ arc_ up_ co_"
    ),
    "code": (
        "npm_ pypi- rubygems_ CLOJARS_ pul- ico- sgp_ slk_ squ_ sqp_ sqa_ odt_ hawk. ntn_ secret_ API- A3- NF-"
    ),
    "clouds": "ops_ sbp_ vcp_ vca_ nfp_ rnd_ ion_ aio_ t1. y0_ pat. sat. st. depot_user_ depot_org_",
    "services": "key- key_ sl. pat- live_ pk_ 1000. re_ act. api_ secret-",
}
"""Prefixes that words and names have, too. A key has 20 more characters, which must mix letters and digits a lot."""

# Each looks ahead without going back, and not far, so that a text full of prefixes does not take long.
_RANDOM = r"(?:(?=[A-Za-z_.~+/=-]{0,40}+\d)|(?=[A-Z]*+[a-z]++[A-Z]++[a-z])[A-Za-z]{20})"
_BOTH_CASES = r"(?=[A-Z\d_-]{0,32}+[a-z][a-z\d_-]{0,32}+[A-Z])"
_RANDOM_WORD = (
    r"(?:(?=[a-z\d_+/-]{0,32}+[A-Z])(?=[A-Z\d_+/-]{0,32}+[a-z])(?=[A-Za-z_+/-]{0,40}+\d[A-Za-z_+/-]{0,40}+\d)"
    r"(?:[A-Za-z0-9]{0,11}+[_+/-]++){0,9}+[A-Za-z0-9]{12}"
    r"|(?=[A-Z\d]*+[a-z][a-z\d]*+[A-Z][A-Z\d]*+[a-z])[A-Za-z0-9]{30}|[0-9a-f]{32}|(?=(?:[a-z]*+\d){4})[a-z0-9]{28}"
    r"|(?=[A-Za-z]{0,24}+\d)(?=[a-z\d]{0,24}+[A-Z][A-Z\d]{0,24}+[a-z])(?=[A-Za-z0-9]{0,22}?[A-Z]{2})[A-Za-z0-9]{22}"
    r"|[A-Z0-9]{24}|[A-Z0-9]{6}-[A-Z0-9]{6}|(?:na|eu)\d-[0-9a-f]{8}-|\d{6,9}_[A-Z0-9]{24}|[0-9a-f]{24}\."
    r"|(?:[a-z0-9]{16,24}|local)_[0-9a-f]{32})"
)
_ALONE = "(?<![A-Za-z0-9])"


def _prefixed(mark: str) -> Pattern:
    """Makes a pattern for keys whose prefix ends with this mark."""
    known = [each for kind in KEY_PREFIXES.values() for each in kind.split() if each[-1] == mark]
    words = [each for kind in WORD_PREFIXES.values() for each in kind.split() if each[-1] == mark]
    ends: dict[str, set[str]] = {}
    for each in (*known, *words, "sk-"):
        ends.setdefault(each[-2], set()).add(each[-3])
    last = "|".join(f"(?<=[{''.join(sorted(before))}]{end}.)" for end, before in sorted(ends.items()))
    expression = (
        rf"{re.escape(mark)}(?<={letters([*known, *words, 'sk-'], -3, -2)}.)(?=[\w.~+/=-]{{10}})(?:{last})"
        rf"(?:(?:{behind(known, _ALONE)})(?={_RANDOM}|{_BOTH_CASES})"
        rf"|(?<={_ALONE}sk-)(?=[\w.~+/-]{{14}})(?={_RANDOM})"
        rf"|(?:{behind(words, _ALONE)})(?=[\w.+/-]{{20}})(?={_RANDOM_WORD}))"
        r"(?P<secret>[\w.~+/=-]+)"
    )
    return Pattern("key", expression, (mark,))


_CAPITALS = {
    "A": (
        r"(?:KIA|SIA|BIA|CCA|3T[A-Z0-9])[A-Z0-9]{16}"  # AWS
        r"|Iza[\w-]{30,}"  # Google
        r"|BSK[A-Za-z0-9+/]{20,}=*"  # Bedrock
        r"|K(?:ID|LT)(?=[A-Za-z]*\d)[A-Za-z0-9]{16,}"  # Tencent, Volcengine
        r"|KCp[A-Za-z0-9]{24,}"  # Artifactory
        r"|T(?:ATT|CTT|BB|TA)(?=[A-Za-z]*\d)[\w=-]{20,}"  # Atlassian, Trello
        r"|QVN[\w-]{20,}"  # Yandex
        r"|A{20}[A-Za-z0-9]*%[A-Za-z0-9%]{40,}"  # X
    ),
    "B": r"SA(?=[A-Z\d_-]*[a-z])(?=[A-Za-z_-]*\d)[\w-]{28}(?![\w-])",  # Brave
    "E": r"Z[AT]K[A-Za-z0-9]{54}|AA(?=[A-Za-z]*\d)(?:A[\w-]{22,}|[\w-]{55,})",  # EasyPost, Square, Facebook
    "F": r"[QIw]oGZXIvYXdz[A-Za-z0-9+/%]{16,}=*",  # AWS sessions
    "G": r"R1348941[\w-]{20}",  # GitLab
    "I": r"QoJb3JpZ2lu[A-Za-z0-9+/%]{16,}=*|GQ[VW][\w-]{60,}",  # AWS sessions, Instagram
    "K": r"00\d[A-Za-z0-9+/]{27}(?![A-Za-z0-9+/])|EY0[A-F0-9]{31}_\w{22}",  # Backblaze, Telnyx
    "L": (
        r"TAI(?=[A-Za-z]*\d)[A-Za-z0-9]{16,}"  # Alibaba
        r"|S0tLS1CRUdJTi(?!BDRVJU|BQVUJM)[A-Za-z0-9+/]{40,}=*"  # a private key in base64
    ),
    "S": r"K(?=[A-Za-z]*\d)[A-Za-z0-9]{32}(?![A-Za-z0-9])",  # Twilio
    "Y": r"CAJE[\w-]{20,}",  # Yandex
    "Z": r"XlK[\w+/-]{40,}=*",  # a JWT in base64
}
"""Keys that begin with a capital letter and have no mark, by that letter."""

_LITERALS = (
    (("dapi", "dose", "dkea"), r"(?:[0-9a-f]{32}(?:-\d)?|(?=[A-Za-z]*\d)(?=[a-z0-9]*[A-Z])[A-Za-z0-9]{20,})"),
    (("cmVmd",), r"[A-Za-z0-9]{24,}"),  # Artifactory
    (("oy2",), r"[a-z0-9]{43}(?![A-Za-z0-9])"),  # NuGet
    (("cio",), r"(?=[A-Za-z]*\d)(?=[a-z0-9]*[A-Z])[A-Za-z0-9]{32}(?![A-Za-z0-9])"),  # crates.io
    (("4b1d",), r"(?=[a-z0-9]*[A-Z])[A-Za-z0-9]{38}(?![A-Za-z0-9])"),  # ClickHouse
    (("v1.0-",), r"[0-9a-f]{24}-[0-9a-f]{40,}"),  # Cloudflare
    (("1//0",), r"[\w-]{20,}"),  # Google's refresh tokens
    (("v1.Cm",), r"[\w-]{60,}"),  # Nebius
    (("3MVG9", "5Aep861"), r"[\w.=]{60,}"),  # Salesforce
    (("dG9rO",), r"[A-Za-z0-9+/]{50,}=*"),  # Intercom
    (("cflt",), r"(?=[a-z0-9]*[A-Z])[A-Za-z0-9+/]{60}"),  # Confluent
    (("retool_01",), r"[a-z0-9]{24}(?![A-Za-z0-9])"),
    (("00",), r"(?=[\w-]{0,38}[a-z])(?=[\w-]{0,38}[A-Z])[\w-]{40}(?![\w-])"),  # Okta
)
"""Other beginnings without a mark; the first are Databricks."""


def _literal(beginnings: tuple[str, ...], rest: str) -> Pattern:
    start = "|".join(f"{re.escape(each)}(?<![A-Za-z0-9]{re.escape(each)})" for each in beginnings)
    return Pattern("key", f"(?:{start}){rest}", beginnings)


_SHAPES = (
    Pattern(
        "key",
        (
            f"[{''.join(_CAPITALS)}](?<![A-Za-z0-9].)"
            f"(?:{'|'.join(f'(?<={first})(?:{rest})' for first, rest in _CAPITALS.items())})"
        ),
        tuple(_CAPITALS),
    ),
    # Telegram's bots: the number of the bot, then the key; Asana
    Pattern(
        "key",
        r":(?:(?<=\d{7}:)(?=A[\w-]{32})|(?<=/\d{16}:)(?=[0-9a-f]{32}))(?P<secret>[\w-]{32,36})(?![\w-])",
        (":",),
    ),
    # Airtable, Terraform, Zhipu, Discord's bots, Bitwarden, Microsoft's refresh tokens
    Pattern(
        "key",
        (
            r"\.(?:(?<=pat[A-Za-z0-9]{14}\.)[0-9a-f]{60,}|atlasv1\.[\w=-]{40,}"
            r"|(?<=[0-9a-f]{32}\.)(?=[a-z0-9]*[A-Z])[A-Za-z0-9]{16}(?![\w.])"
            r"|(?<=[\w-]{23}\.)[\w-]{6}\.[\w-]{27,40}(?![\w.-])"
            r"|(?<=0\.[0-9a-f-]{36}\.)[A-Za-z0-9]{30}:[\w+/]{20,}=*|(?<=[01]\.)A[\w-]{40,}\.Ag[\w.-]{100,})"
        ),
        (".",),
        backwards=r"[\w-]+",
    ),
    # Azure: OpenAI, AI Search, Cosmos DB, storage, DevOps and other services, by the signature inside their keys
    Pattern(
        "key",
        (
            r"JQQJ9[A-Za-z0-9]{20,40}"
            r"|(?:Az(?:Se|Ca|Fu)|ACDb|AZDO|\+A(?:St|Sb|Eh|CR))(?<=[\w+/-]{32}....)[\w+/-]{4,8}={0,2}(?![\w+/-])"
        ),
        ("JQQJ9", "Az", "ACDb", "AZDO", "+A"),
        backwards=r"[A-Za-z0-9+/_-]+",
    ),
    # Azure's applications, OpenShift
    Pattern(
        "key",
        r"~(?:(?<=Q~)[\w.~-]{31,34}|(?<=sha256~)[\w-]{43})",
        ("~",),
        backwards=r"[\w~.]{1,6}",
    ),
    # Mailchimp, Mailgun; MaxMind, New Relic; Salesforce; Facebook's applications, Qdrant; Braintree
    Pattern(
        "key",
        r"-(?<=[0-9a-f]{32}-)(?:us\d\d?|[0-9a-f]{8}-[0-9a-f]{8}(?![\w-]))",
        ("-",),
        backwards="[0-9a-f]{32}",
    ),
    Pattern(
        "key",
        r"(?:_mmk(?<=\w{29}_mmk)|NRAL(?<=\w{36}NRAL))\b",
        ("_mmk", "NRAL"),
        backwards=r"\w+",
    ),
    Pattern("key", r"!(?<=00[A-Za-z0-9]{13}!)[\w.]{40,}", ("!",), backwards=r"\w{15}"),
    Pattern(
        "key",
        r"\|(?:(?<=\d{15}\|)(?=[\w-]{27})|(?<=[0-9a-f]{12}\|)(?=[\w-]{43}))(?P<secret>[\w-]{27,43})(?![\w-])",
        ("|",),
    ),
    Pattern("key", r"\$(?<=access_token\$)\w+\$\w{12,}\$[0-9a-f]{32}", ("$",)),
    # Plaid, LaunchDarkly: a UUID
    Pattern(
        "key",
        (
            rf"-(?:{behind(('access-sandbox', 'access-development', 'access-production', 'sdk', 'api'), after='-')})"
            r"(?P<secret>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})"
        ),
        ("-",),
    ),
)

_REST = r"[^\s\"'<>)\]\\]"
_HOSTS = r"s\.slack\.com|s\.zapier\.com|\.site|\.office\.com|\.(?:[\w-]{1,32}\.)?make\.com"
_PATHS = ("discord.com/api/webhooks/", "discordapp.com/api/webhooks/", ".tines.com/webhook/", "/bot/v2/hook/")
WEBHOOK = Pattern(
    "webhook",
    (
        rf"hook(?:(?:{_HOSTS})/|s?/(?:{behind(_PATHS)}|(?<=outlook.office.com/webhook/)"
        r"|(?<=webhooks/)(?=\d{17,20}/)"
        r"|(?:(?<=webhooks/)|(?<=webhook/))(?=[\w/-]{0,200}?\d)(?=[\w/-]{0,200}?[A-Za-z0-9]{20})))"
        rf"(?P<secret>{_REST}{{8,}})"
    ),
    ("hook",),
)
"""Addresses whose path is a password: whoever knows it can write there."""

KEYS = (WEBHOOK, *map(_prefixed, "-_."), *(_literal(*each) for each in _LITERALS), *_SHAPES)
"""Patterns of keys, tokens and addresses that are passwords."""
