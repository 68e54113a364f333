"""An allowance: how much content may still be written."""

from json.encoder import encode_basestring
from math import inf

from otel_callbacks.limits import SPAN_STEPS

_SEPARATOR = 4  # characters of JSON around an item: quotes or brackets, comma, space
_MARK = 48  # characters that the mark of a cut needs


class Allowance:
    """How much may still be written to an attribute.

    Attributes:
        characters: of JSON.
        steps: units of time. An item, a text and a finding in it take one each; a long text takes more.
        cut: True once something did not fit.
    """

    __slots__ = ("characters", "cut", "steps")

    def __init__(self, characters: float = inf, steps: int = SPAN_STEPS) -> None:
        self.characters = characters
        self.steps = steps
        self.cut = False

    def take_item(self, around: int = _SEPARATOR) -> bool:
        """Takes what an item needs besides its text; returns False if the item does not fit.

        Args:
            around: characters of JSON around its text.
        """
        self.characters -= around
        self.steps -= 1
        fits = self.characters >= _MARK and self.steps >= 0
        self.cut = self.cut or not fits
        return fits

    def take_text(self, text: str) -> bool:
        """Takes the characters of a text; returns False, and takes nothing, if there are fewer."""
        return len(text) <= self.characters and self.take_characters(len(encode_basestring(text)))

    def take_characters(self, count: int) -> bool:
        """Takes characters of JSON; returns False, and takes nothing, if there are fewer."""
        if count > self.characters:
            return False
        self.characters -= count
        return True

    def take_steps(self, count: int) -> None:
        """Takes steps, unless characters are unlimited: then everything is written, however long it takes."""
        if self.characters < inf:
            self.steps -= count

    def portion(self, share: float) -> "Allowance":
        """Lends a share of the characters and all steps, until `settle`."""
        return Allowance(min(1.0, share) * self.characters, self.steps)

    def settle(self, portion: "Allowance", share: float) -> None:
        """Takes what was used of a portion."""
        if self.characters < inf:
            self.characters -= min(1.0, share) * self.characters - portion.characters
        self.steps = portion.steps
        self.cut = self.cut or portion.cut
