"""Values as one text each: what keys are made of, and what records of one cell are found by."""

import json

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
"""Made once: `json.dumps` with settings other than its own makes an encoder for every call."""

quoted = json.encoder.encode_basestring_ascii
"""`canonical` of a text."""


def canonical(value: object) -> str:
    """JSON with sorted keys, equal for equal values whatever the order in which options were given."""
    return _ENCODER.encode(value)
