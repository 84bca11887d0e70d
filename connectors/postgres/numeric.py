"""Postgres' numeric, as its binary format has it, into the two halves of Arrow's decimal128.

A value is a count of digits, the weight of the first, a sign, a scale for display, and the digits
themselves, each of base 10,000: digit i counts 10,000 to the power of (weight - i). Source:
PostgreSQL, src/backend/utils/adt/numeric.c, numeric_send.

Four digits at a time are loaded as one word. Words are aligned to the column's scale, so that
every value of the column is computed alike, whatever its own weight.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from connectors.postgres.fields import Fields, Malformed, NotExact

Words: TypeAlias = npt.NDArray[np.uint64]
Integers: TypeAlias = npt.NDArray[np.int64]

NEGATIVE = 0x4000
SPECIAL = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
"""Signs of what is no number, and its text."""
HEADER_BYTES = 8
BASE = 10_000
PER_WORD = 4
WORD = 10**16
"""A word of digits is less than this."""
MAX_WORDS = 4
INT64_DIGITS = 18

DIGIT_BITS = U16 = np.uint64(16)
U32 = np.uint64(32)
LOW_32 = np.uint64(0xFFFFFFFF)
EVERY_OTHER = np.uint64(0x0000FFFF0000FFFF)
ALL = np.uint64(2**64 - 1)


def decimals(fields: Fields, precision: int, scale: int) -> Words:
    """The values, as rows of a low and a high half. There is no NULL among ``fields``.

    Raises NotExact for NaN and infinity, Malformed for what no numeric(precision, scale) can be.
    """
    plain: Words | None = fields.plain_decimals(precision, scale)
    return _judged(fields, precision, scale) if plain is None else plain


def _judged(fields: Fields, precision: int, scale: int) -> Words:
    header = fields.load(">i8")
    count = header >> 48 & 0xFFFF
    weight = header << 16 >> 48
    sign = header >> 16 & 0xFFFF
    if (fields.sizes != HEADER_BYTES + 2 * count).any():
        raise Malformed
    _judge(sign)
    words = _words(fields, count, weight, scale)
    largest, surplus = 10**precision - 1, 10 ** (-scale % PER_WORD)
    words[-1] = _divided(words[-1], surplus)
    narrow = precision <= INT64_DIGITS
    low, high = (_narrow if narrow else _wide)(words, WORD // surplus, largest)
    return _signed(low, high, sign == NEGATIVE)


def special_text(value: bytes) -> str:
    """The text of NaN or an infinity."""
    return SPECIAL[int.from_bytes(value[4:6])]


def _judge(sign: Integers) -> None:
    if (sign & ~NEGATIVE).any():
        if np.isin(sign, (0, NEGATIVE, *SPECIAL)).all():
            raise NotExact(np.flatnonzero(sign & ~NEGATIVE))
        raise Malformed


def _words(fields: Fields, count: Integers, weight: Integers, scale: int) -> list[Words]:
    """The digits in fours, from the highest that any value has down to the column's scale."""
    lowest = -scale // PER_WORD
    if (weight - count).min(initial=0) < lowest - 1:
        raise Malformed
    number = max(1, (int(weight.max(initial=0)) - lowest) // PER_WORD + 1)
    if number > MAX_WORDS:
        raise Malformed
    tops = [lowest + PER_WORD * (n + 1) - 1 for n in reversed(range(number))]
    return [_word(fields, count, weight - top) for top in tops]


def _word(fields: Fields, count: Integers, first: Integers) -> Words:
    """Four digits from index ``first`` on, which may lie before the first or behind the last."""
    missing = np.maximum(-first, 0).view(np.uint64)
    surplus = np.maximum(first + PER_WORD - count, 0).view(np.uint64)
    starts = fields.starts + HEADER_BYTES + 2 * np.minimum(np.maximum(first, -PER_WORD), count)
    digits: Words = Fields(fields.data, starts, fields.sizes).load(">u8")
    digits &= ALL >> missing * DIGIT_BITS
    digits &= ALL << surplus * DIGIT_BITS
    if digits.view(np.uint16).max(initial=0) >= BASE:
        raise Malformed
    pairs = (digits >> U16 & EVERY_OTHER) * np.uint64(BASE) + (digits & EVERY_OTHER)
    return (pairs >> U32) * np.uint64(BASE**2) + (pairs & LOW_32)


def _divided(words: Words, divisor: int) -> Words:
    if divisor == 1:
        return words
    quotient = words // np.uint64(divisor)
    if (quotient * np.uint64(divisor) != words).any():
        raise Malformed
    return quotient


def _narrow(words: list[Words], last: int, largest: int) -> tuple[Words, Words]:
    low = words[0]
    for n, word in enumerate(words[1:], 2):
        factor = last if n == len(words) else WORD
        if (low > np.uint64(largest // factor)).any():
            raise Malformed
        low = low * np.uint64(factor) + word
    if (low > np.uint64(largest)).any():
        raise Malformed
    return low, np.zeros_like(low)


def _wide(words: list[Words], last: int, largest: int) -> tuple[Words, Words]:
    low, high = words[0], np.zeros_like(words[0])
    for n, word in enumerate(words[1:], 2):
        factor = last if n == len(words) else WORD
        if _exceeds(low, high, largest // factor):
            raise Malformed
        low, high = _times(low, high, BASE**2, np.zeros_like(word))
        low, high = _times(low, high, factor // BASE**2, word)
    if _exceeds(low, high, largest):
        raise Malformed
    return low, high


def _exceeds(low: Words, high: Words, limit: int) -> bool:
    top, rest = np.uint64(limit >> 64), np.uint64(limit & (2**64 - 1))
    return bool(((high > top) | ((high == top) & (low > rest))).any())


def _times(low: Words, high: Words, factor: int, addend: Words) -> tuple[Words, Words]:
    """128 bits times a factor below 2**31, and something added."""
    by = np.uint64(factor)
    lower = (low & LOW_32) * by + (addend & LOW_32)
    upper = (low >> U32) * by + (lower >> U32) + (addend >> U32)
    return (upper << U32) | (lower & LOW_32), high * by + (upper >> U32)


def _signed(low: Words, high: Words, negative: npt.NDArray[np.bool_]) -> Words:
    """Two's complement of those that are negative."""
    halves = np.empty((len(low), 2), np.uint64)
    flip = np.where(negative, ALL, np.uint64(0))
    halves[:, 0] = (low ^ flip) + negative
    halves[:, 1] = (high ^ flip) + (negative & (low == 0))
    return halves
