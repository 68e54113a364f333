"""Texts of many kinds: from a Debian machine with the development environment, or generated here.

`fitted` has the kinds that the token estimator was fitted to, `unseen` has others.
"""

import base64
import gettext
import gzip
import json
import random
import sysconfig
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from pydoc_data.topics import topics

Kinds = dict[str, list[str]]

SIZE = 2_000
PER_KIND = 30
STDLIB = Path(sysconfig.get_path("stdlib"))
PACKAGES = Path(sysconfig.get_path("purelib"))
SHARE = Path("/usr/share")
FITTED_LANGUAGES = ["fr", "de", "ru", "ja", "zh_CN", "ko", "ar", "hi", "th", "el", "tr", "pl", "ka", "ta"]
OTHER_LANGUAGES = [
    "es",
    "it",
    "uk",
    "zh_TW",
    "he",
    "bn",
    "te",
    "fa",
    "cs",
    "vi",
    "hu",
    "sr",
    "mr",
    "ml",
    "bg",
    "fi",
    "pa",
    "id",
    "my",
    "km",
    "hy",
]
EMOJI = "😀😂🥰😎🤔👍🙏🎉🔥🚀✅❤️👩‍💻🇫🇷🍕"

draw = random.Random(7)


def fitted() -> Kinds:
    return _large_enough(
        {
            "Python": excerpts(STDLIB.glob("*.py")),
            "package metadata": excerpts(PACKAGES.glob("*.dist-info/METADATA")),
            "copyright notes": excerpts((SHARE / "doc").glob("*/copyright")),
            "changelogs": excerpts((SHARE / "doc").glob("*/changelog*.gz")),
            "manual pages": excerpts((SHARE / "man").glob("man*/*.gz")),
            "C and Cython": excerpts(PACKAGES.rglob("*.pyx"), PACKAGES.rglob("*.c")),
            "checksums": excerpts(Path("/var/lib/dpkg/info").glob("*.md5sums")),
            "file lists": excerpts(Path("/var/lib/dpkg/info").glob("*.list")),
            "build files": excerpts(SHARE.rglob("*.cmake"), SHARE.rglob("*.m4")),
            "CSV": many(lambda: lines(40, orders)),
            "CSV of floats": many(lambda: lines(30, floats)),
            "logs": many(lambda: lines(25, log_line)),
            "SQL": many(lambda: lines(12, statement)),
            "base64": many(lambda: base64.b64encode(draw.randbytes(1_200)).decode()),
            "JSON records": many(lambda: json.dumps([record() for _ in range(12)])),
            "search results": many(lambda: json.dumps([search_hit() for _ in range(10)])),
            "chat with emoji": many(lambda: lines(30, chatter)),
            **{f"translation {language}": translations(language) for language in FITTED_LANGUAGES},
        }
    )


def unseen() -> Kinds:
    return _large_enough(
        {
            "C headers": excerpts(Path("/usr/include").rglob("*.h")),
            "Perl": excerpts((SHARE / "perl").rglob("*.pm")),
            "shell": excerpts(Path("/usr/bin").iterdir(), starting="#!/bin/"),
            "notes and readmes": excerpts((SHARE / "doc").glob("*/NEWS*"), (SHARE / "doc").glob("*/README*")),
            "XML and HTML": excerpts((SHARE / "mime").rglob("*.xml"), PACKAGES.rglob("*.html")),
            "JSON files": excerpts(PACKAGES.rglob("*.json"), SHARE.rglob("*.json")),
            "reference manual": [
                page[:SIZE] for page in list(topics.values())[:PER_KIND] if len(page) > SIZE
            ],
            "JSON of numbers": many(lambda: json.dumps([[gauss() for _ in range(8)] for _ in range(20)])),
            "URLs": many(lambda: lines(15, url)),
            "hex dump": many(lambda: lines(25, dump_line)),
            "Markdown table": many(lambda: lines(30, table_row)),
            **{f"translation {language}": translations(language) for language in OTHER_LANGUAGES},
        }
    )


def _large_enough(kinds: Kinds) -> Kinds:
    return {kind: texts for kind, texts in kinds.items() if len(texts) >= 5}


def excerpts(*sources: Iterator[Path], starting: str = "") -> list[str]:
    paths = sorted(path for source in sources for path in source if path.is_file())
    draw.shuffle(paths)
    found: list[str] = []
    for path in paths[: 20 * PER_KIND]:
        text = read(path)
        if len(text) >= SIZE // 2 and text.startswith(starting) and len(found) < PER_KIND:
            start = draw.randrange(max(1, len(text) - SIZE))
            found.append(text[start : start + SIZE])
    return found


def read(path: Path) -> str:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return data.decode()
    except (OSError, UnicodeDecodeError, EOFError):  # not text, or not readable: uses another file
        return ""


def translations(language: str) -> list[str]:
    """Returns excerpts of programs' translated messages in a language."""
    messages: list[str] = []
    for path in sorted((SHARE / "locale" / language / "LC_MESSAGES").glob("*.mo")):
        try:
            catalogue = vars(gettext.GNUTranslations(path.open("rb")))["_catalog"]
        except (OSError, UnicodeDecodeError):  # a broken catalogue: uses the others
            continue
        messages += [
            text for key, text in catalogue.items() if key and isinstance(text, str) and len(text) > 30
        ]
    draw.shuffle(messages)
    whole = "\n".join(messages)
    return [whole[start : start + 1_200] for start in range(0, min(len(whole), 12 * 1_200), 1_200)]


def many(make: Callable[[], str]) -> list[str]:
    return [make() for _ in range(PER_KIND)]


def lines(count: int, make: Callable[[], str]) -> str:
    return "\n".join(make() for _ in range(count))


def date() -> str:
    return f"2026-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}"


def orders() -> str:
    who = draw.choice(("Ann Lee", "Bob Ray", "Cleo Diaz", "Zoë Müller"))
    return (
        f"{date()},{draw.randrange(10**6)},{draw.random() * 1e4:.2f},{draw.choice(('open', 'closed'))},{who}"
    )


def floats() -> str:
    return ",".join(f"{draw.uniform(-1e3, 1e3):.{draw.choice((1, 3, 5))}f}" for _ in range(6))


def gauss() -> float:
    return round(draw.gauss(0, 1), draw.choice((2, 4, 6)))


def log_line() -> str:
    level, what = draw.choice(("INFO", "WARN", "ERROR")), draw.choice(("GET /api/items/", "retry job "))
    stamp = f"{date()}T{draw.randrange(10, 24)}:{draw.randrange(10, 60)}:07.{draw.randrange(100, 999)}Z"
    return f"{stamp} {level} [worker-{draw.randrange(9)}] {what}{draw.randrange(10**5)} {draw.randrange(2_000)}ms"


def statement() -> str:
    column, table = draw.choice(("o.id", "u.name", "COUNT(*)")), draw.choice(("orders", "invoices"))
    return f"SELECT {column} FROM {table} o WHERE o.total > {draw.randrange(999)} ORDER BY 1 DESC LIMIT 20;"


def record() -> dict[str, object]:
    return {
        "id": str(uuid.UUID(int=draw.getrandbits(128))),
        "createdAt": f"{date()}T08:00:00Z",
        "totalPrice": draw.randrange(10**5) / 100,
        "isActive": draw.random() < 0.5,
        "customerName": draw.choice(("Müller GmbH", "Acme Inc.", "Foo Ltd")),
    }


def search_hit() -> dict[str, object]:
    page = draw.choice(("getting-started", "pricing", "security-advisory"))
    return {
        "title": draw.choice(("Annual report", "Release notes", "How to file a claim")),
        "link": f"https://docs.acme.org/{draw.choice(('guides', 'en-US'))}/{draw.randrange(3_000)}-{page}.html",
        "score": draw.random(),
    }


def chatter() -> str:
    said = draw.choice(("that is great", "see you at 5", "no idea, sorry", "shipping it now"))
    return f"• {said} {''.join(draw.choice(EMOJI) for _ in range(draw.randrange(1, 5)))} → “ok” …"


def url() -> str:
    page, words = draw.choice(("products", "search", "a")), draw.choice(("red+shoes", "foo%20bar"))
    number, session = draw.randrange(10**6), f"{draw.getrandbits(64):x}"
    return f"https://www.example.com/{page}/{number}?q={words}&utm_source=mail&sid={session}"


def dump_line() -> str:
    return f"{draw.randrange(2**20):08x}  " + " ".join(f"{byte:02x}" for byte in draw.randbytes(16))


def table_row() -> str:
    region = draw.choice(("north", "south", "east", "west"))
    return f"| {region} {draw.randrange(99)} | {draw.randrange(10**5):,} | {draw.random() * 100:.1f} % |"
