"""Canaries: recognisable values to put into an application and to search for in everything that leaves it."""

from itertools import cycle

from secret_formats import LONG, PREFIXES

FORMS = [
    "sk-proj-{}",
    *(begin + "{}" for kind in PREFIXES.values() for begin, rest in kind.items() if rest == LONG),
    *("tool --api-key {} run", "curl -u ann:{} x", "Authorization: Bearer {}", "Cookie: a=b; session={}"),
    *(
        "<password>{}</password>",
        "password := '{}'",
        "'token' => '{}'",
        "export DB_PASSWORD={}",
        "**API key**: {}",
    ),
    *(
        "postgres://ann:{}@db.example/x",
        "redis://:{}@db.example",
        "https://hooks.slack.com/services/T0/B0/{}",
    ),
    *("https://discord.com/api/webhooks/123456789012345678/{}", "https://x.example/a?api_key={}&b=1"),
]
"""Every kind of secret that is known by its form, and takes a value of letters and digits."""


class Canaries:
    """Hands out canaries, no two alike."""

    def __init__(self) -> None:
        self.secrets: list[str] = []
        self.texts: list[str] = []
        self.names: list[str] = []
        self._forms = cycle(FORMS)

    @property
    def hidden(self) -> str:
        """A secret that is recognisable only by its key."""
        self.secrets.append(f"hush{len(self.secrets):02}hush")
        return self.secrets[-1]

    @property
    def key(self) -> str:
        """A secret that looks like one, inside a sentence."""
        self.secrets.append(f"9q7Zk2Xw4Lm8Tr{len(self.secrets):03}VbPd3Gs5Hw")
        return f"use {next(self._forms).format(self.secrets[-1])} for it"

    @property
    def address(self) -> str:
        """A URL with a password."""
        self.secrets.append(f"pass{len(self.secrets):02}word")
        return f"https://ann:{self.secrets[-1]}@internal.example:8443/v1"

    @property
    def text(self) -> str:
        """A text that a user wrote."""
        self.texts.append(f"canary-{len(self.texts):02}-sings")
        return self.texts[-1]

    @property
    def both(self) -> str:
        """A text that a user wrote, with a secret in it."""
        return f"{self.text}: {self.key}"

    @property
    def named(self) -> str:
        """A name that the application sets; it is recorded unless the policy removes it."""
        self.names.append(f"canary-{len(self.names):02}-named")
        return self.names[-1]
