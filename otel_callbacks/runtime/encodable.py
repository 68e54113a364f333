"""Values that every exporter can encode: well-formed text, and whole numbers of 64 bits."""

import json
from json.encoder import encode_basestring_ascii

INT64 = range(-(2**63), 2**63)
"""The whole numbers that OTLP can carry."""


def well_formed(text: str) -> str:
    """Returns the text without lone surrogates, which no exporter can encode; a pair becomes its character."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:  # decoding UTF-16 would work, too, but takes ten times as long
        joined: str = json.loads(encode_basestring_ascii(text))  # JSON joins pairs
        data = joined.encode("utf-8", "surrogatepass")
        return data.decode("utf-8", "replace").replace("\ufffd" * 3, "\ufffd")  # a lone one has three bytes
    return text
