"""Canaries: recognisable values to put into an application and to search for in everything that leaves it."""


class Canaries:
    """Hands out canaries, no two alike."""

    def __init__(self) -> None:
        self.secrets: list[str] = []
        self.texts: list[str] = []
        self.names: list[str] = []

    @property
    def hidden(self) -> str:
        """A secret that is recognisable only by its key."""
        self.secrets.append(f"hush{len(self.secrets):02}hush")
        return self.secrets[-1]

    @property
    def key(self) -> str:
        """A secret that looks like one, inside a sentence."""
        self.secrets.append(f"9q7Zk2Xw4Lm8Tr{len(self.secrets):02}Vb")
        return f"use sk-proj-{self.secrets[-1]} for it"

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
