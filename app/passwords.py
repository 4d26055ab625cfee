"""Which passwords may be chosen."""

from __future__ import annotations

import re

SHORTEST, LONGEST = 10, 128
TELLING_NAME = 4
"""Characters; shorter names turn up in good passwords by chance."""

RULES = (
    (f"at least {SHORTEST} characters", lambda password: len(password) >= SHORTEST),
    (f"at most {LONGEST} characters", lambda password: len(password) <= LONGEST),
    ("a letter", lambda password: re.search(r"[^\W\d_]", password)),
    ("a digit", lambda password: re.search(r"\d", password)),
)

# Of the most common ones these keep the rules, and the limits on guessing leave time to try a hundred.
_COMMON = set(
    """
    password12 password123 password1234 passw0rd123 p@ssw0rd123 p@ssword123 qwerty1234 qwerty12345
    qwerty123456 qwertyuiop1 1234567890a 1234567890q 123456789a a123456789 a1234567890 abcd123456 abc1234567
    abcdef1234 iloveyou12 iloveyou123 welcome123 welcome1234 letmein123 letmein1234 administrator1
    changeme12 changeme123 1q2w3e4r5t q1w2e3r4t5 1q2w3e4r5t6y 1qaz2wsx3edc zaq12wsxcde3 football12
    football123 baseball12 baseball123 sunshine12 sunshine123 princess12 princess123 superman12 superman123
    monkey1234 dragon1234
    """.split()  # noqa: SIM905 - a list of words, not of forty lines
)


def keeping_the_rules(password: str) -> str:
    """Raises ValueError with all that it lacks."""
    if missing := [rule for rule, holds in RULES if not holds(password)]:
        raise ValueError(f"a password needs {', '.join(missing)}")
    return password


def refuse_the_obvious(password: str, email: str) -> None:
    """Raises ValueError for what a guesser tries first."""
    name, *_ = email.lower().split("@")
    if password.lower() in _COMMON:
        raise ValueError("this password is one of the most common ones")
    if len(name) >= TELLING_NAME and name in password.lower():
        raise ValueError("a password must not contain the e-mail address's name")
