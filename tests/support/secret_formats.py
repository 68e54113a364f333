"""An example of each kind of secret that is removed by its form, and what of it must be gone.

The kinds are the rules of gitleaks and kingfisher, and those of services that our users call. Examples are put together
from parts, so that no scanner takes them for real.
"""

RANDOM = "9fQ2xV7bLmT4zR8kW1nJ6cYh"
LONG = RANDOM + "Pd3Gs5Vw8Xa2Ke7Mb4Nt6Rq9"
HEX = "0f3a9c5d7e1b2468ace013579bdf2468"
LOWER = "x7k2m9q4w1z8v5t3r6p0n2b4c7d1f9g3h5j8"
UPPER = "Q7K2M9X4W1Z8V5T3R6P2N4B7"
UUID = "3f2a9c5d-7e1b-4468-ace0-13579bdf2468"

PREFIXES: dict[str, dict[str, str]] = {
    "OpenAI, Anthropic, OpenRouter, DeepSeek, Langfuse": {
        "sk-": RANDOM,
        "sk-proj-": LONG,
        "sk-ant-api03-": LONG,
        "sess-": LONG,
    },
    "Google": {
        "AQ.": "Ab8RN6" + LONG,
        "AIza": RANDOM + RANDOM[:11],
        "ya29.": LONG,
        "GOCSPX-": RANDOM,
        "1//0": LONG,
    },
    "AWS and Bedrock": {
        "AKIA": UPPER[:16],
        "ASIA": UPPER[:16],
        "ABSK": LONG,
        "bedrock-api-key-": "YmVkcm9jay5hbWF6" + RANDOM,
        "IQoJb3JpZ2lu": LONG,
        "FwoGZXIvYXdz": LONG,
    },
    "Azure": {
        f"{RANDOM}JQQJ99": "ALACYeBjFXJ3w3AAABACOG" + "kq2L",
        "Ab28Q~": RANDOM + "aB3dE5fG_~",
        "use ": RANDOM + RANDOM[:18] + "AzSeC" + "9fQ2x",
        "a key: ": LONG + RANDOM + "9fQ2" + "+ASt" + "b4Nt6R==",
        "registry ": RANDOM + RANDOM[:18] + "+ACR" + "b4Nt6R",
        "database ": LONG + RANDOM + "9fQ2" + "ACDb" + "b4Nt6R==",
        "Microsoft's refresh token 1.A": LONG + ".Ag" + LONG * 3,
    },
    "monitoring": {
        **dict.fromkeys(("pylf_v1_us_", "cxtp_", "essu_", "NRIQ-"), LONG),
        **dict.fromkeys(("hcaik_", "hcxik_01"), LOWER + LOWER[:20]),
        **dict.fromkeys(("xaat-", "xapt-", "px-api-"), UUID),
        "NRAA-": HEX[:27],
        "license ": HEX + "01ab" + "NRAL",
        "rootly_": HEX + HEX,
    },
    "other models": {
        **dict.fromkeys(
            ("sk-admin-", "sk-svcacct-", "sk_car_", "fpk_", "flp_", "esecret_", "ck-", "nk-"), LONG
        ),
        **dict.fromkeys(("tpuf_", "mxb_", "zut_", "zqt_", "bb_live_", "ste-"), LONG),
        "dtn_": HEX + HEX,
        "v1.Cm": LONG + LONG,
        **dict.fromkeys(
            ("gsk_", "xai-", "pplx-", "r8_", "nvapi-", "csk-", "fw_", "tgp_v1_", "vck_", "rpa_"), LONG
        ),
        "hf_": "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
        "api_org_": "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
        f"{HEX}.": "aBcDeFgHiJkLmN12",
    },
    "search, vectors and retrieval": {
        **dict.fromkeys(
            ("tvly-", "pa-", "al-", "jina_", "llx-", "pcsk_", "lsv2_pt_", "apify_api_", "wandb_v1_"), LONG
        ),
        "fc-": HEX,
        "e2b_": HEX + "01234567",
    },
    "GitHub, GitLab, Bitbucket, Atlassian": {
        **dict.fromkeys(
            ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_11AB", "glpat-", "gldt-", "glrt-"), LONG
        ),
        **dict.fromkeys(("glcbt-64_", "glptt-", "glft-", "glimt-", "glagent-", "gloas-", "glsoat-"), LONG),
        **dict.fromkeys(("ATATT3xFfGF0", "ATCTT3xFfGN0", "ATBB"), LONG),
        "GR1348941": RANDOM[:20],
        "gta_": HEX + "01234567",
        "BBDC-": LONG[:44],
        "ATTA": HEX + HEX + "0A1B2C3D",
    },
    "packages and builds": {
        **dict.fromkeys(
            ("npm_", "pypi-AgEIcHlwaS5vcmc", "dckr_pat_", "CCIPAT_", "bkua_", "figd_", "ntn_"), LONG
        ),
        **dict.fromkeys(("rubygems_", "pul-", "squ_", "sqp_", "sntryu_"), HEX + HEX),
        **dict.fromkeys(
            ("PMAK-", "rdme_", "pnu_", "CFPAT-", "sntrys_", "lin_api_", "lin_oauth_", "hawk."), LONG
        ),
        "sgp_local_": HEX + "01234567",
        "oy2": LOWER + "abcdefg",
        "cio": RANDOM + RANDOM[:8],
        "AKCp": LONG + RANDOM,
        "secret_": LONG[:43],
        "NRAK-": UPPER + "ABC",
    },
    "clouds and infrastructure": {
        **dict.fromkeys(
            ("hvs.", "hvb.", "glsa_", "glc_", "tskey-auth-", "dp.pt.", "dp.st.dev.", "pscale_tkn_"), LONG
        ),
        **dict.fromkeys(
            ("pscale_pw_", "fm2_", "fo1_", "sb_secret_", "nfp_", "HRKU-AA", "cfut_", "ops_eyJ"), LONG
        ),
        **dict.fromkeys(("dop_v1_", "doo_v1_", "dor_v1_", "sbp_"), HEX + HEX),
        **dict.fromkeys(("dapi", "dose"), HEX),
        "v1.0-": HEX[:24] + "-" + HEX + HEX,
        "sha256~": LONG[:43],
        f"{RANDOM[:14]}.atlasv1.": LONG + RANDOM,
        "SWMTKN-1-": LOWER,
        "AGE-SECRET-KEY-1": UPPER + UPPER,
        "dt0c01.": UPPER + "." + UPPER,
        "LTAI": RANDOM[:20],
        **dict.fromkeys(("napi_", "ddp_", "cfk_", "vercel_blob_rw_", "figp_", "sqco_"), LONG),
        "an API token 00": RANDOM + RANDOM[:16],
        "sdk-": UUID,
        "K005": RANDOM + "9fQ",
        "retool_01": LOWER[:24],
        "0.": f"{UUID}.{RANDOM}9fQ2xV:{RANDOM}==",
        "st.": f"{HEX[:24]}.{HEX}.{HEX}",
        "mdb_sa_sk_": LONG,
    },
    "Slack, Discord, Telegram": {
        **dict.fromkeys(
            ("xoxb-1234-5678-", "xoxp-1234-", "xoxc-1234-", "xoxd-", "xoxe-1-", "xapp-1-A1B-"), RANDOM
        ),
        "https://ptb.discord.com/api/v10/webhooks/": f"123456789012345678/{'A-b_' * 15}",
        "7012345678:": "AAH9fQ2xV7bLmT4zR8kW1nJ6cYhPd3Gs5Vw",
        "MTk4NjIyNDgzNDcxOTI1MjQ4.": "Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs",
    },
    "shops, payments and mail": {
        **dict.fromkeys(("shpat_", "shpca_", "shppa_", "shpss_", "shippo_live_"), HEX),
        **dict.fromkeys(
            ("sk_live_", "rk_live_", "sk_test_", "whsec_", "sq0atp-", "sq0csp-", "SG.", "tfp_"), LONG
        ),
        "xkeysib-": HEX + HEX + "-" + RANDOM[:16],
        "key-": HEX,
        **dict.fromkeys(("re_", "api_", "secret-", "polar_oat_", "5Aep861", "IGQVJ"), LONG + RANDOM),
        "access-sandbox-": UUID,
        f"{HEX}-": "1a2b3c4d-5e6f7a8b",
        "3f2a9c5d-7e1b-4468-ace0-13579bdf2468|": LONG[:43],
        f"{HEX}-us": "21",
        "SK": HEX,
        "EAAA": LONG,
        "pat-na1-": UUID,
        "patAbCdEfGhIjKlM1.": HEX + HEX,
        "00D5g000004abcd!": LONG,
    },
}
"""Keys and tokens that are known by how they begin, or by their shape: the beginning, and the rest."""

ADDRESSES: dict[str, str] = {
    "https://hooks.slack.com/services/": f"T01ABCDEF/B01ABCDEF/{RANDOM}",
    "hooks.slack.com/workflows/": f"T01ABCDEF/A01ABCDEF/1234567890/{RANDOM}",
    "https://discord.com/api/webhooks/": f"123456789012345678/{LONG}",
    "https://discordapp.com/api/webhooks/": f"123456789012345678/{LONG}",
    "https://acme.webhook.office.com/": f"webhookb2/{UUID}@{UUID}/IncomingWebhook/{HEX}/{UUID}",
    "https://hooks.zapier.com/": "hooks/catch/1234567/b1a2c3d/",
    "https://hook.eu1.make.com/": LOWER,
    "https://open.feishu.cn/open-apis/bot/v2/hook/": UUID,
    "https://acme.tines.com/webhook/": f"{HEX}/{HEX}",
    "https://internal.example/api/webhooks/": LOWER,
    "https://api.telegram.org/bot7012345678:": "AAH9fQ2xV7bLmT4zR8kW1nJ6cYhPd3Gs5Vw",
}
"""Addresses that are passwords: the beginning, and the rest."""

BESIDE_A_NAME: dict[str, tuple[str, str]] = {
    "an option": ("tool --api-key hunter22 run", "hunter22"),
    "an option in quotes": ('tool --password "correct horse" run', "correct horse"),
    "an option of Go": ("tool -token hunter22", "hunter22"),
    "a list of arguments": ('["tool", "--api-key", "correct horse"]', "correct horse"),
    "a user of curl": ("curl -u ann:hunter22 https://x.example", "hunter22"),
    "an element": ("<password>correct horse</password>", "correct horse"),
    "Go": ('password := "correct horse"', "correct horse"),
    "Ruby and PHP": ("'password' => 'correct horse'", "correct horse"),
    "Python's environment": ('os.environ["API_KEY"] = "correct horse"', "correct horse"),
    "Markdown": ("**API key:** hunter22", "hunter22"),
    "Markdown code": ("`token`: `hunter22`", "hunter22"),
    "Kubernetes": ("- name: DB_PASSWORD\n  value: hunter22", "hunter22"),
    "a pair in JSON": ('{"key": "DB_PASSWORD", "value": "hunter22"}', "hunter22"),
    "cookies": ("Cookie: theme=dark; session=hunter22", "hunter22"),
    "another scheme": ("Authorization: Token hunter22", "hunter22"),
    "a digest": ('Authorization: Digest username="ann", response="hunter22"', "hunter22"),
    "netrc": ("machine x.example login ann password correcthorse", "correcthorse"),
    "a connection string": ("Server=x;Uid=ann;Pwd=hunter22;", "hunter22"),
    "a source of Go": ("ann:hunter22@tcp(db.example:3306)/x", "hunter22"),
    "a source of Oracle": ("jdbc:oracle:thin:ann/hunter22@db.example:1521/x", "hunter22"),
    "a password with an @": ("postgres://ann:hunter@22@db.example/x", "hunter@22"),
    "a password with a slash": ("redis://:hunter/22@db.example:6379", "hunter/22"),
    "a signing key": ("SIGNING_KEY=correcthorse", "correcthorse"),
    "a shell": ("export DB_PASS=correcthorse", "correcthorse"),
    "a container": ("ENV API_KEY hunter22", "hunter22"),
    "an annotation": ('api_key: str | None = "correct horse"', "correct horse"),
    "a pair": ('[("api_key", "hunter22")]', "hunter22"),
    "a function": ("os.environ.setdefault('API_KEY', 'hunter22')", "hunter22"),
    "pydantic": ("api_key=SecretStr('correct horse')", "correct horse"),
    "requests": ('get(url, auth=("ann", "correct horse"))', "correct horse"),
    "SQL": ("CREATE USER ann IDENTIFIED BY 'correct horse'", "correct horse"),
    "Make": ("API_KEY ?= hunter22", "hunter22"),
    "a value on the next line": ('{"api_key":\n    "correct horse"}', "correct horse"),
    "a block of YAML": ("password: |\n  hunter22", "hunter22"),
    "a list of one value": ("Authorization:[Bearer hunter22]", "hunter22"),
    "three quotes": ('password = """correct horse"""', "correct horse"),
    "a quote in quotes": ("""password = "co'rrect horse\"""", "rrect horse"),
    "an escaped quote": (r'{"password": "co\"rrect horse"}', "rrect horse"),
    "an escaped backslash": (r'{"password": "co\\rrect horse"}', "rrect horse"),
    "an element with attributes": ('<password type="text">correct horse</password>', "correct horse"),
    "an element that is named": ('<string name="api_key">correct horse</string>', "correct horse"),
    "an element with CDATA": ("<password><![CDATA[correct horse]]></password>", "correct horse"),
    "a scheme after =": ("authorization=Bearer hunter22", "hunter22"),
    "a scheme of a service": ("Authorization: SSWS hunter22", "hunter22"),
    "an option on the next line": ("tool --api-key \\\n  hunter22", "hunter22"),
    "an encoded assignment": ("https%3A%2F%2Fx%2F%3Fapi_key%3Dhunter22", "hunter22"),
    "an encoded address": ("https%3A%2F%2Fann%3Ahunter22%40x.example", "hunter22"),
    "an address in JSON": (r"https:\/\/ann:hunter22@x.example", "hunter22"),
    "an address without a scheme": ("//ann:hunter22@x.example", "hunter22"),
    "a license": ("LICENSE_KEY=hunter22", "hunter22"),
    "Datadog's second key": ("DD-APPLICATION-KEY: hunter22", "hunter22"),
}
"""What stands beside the name of a secret: the text, and the secret."""

STORED: dict[str, tuple[str, str]] = {
    "bcrypt": ("$2b$12$" + LONG, LONG),
    "argon2": ("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$" + RANDOM, RANDOM),
    "crypt": ("root:$6$salt$" + LONG, LONG),
    "PuTTY": (f"PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 1\n{RANDOM}\nPrivate-MAC: {HEX}", RANDOM),
    "a private key in base64": ("LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQo" + LONG, LONG),
    "a JWT in base64": ("ZXlKaGJHY2lPaUpJVXpJMU5pSjku" + LONG, LONG),
    "Grafana": ("eyJrIjoi" + LONG + "==", LONG),
    "PASETO": ("v4.local." + LONG, LONG),
}
"""Stored passwords and encoded keys: the text, and the secret."""

ALL: dict[str, tuple[str, str]] = {
    **{begin: (begin + rest, rest) for kind in PREFIXES.values() for begin, rest in kind.items()},
    **{begin: (begin + rest, rest) for begin, rest in ADDRESSES.items()},
    **BESIDE_A_NAME,
    **STORED,
}
"""All of these: the text, and the secret."""
