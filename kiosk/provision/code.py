"""The short code that opens a claim: twelve letters of Crockford's base 32 and a check letter.

Rules
- Pure: a number in, text out, and back. 60 bits; how they are drawn is the caller's.
- What is typed is forgiven: small letters, spaces, hyphens, the letter O for 0, I and L for 1.
- The check symbol is Crockford's (the number modulo 37). Five of its 37 symbols are no letters or digits that people read
  alike (* ~ $ = U): a number with one of them makes no code, another is drawn.
- A wrong letter, and two that changed places, are always found. Source: https://www.crockford.com/base32.html
"""

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
DATA, WHOLE = 12, 13
BITS = 60
CHECK_MODULUS = 37
FORGIVEN = str.maketrans("OIL", "011", " -\t\r\n")


class BadCode(ValueError):
    """What was typed is no code; its text says why, and never repeats it."""


def code_of(number: int) -> str | None:
    """Return the code of a number of 60 bits, in the three groups in which it is read out; None where its check is no letter."""
    if not 0 <= number < 1 << BITS:
        raise ValueError("a code holds 60 bits")
    check = number % CHECK_MODULUS
    if check >= len(LETTERS):
        return None
    data = "".join(LETTERS[number >> shift & 31] for shift in range(BITS - 5, -1, -5))
    return f"{data[:4]}-{data[4:8]}-{data[8:]}{LETTERS[check]}"


def number_of(typed: str) -> int:
    """Return the number of a typed code; raise `BadCode`."""
    plain = typed.upper().translate(FORGIVEN)
    if not plain:
        raise BadCode("no code was typed; it stands on the paper of the unit")
    strange = sum(letter not in LETTERS for letter in plain)
    if strange:
        what = "one letter" if strange == 1 else f"{strange} letters"
        raise BadCode(f"{what} of what was typed cannot stand in a code (digits, and A to Z without U); type it again")
    if len(plain) != WHOLE:
        raise BadCode(f"{len(plain)} letters were typed, a code has {WHOLE}; type it again")
    number = 0
    for letter in plain[:DATA]:
        number = number << 5 | LETTERS.index(letter)
    if number % CHECK_MODULUS != LETTERS.index(plain[DATA]):
        raise BadCode("a letter of the code is wrong; type it again as it stands on the paper of the unit")
    return number
