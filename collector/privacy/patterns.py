"""What personal data looks like inside a text. A pattern finds candidates, a checksum decides where there is one.

Sources: Luhn's formula, ISO/IEC 7812-1 annex B; IBANs, ISO 13616-1 with ISO 7064 mod 97-10; phones, E.164 in
international writing; tokens by the prefixes that their makers publish, and JSON Web Tokens, RFC 7519.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["LOOKS", "Look", "mask"]

_SEPARATORS = str.maketrans("", "", " -.()/\u00a0")


def _is_card(text: str) -> bool:
    digits = text.translate(_SEPARATORS)
    if not 13 <= len(digits) <= 19 or digits[0] not in "23456" or len(set(digits)) == 1:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_iban(text: str) -> bool:
    plain = text.translate(_SEPARATORS).upper()
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def _is_phone(text: str) -> bool:
    return 8 <= sum(sign.isdigit() for sign in text) <= 15


def _always(_: str) -> bool:
    return True


@dataclass(frozen=True)
class Look:
    """Candidates by `pattern`, decided by `check`."""

    pattern: re.Pattern[str]
    check: Callable[[str], bool] = _always
    hint: str = ""  # a text without this character cannot match: the cheapest look

    def found(self, text: str) -> bool:
        """Whether the text holds such a value."""
        if self.hint and self.hint not in text:
            return False
        return any(self.check(match[0]) for match in self.pattern.finditer(text))

    def blotted(self, text: str, name: str) -> str:
        """The text with such values replaced by `[name]`."""
        if self.hint and self.hint not in text:
            return text
        return self.pattern.sub(lambda match: f"[{name}]" if self.check(match[0]) else match[0], text)


# In the order in which they are blotted out: what is more particular first. Quantifiers are bounded: no text is slow.
LOOKS: dict[str, Look] = {
    "token": Look(
        re.compile(
            r"""(?x)
              \beyJ[\w-]{8,2000}\.[\w-]{8,4000}\.[\w-]{0,2000}      # JSON Web Token
            | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b                         # AWS
            | \bgh[pousr]_[A-Za-z0-9]{36,255} | \bgithub_pat_\w{22,255}
            | \b(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{10,255}      # Stripe
            | \bxox[abprs]-[A-Za-z0-9-]{10,255}                     # Slack
            | \brmr_[A-Za-z0-9]{12}_[A-Za-z0-9]{49}                 # Remora
            | (?i:\bbearer\s{1,3})[\w.~+/=-]{16,4000}"""
        )
    ),
    "email": Look(
        re.compile(r"[A-Za-z0-9._%+'-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}[A-Za-z]{2,24}"),
        hint="@",
    ),
    "iban": Look(re.compile(r"\b[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}\b"), _is_iban),
    "card": Look(re.compile(r"(?<![\w.+])[0-9](?:[ -]?[0-9]){12,18}(?![\w])"), _is_card),
    "phone": Look(
        re.compile(r"(?<![\w+])(?:\+|00)[1-9][0-9]{0,2}(?:[ ./()-]{0,3}[0-9]){6,14}(?!\w)"), _is_phone
    ),
}


def mask(text: str, names: Iterable[str]) -> str:
    """Blot out what looks like one of `names`, in the order of `LOOKS`."""
    wanted = set(names)
    for name, look in LOOKS.items():
        if name in wanted:
            text = look.blotted(text, name)
    return text
