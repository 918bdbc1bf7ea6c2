"""Reads pages with prometheus_client's two parsers, the oracle of our own.

Standard input: one JSON object a line, {"syntax": "text" | "openmetrics", "page": "..."}. Standard output: one line
for each, either {"error": "..."} or {"samples": [[labels, bits of the value, milliseconds or null], ...]}.
"""

import json
import math
import struct
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

PARSERS = {"text": text, "openmetrics": openmetrics}


def bits(value):
    value = float(value)
    return "NaN" if math.isnan(value) else struct.pack(">d", value).hex()


def millis(timestamp):
    if timestamp is None:
        return None
    if hasattr(timestamp, "nsec"):
        # As Prometheus does it: multiply and cut off.
        return int(float(f"{timestamp.sec}.{timestamp.nsec:09d}") * 1000)
    return round(float(timestamp) * 1000)


def samples(families):
    for family in families:
        for sample in family.samples:
            labels = {"__name__": sample.name, **sample.labels}
            yield [labels, bits(sample.value), millis(sample.timestamp)]


for line in sys.stdin:
    case = json.loads(line)
    try:
        answer = {"samples": list(samples(PARSERS[case["syntax"]](case["page"])))}
    except Exception as error:
        answer = {"error": repr(error)}
    print(json.dumps(answer))
