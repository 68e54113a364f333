"""What every exporter can encode: well-formed text, and whole numbers of 64 bits."""

import json
from json.encoder import encode_basestring_ascii

INT64 = range(-(2**63), 2**63)
"""The whole numbers that OTLP can carry."""


def well_formed(text: str) -> str:
    """The text without lone surrogates, which no exporter could encode; pairs of them become their character."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:  # decoding UTF-16 would do as well, and take ten times as long
        joined: str = json.loads(encode_basestring_ascii(text))  # which makes a character of a pair
        data = joined.encode("utf-8", "surrogatepass")
        return data.decode("utf-8", "replace").replace("\ufffd" * 3, "\ufffd")  # three for each of the others
    return text
