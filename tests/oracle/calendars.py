#!/usr/bin/env python3
# /// script
# dependencies = ["python-dateutil==2.9.0.post0", "croniter==7.0.0"]
# ///
"""Writes what others say of recurrence rules and cron patterns: tests/data/calendars/recurrences.json and crons.json.

    uv run tests/oracle/calendars.py     (or python3, with the packages above)

dateutil says by the clock on the wall when something comes again, and Python's zoneinfo which moment that is: in the gap of
spring by the offset before it, and in autumn the first of two, as RFC 5545 has it. croniter says when a pattern fires; what
it does where clocks change is its own, so its patterns are asked in UTC.
"""

import json
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

from croniter import croniter
from dateutil.rrule import rrulestr

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo"]
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
MOST = 24
TO = Path(__file__).parent.parent / "data" / "calendars"


def some(random, values, most):
    return ",".join(str(v) for v in sorted(random.sample(list(values), random.randint(1, most))))


def rule(random):
    freq = random.choice(["YEARLY", "MONTHLY", "WEEKLY", "DAILY"])
    parts = [f"FREQ={freq}"]
    maybe = lambda chance: random.random() < chance
    if maybe(0.4):
        parts.append(f"INTERVAL={random.randint(2, 5)}")
    if maybe(0.3):
        parts.append(f"BYMONTH={some(random, range(1, 13), 4)}")
    signed = lambda most: [n for n in range(-most, most + 1) if n]
    has_day = False
    if freq == "YEARLY" and maybe(0.2):
        parts.append(f"BYWEEKNO={some(random, signed(53), 3)}")
        has_day = True
    if freq == "YEARLY" and not has_day and maybe(0.2):
        parts.append(f"BYYEARDAY={some(random, signed(366), 5)}")
        has_day = True
    if freq in ("YEARLY", "MONTHLY") and not has_day and maybe(0.4):
        parts.append(f"BYMONTHDAY={some(random, signed(31), 4)}")
        has_day = True
    if maybe(0.5):
        # dateutil wants a day to be each of MO and 1TU where both are there, the standard one of them: never both.
        if freq in ("YEARLY", "MONTHLY") and not has_day and maybe(0.5):
            place = lambda: random.choice([1, 2, 3, 4, 5, -1, -2])
            days = [f"{place()}{day}" for day in random.sample(DAYS, random.randint(1, 2))]
        else:
            days = random.sample(DAYS, random.randint(1, 4))
        parts.append("BYDAY=" + ",".join(days))
        has_day = True
    if maybe(0.25):
        parts.append(f"BYHOUR={some(random, range(24), 3)}")
    if maybe(0.2):
        parts.append(f"BYMINUTE={some(random, range(60), 3)}")
    # In the first week dateutil counts from the start, not from the beginning of the week.
    if freq in ("YEARLY", "MONTHLY") and has_day and maybe(0.3):
        parts.append(f"BYSETPOS={some(random, [1, 2, 3, -1, -2], 2)}")
    if maybe(0.3):
        parts.append(f"WKST={random.choice(DAYS)}")
    if maybe(0.3):
        parts.append(f"COUNT={random.randint(1, 20)}")
    elif maybe(0.3):
        parts.append(f"UNTIL={random.randint(2026, 2029)}{random.randint(1, 12):02}15T120000Z")
    return ";".join(parts)


def recurrences(random):
    told = []
    while len(told) < 300:
        text, zone = rule(random), random.choice(ZONES)
        start = datetime(2025, 1, 1) + timedelta(days=random.randint(0, 700), minutes=15 * random.randint(0, 95))
        tz, until = ZoneInfo(zone), None
        naive = text
        if "UNTIL=" in text:
            naive, until = text.split(";UNTIL=")
            until = datetime.strptime(until, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        moments = []
        for local in rrulestr(naive, dtstart=start).xafter(start, count=400, inc=True):
            at = local.replace(tzinfo=tz).timestamp()
            if local.year > 2037 or until is not None and at > until.timestamp():
                break
            moments.append(int(at))
            if len(moments) == MOST:
                break
        told.append({"rule": text, "start": start.strftime("%Y%m%dT%H%M%S"), "zone": zone, "moments": moments})
    return told


def field(random, values, names=()):
    kind = random.random()
    values = list(values)
    if kind < 0.35:
        return "*"
    if kind < 0.5:
        return f"*/{random.randint(2, 7)}"
    if kind < 0.7:
        first, last = sorted(random.sample(values, 2))
        return f"{first}-{last}" + (f"/{random.randint(1, 4)}" if random.random() < 0.5 else "")
    if names and kind < 0.85:
        return random.choice(names)
    return some(random, values, 3)


def crons(random):
    told = []
    months = ["jan", "FEB", "Oct"]
    while len(told) < 200:
        fields = [field(random, range(60)), field(random, range(24)), field(random, range(1, 32)),
                  field(random, range(1, 13), months), field(random, range(7), ["MON", "sun", "Fri"])]
        # A star that steps narrows in crontab(5) and widens in croniter, where the other day is given, too.
        if any(f.startswith("*/") for f in (fields[2], fields[4])):
            continue
        pattern = " ".join(fields)
        start = datetime(2026, random.randint(1, 12), random.randint(1, 28), tzinfo=timezone.utc) - timedelta(seconds=1)
        try:
            fires = croniter(pattern, start, max_years_between_matches=4)
            moments = [int(fires.get_next(float)) for _ in range(12)]
        except Exception:
            continue
        told.append({"pattern": pattern, "after": int(start.timestamp()), "moments": moments})
    return told


def write(name, told):
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in told)
    (TO / name).write_text(f"[\n{lines}\n]\n")


write("recurrences.json", recurrences(random.Random(1)))
write("crons.json", crons(random.Random(2)))
