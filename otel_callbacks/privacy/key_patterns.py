"""Patterns of keys and tokens that are known by their form: a prefix, a shape, or the address of a webhook.

The rules of two secret scanners, gitleaks and kingfisher, are the yardstick. SECURITY.md says which of their kinds are
covered, and `tests/support/secret_formats.py` has an example of each.
"""

import re

from otel_callbacks.privacy.pattern import Pattern, behind, letters

KEY_PREFIXES: dict[str, tuple[str, ...]] = {
    "models and search": (
        *("gsk_", "nvapi-", "tvly-", "lsv2_", "csk-", "AQ.", "tgp_v1_", "llx-", "pcsk_"),
        *("bedrock-api-key-", "wandb_v1_", "ctx7sk-", "ALTAK-"),
    ),
    "code": (
        *(
            "ghp_",
            "gho_",
            "ghu_",
            "ghs_",
            "ghr_",
            "github_pat_",
            "glpat-",
            "gldt-",
            "glrt-",
            "glcbt-",
            "glptt-",
        ),
        *("glft-", "glimt-", "glagent-", "gloas-", "glsoat-", "glffct-", "glwt-", "dckr_", "CFPAT-", "PMAK-"),
        *(
            "pnu_",
            "rdme_",
            "bkua_",
            "CCIPAT_",
            "CCIPRJ_",
            "sntrys_",
            "sntryu_",
            "sntrya_",
            "figd_",
            "lin_api_",
        ),
        *("lin_oauth_", "dt0c01.", "dt0s01.", "dt0s16.", "NRAK-", "NRII-", "NRJS-", "s-s4t2ud-", "s-s4t2af-"),
    ),
    "clouds": (
        *(
            "hvs.",
            "hvb.",
            "hvr.",
            "glsa_",
            "glc_",
            "dop_v1_",
            "doo_v1_",
            "dor_v1_",
            "tskey-",
            "dp.pt.",
            "dp.ct.",
        ),
        *("dp.st.", "dp.sa.", "dp.scim.", "dp.audit.", "pscale_tkn_", "pscale_oauth_", "pscale_pw_", "fo1_"),
        *("fm1a_", "fm1r_", "fm2_", "sb_secret_", "HRKU-", "cfut_", "cfat_", "fio-u-", "SWMTKN-1-", "dnkey-"),
        *("tk-us-", "mdb_sa_sk_", "ya29.", "GOCSPX-", "p8e-", "BBFF-", "AGE-SECRET-KEY-", "amzn1.oa2-cs.v1."),
        *("v1.local.", "v2.local.", "v3.local.", "v4.local.", "AVNS_"),
    ),
    "services": (
        *("xoxb-", "xoxp-", "xoxa-", "xoxs-", "xoxc-", "xoxd-", "xoxe-", "xoxr-", "xoxo-", "xapp-", "xwfp-"),
        *("shpat_", "shpca_", "shppa_", "shpss_", "shptka_", "shltm_", "sk_live_", "sk_test_", "sk_prod_"),
        *("rk_live_", "rk_test_", "rk_prod_", "whsec_", "sq0atp-", "sq0csp-", "SG.", "xkeysib-", "xsmtpsib-"),
        *(
            "tfp_",
            "duffel_test_",
            "duffel_live_",
            "shippo_live_",
            "shippo_test_",
            "FLWSECK-",
            "FLWSECK_TEST-",
        ),
        *("ak_live_", "rzp_live_", "sm_aat_", "sm_pat_", "sm_sat_", "VF.", "VF.DM.", "VF.WS.", "flb_live_"),
    ),
}
"""Prefixes that are hardly ever part of anything but a key, besides `sk-`. What follows must look random."""

WORD_PREFIXES: dict[str, tuple[str, ...]] = {
    "models and search": (
        *(
            "pa-",
            "al-",
            "fc-",
            "pplx-",
            "xai-",
            "hf_",
            "api_org_",
            "r8_",
            "fw_",
            "jina_",
            "ls__",
            "sess-",
            "vck_",
        ),
        *("phx_", "e2b_", "rpa_", "apify_api_", "app-", "dataset-", "m0-", "as-", "ak-", "sk_", "tnt_"),
    ),
    "code": (
        *("npm_", "pypi-", "rubygems_", "CLOJARS_", "pul-", "ico-", "sgp_", "slk_", "squ_", "sqp_", "sqa_"),
        *("odt_", "hawk.", "ntn_", "secret_", "API-", "A3-", "NF-"),
    ),
    "clouds": ("ops_", "sbp_", "vcp_", "vca_", "nfp_", "rnd_", "ion_", "aio_", "t1.", "y0_", "pat.", "sat."),
    "services": ("key-", "sl.", "pat-", "live_", "pk_", "1000."),
}
"""Prefixes that words and names have, too. A key has 20 more characters, which must mix letters and digits a lot."""

# Each looks ahead without going back, and not far, so that a text full of prefixes does not take long.
_RANDOM = r"(?:(?=[A-Za-z_.~+/=-]{0,40}+\d)|(?=[A-Z]*+[a-z]++[A-Z]++[a-z])[A-Za-z]{20})"
_BOTH_CASES = r"(?=[A-Z\d_-]{0,32}+[a-z][a-z\d_-]{0,32}+[A-Z])"
_RANDOM_WORD = (
    r"(?:(?=[a-z\d_+/-]{0,32}+[A-Z])(?=[A-Z\d_+/-]{0,32}+[a-z])(?=[A-Za-z_+/-]{0,40}+\d[A-Za-z_+/-]{0,40}+\d)"
    r"(?:[A-Za-z0-9]{0,11}+[_+/-]++){0,9}+[A-Za-z0-9]{12}"
    r"|(?=[A-Z]*+[a-z]++[A-Z]++[a-z])[A-Za-z]{30}|[0-9a-f]{32}|(?=(?:[a-z]*+\d){4})[a-z0-9]{28}|[A-Z0-9]{24}"
    r"|[A-Z0-9]{6}-[A-Z0-9]{6}|(?:na|eu)\d-[0-9a-f]{8}-|(?:[0-9a-f]{16}|local)_[0-9a-f]{32}|\d{6,9}_[A-Z0-9]{24})"
)
_ALONE = "(?<![A-Za-z0-9])"


def _prefixed(mark: str) -> Pattern:
    """Makes a pattern for keys whose prefix ends with this mark."""
    known = [each for kind in KEY_PREFIXES.values() for each in kind if each[-1] == mark]
    words = [each for kind in WORD_PREFIXES.values() for each in kind if each[-1] == mark]
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
    return Pattern("key", re.compile(expression), (mark,))


_CAPITALS = {
    "A": (
        r"(?:KIA|SIA|BIA|CCA|3T[A-Z0-9])[A-Z0-9]{16}"  # AWS
        r"|Iza[\w-]{30,}"  # Google
        r"|BSK[A-Za-z0-9+/]{20,}=*"  # Bedrock
        r"|K(?:ID|LT)(?=[A-Za-z]*\d)[A-Za-z0-9]{16,}"  # Tencent, Volcengine
        r"|KCp[A-Za-z0-9]{24,}"  # Artifactory
        r"|T(?:ATT|CTT|BB)(?=[A-Za-z]*\d)[\w=-]{20,}"  # Atlassian
        r"|QVN[\w-]{20,}"  # Yandex
        r"|A{20}[A-Za-z0-9]*%[A-Za-z0-9%]{40,}"  # X
    ),
    "E": r"Z[AT]K[A-Za-z0-9]{54}|AA(?=[A-Za-z]*\d)(?:A[\w-]{22,}|[\w-]{55,})",  # EasyPost, Square, Facebook
    "F": r"[QIw]oGZXIvYXdz[A-Za-z0-9+/%]{16,}=*",  # AWS sessions
    "G": r"R1348941[\w-]{20}",  # GitLab
    "I": r"QoJb3JpZ2lu[A-Za-z0-9+/%]{16,}=*",  # AWS sessions
    "L": (
        r"TAI(?=[A-Za-z]*\d)[A-Za-z0-9]{16,}"  # Alibaba
        r"|S0tLS1CRUdJTi(?!BDRVJU|BQVUJM)[A-Za-z0-9+/]{40,}=*"  # a private key in base64
    ),
    "S": r"K[0-9a-fA-F]{32}(?![A-Za-z0-9])",  # Twilio
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
)
"""Other beginnings without a mark; the first are Databricks."""


def _literal(beginnings: tuple[str, ...], rest: str) -> Pattern:
    start = "|".join(f"{re.escape(each)}(?<![A-Za-z0-9]{re.escape(each)})" for each in beginnings)
    return Pattern("key", re.compile(f"(?:{start}){rest}"), beginnings)


_SHAPES = (
    Pattern(
        "key",
        re.compile(
            f"[{''.join(_CAPITALS)}](?<![A-Za-z0-9].)"
            f"(?:{'|'.join(f'(?<={first})(?:{rest})' for first, rest in _CAPITALS.items())})"
        ),
        tuple(_CAPITALS),
    ),
    # Telegram's bots: the number of the bot, then the key
    Pattern("key", re.compile(r":(?<=\d{7}:)(?P<secret>A[\w-]{34})(?![\w-])"), (":A",)),
    # Airtable, Terraform, Zhipu, Discord's bots
    Pattern(
        "key",
        re.compile(
            r"\.(?:(?<=pat[A-Za-z0-9]{14}\.)[0-9a-f]{60,}|atlasv1\.[\w=-]{40,}"
            r"|(?<=[0-9a-f]{32}\.)(?=[a-z0-9]*[A-Z])[A-Za-z0-9]{16}(?![\w.])"
            r"|(?<=[\w-]{23}\.)[\w-]{6}\.[\w-]{27,40}(?![\w.-]))"
        ),
        (".",),
        backwards=re.compile(r"[\w-]+"),
    ),
    # Azure: OpenAI and other services; Azure's applications, OpenShift
    Pattern("key", re.compile(r"JQQJ9[A-Za-z0-9]{20,40}"), ("JQQJ9",), backwards=re.compile(r"[A-Za-z0-9]+")),
    Pattern(
        "key",
        re.compile(r"~(?:(?<=Q~)[\w.~-]{31,34}|(?<=sha256~)[\w-]{43})"),
        ("~",),
        backwards=re.compile(r"[\w~.]{1,6}"),
    ),
    # Mailchimp, MaxMind, Salesforce, Facebook's applications, Braintree
    Pattern(
        "key", re.compile(r"-us(?<=[0-9a-f]{32}-us)\d\d?"), ("-us",), backwards=re.compile("[0-9a-f]{32}")
    ),
    Pattern("key", re.compile(r"_mmk\b(?<=\w{29}_mmk)"), ("_mmk",), backwards=re.compile(r"\w+")),
    Pattern(
        "key", re.compile(r"!(?<=00[A-Za-z0-9]{13}!)[\w.]{40,}"), ("!",), backwards=re.compile(r"\w{15}")
    ),
    Pattern("key", re.compile(r"\|(?<=\d{15}\|)[\w-]{27,40}"), ("|",)),
    Pattern("key", re.compile(r"\$(?<=access_token\$)\w+\$\w{12,}\$[0-9a-f]{32}"), ("$",)),
)

_REST = r"[^\s\"'<>)\]\\]"
_HOSTS = r"s\.slack\.com|s\.zapier\.com|\.site|\.office\.com|\.(?:[\w-]{1,32}\.)?make\.com"
_PATHS = ("discord.com/api/webhooks/", "discordapp.com/api/webhooks/", ".tines.com/webhook/", "/bot/v2/hook/")
WEBHOOK = Pattern(
    "webhook",
    re.compile(
        rf"hook(?:(?:{_HOSTS})/|s?/(?:{behind(_PATHS)}|(?<=outlook.office.com/webhook/)"
        r"|(?:(?<=webhooks/)|(?<=webhook/))(?=[\w/-]{0,200}?\d)(?=[\w/-]{0,200}?[A-Za-z0-9]{20})))"
        rf"(?P<secret>{_REST}{{8,}})"
    ),
    ("hook",),
)
"""Addresses whose path is a password: whoever knows it can write there."""

KEYS = (WEBHOOK, *map(_prefixed, "-_."), *(_literal(*each) for each in _LITERALS), *_SHAPES)
"""Patterns of keys, tokens and addresses that are passwords."""
