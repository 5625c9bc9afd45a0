r"""ECMA-262 patterns, as ODCS prescribes, for the linear-time Rust engine inside Polars.

A pattern is searched for, as in JSON Schema and `datacontract test`: anchor it with ^ and $ to match whole values.
The two dialects share most syntax but not its meaning: in ECMA `\d` and `\w` are ASCII and `.` stops at four line
terminators, and Rust gives `[`, `&&`, `--` and `~~` inside a class a meaning of their own. So every pattern is
translated; what Rust cannot express in linear time (look-around, back-references) is refused when it is compiled. So
is what has no one meaning in ECMA: `\p{..}` needs its Unicode mode, and that has no `]` or `\_` for the character.

>>> translate(r"^\d{4}$")
'^[0-9]{4}$'
"""

from __future__ import annotations

import functools
import re

import polars as pl

from core.errors import UnusableInput

PATTERN_LENGTH = 2_000  # characters; longer ones are generated, and an enum says it better
_SETS = {"d": "0-9", "w": "A-Za-z0-9_", "s": r"\t\n\v\f\r \u{a0}\u{feff}\p{Zs}\u{2028}\u{2029}"}
_DOT = r"[^\n\r\u{2028}\u{2029}]"
_SAME = frozenset("nrtfv") | frozenset(r"^$\.*+?()[]{}|/-")  # escapes that mean the same in both
_HEX = {"x": 2, "u": 4}
_REPETITION = re.compile(r"[0-9]+(,[0-9]*)?\}")  # after its brace; Rust also takes spaces, which are text in ECMA
_SET = re.compile(r"\\[dDsSwWpP]")


@functools.cache
def translate(pattern: str) -> str:
    """The Rust pattern that matches what the ECMA-262 `pattern` matches; `UnusableInput` if there is none."""
    if len(pattern) > PATTERN_LENGTH:
        raise UnusableInput(f"a pattern is longer than {PATTERN_LENGTH} characters")
    translated = _Translation(pattern).run()
    try:
        pl.Series(["x"]).str.contains(translated, strict=True)
        return translated
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        pass
    raise UnusableInput("a pattern is no valid regular expression, or is too large")


class _Translation:
    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._out: list[str] = []
        self._is_older = self._is_unicode = False  # of ECMA's two readings, those that the pattern needs

    def run(self) -> str:
        while self._at < len(self._text):
            char = self._take()
            if char == "\\":
                self._escape()
            elif char == "[":
                self._class()
            elif char == "(" and self._peek() == "?":
                self._group()
            elif char == "{":
                self._repetition()
            else:
                self._is_older |= char in "]}"
                self._out.append(_DOT if char == "." else char)
        if self._is_older and self._is_unicode:
            raise UnusableInput(r"a pattern has \p beside ] or } without \, or \ before what needs none")
        return "".join(self._out)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, length: int = 1) -> str:
        taken = self._text[self._at : self._at + length]
        if len(taken) < length:
            raise UnusableInput("a pattern ends too early")
        self._at += length
        return taken

    def _group(self) -> None:
        rest = self._text[self._at :]
        named = rest.startswith("?<") and rest[2:3] not in ("=", "!")
        if not named and not rest.startswith("?:"):
            raise UnusableInput("a pattern uses look-around or flags, which a linear-time engine does not have")
        self._out.append("(")

    def _repetition(self) -> None:
        found = _REPETITION.match(self._text, self._at)
        if found is None:
            raise UnusableInput("a pattern has a { that begins no repetition like {1,3}: write \\{ for the character")
        self._out.append("{" + self._take(len(found[0])))

    def _escape(self) -> None:
        char = self._take()
        if char in _SETS:
            self._out.append(f"[{_SETS[char]}]")
        elif char.lower() in _SETS:
            self._out.append(f"[^{_SETS[char.lower()]}]")
        elif char in "bB":
            self._out.append(rf"(?-u:\{char})" if char == "b" else self._no("B"))
        else:
            self._is_older |= char == "-"
            self._out.append(self._literal(char))

    def _literal(self, char: str) -> str:
        """An escape that stands for one character or one Unicode property."""
        if char in _SAME:
            return "\\" + char if char != "/" else "/"
        if char == "0" and not self._peek().isdigit():
            return r"\x00"
        if char in _HEX:
            digits = self._take(_HEX[char])
            return rf"\x{{{digits}}}" if all(each in "0123456789abcdefABCDEF" for each in digits) else self._no(char)
        if char in "pP" and self._peek() == "{":
            self._is_unicode = True
            end = self._text.find("}", self._at)
            return "\\" + char + self._take(max(end + 1 - self._at, 1))
        if char.isascii() and char.isalnum():
            return self._no(char)
        self._is_older = True
        return rf"\x{{{ord(char):x}}}"

    def _no(self, char: str) -> str:
        raise UnusableInput(rf"a pattern uses the escape \{char}, which is not supported")

    def _class(self) -> None:
        negated = self._peek() == "^"
        if negated:
            self._take()
        if self._peek() == "]":  # ECMA: [] matches nothing and [^] anything
            raise UnusableInput("a pattern has an empty class")
        parts: list[str] = []
        after_set = False
        while (char := self._take()) != "]":
            is_set = _SET.match(self._text, self._at - 1) is not None
            if char == "\\":
                parts.append(self._class_escape())
            elif char in "[&~":
                parts.append("\\" + char)
            elif char == "-" and self._is_unclear_dash(after_set, is_first=not parts):
                raise UnusableInput(r"a pattern has a - beside another or a set in a class: write \- for the character")
            else:
                parts.append(char)
            after_set = is_set
        self._out.append("[" + ("^" if negated else "") + "".join(parts) + "]")

    def _is_unclear_dash(self, after_set: bool, is_first: bool) -> bool:
        """Whether it joins a set or another - to something, which Rust would take for a range from or to its edge."""
        if after_set or self._peek() == "-":
            return self._peek() != "]"
        return not is_first and _SET.match(self._text, self._at) is not None

    def _class_escape(self) -> str:
        char = self._take()
        if char in _SETS:
            return _SETS[char]
        if char == "b":
            return r"\x08"
        if char.lower() in _SETS:
            return f"[^{_SETS[char.lower()]}]"
        return self._literal(char)
