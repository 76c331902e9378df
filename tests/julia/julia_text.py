"""Julia source as far as a test without Julia can read it: code without comments and texts, blocks, brackets."""

import re

OPENERS = {"module", "function", "macro", "struct", "type", "if", "for", "while", "let", "try", "begin", "quote", "do"}
PAIRS = {")": "(", "]": "[", "}": "{"}
NEWER = {
    "import ... as (1.6)": r"\b(?:import|using)\b[^\n]*\bas\b",
    "@kwdef unqualified (1.9)": r"(?<![.\w])@kwdef",
    "property destructuring (1.7)": r"^\s*\(\s*;[^()]*\)\s*=(?!=)",
    "Iterators.map (1.6)": r"\bIterators\.map\b",
    ";; in an array (1.7)": r"\[[^\[\]]*;;",
    "public (1.11)": r"^\s*public\s+\w",
    "a typed global or constant (1.8)": r"^(?:const\s+|global\s+)?[A-Za-z_]\w*::[^=\n]*=(?!=)",
    "const field (1.8)": r"^\s+const\s+\w+\s*(?:::|$)",
    "@main (1.11)": r"(?<!\w)@main\b",
}


class SyntaxFault(Exception):
    """What does not fit, with its line."""


def code(text: str) -> str:
    """The text without comments, with strings, commands and character literals as `""`. Line breaks stay."""
    kept: list[str] = []
    position = 0
    while position < len(text):
        if text.startswith("#=", position):
            end = text.index("=#", position) + 2
            kept.append("\n" * text.count("\n", position, end))
        elif text[position] == "#":
            end = (text + "\n").index("\n", position)
        elif text[position] in '"`':
            end = _end_of_string(text, position)
            kept.append('""' + "\n" * text.count("\n", position, end))
        elif text[position] == "'" and not re.search(r"[\w)\]}'.]\Z", text[max(position - 1, 0) : position]):
            end = re.compile(r"'(?:\\[^']+|\\'|[^\\])'").match(text, position).end()
            kept.append('""')
        else:
            end = position + 1
            kept.append(text[position])
        position = end
    return "".join(kept)


def _end_of_string(text: str, start: int) -> int:
    """Where the string or command that begins at `start` ends; code in `$( )` may hold strings of its own."""
    quote = text[start] * 3 if text.startswith(text[start] * 3, start) else text[start]
    is_raw = re.search(r"\br\Z", text[max(start - 2, 0) : start]) is not None
    position = start + len(quote)
    while not text.startswith(quote, position):
        if position >= len(text):
            raise SyntaxFault(f"line {text.count(chr(10), 0, start) + 1}: a string does not end")
        if text[position] == "\\":
            position += 2
        elif text.startswith("$(", position) and not is_raw:
            position = _end_of_interpolation(text, position + 2)
        else:
            position += 1
    return position + len(quote)


def _end_of_interpolation(text: str, position: int) -> int:
    depth = 1
    while depth:
        if position >= len(text):
            raise SyntaxFault("a `$(` does not end")
        if text[position] in '"`':
            position = _end_of_string(text, position)
            continue
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        position += 1
    return position


def check(text: str) -> None:
    """Raises SyntaxFault where blocks or brackets do not fit, or where syntax is newer than Julia 1.5."""
    bare = code(text)
    for name, pattern in NEWER.items():
        found = re.search(pattern, bare, re.MULTILINE)
        if found:
            raise SyntaxFault(f"line {_line(bare, found.start())}: {name}")
    open_: list[tuple[str, int]] = []
    for token in re.finditer(r"(?<![\w.:@!])[A-Za-z_]\w*!?|[()\[\]{}]", bare):
        word, line = token.group(), _line(bare, token.start())
        is_inside = bool(open_) and open_[-1][0] in "([{"
        if word in ("(", "[", "{"):
            open_.append((word, line))
        elif word in PAIRS:
            if not open_ or open_.pop()[0] != PAIRS[word]:
                raise SyntaxFault(f"line {line}: {word} closes nothing")
        elif is_inside:
            continue  # `x for x in y`, `x[end]`
        elif word in OPENERS:
            open_.append((word, line))
        elif word == "end" and (not open_ or open_.pop()[0] not in OPENERS):
            raise SyntaxFault(f"line {line}: end closes nothing")
    if open_:
        raise SyntaxFault(f"line {open_[-1][1]}: {open_[-1][0]} is not closed")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
