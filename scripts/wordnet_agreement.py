#!/usr/bin/env python3
"""Writes the words that the cache's agreement knows, from WordNet 3.0.

    scripts/wordnet_agreement.py /usr/share/wordnet > sidecar/src/cache/agreement/wordnet.txt

Lines: `. WORD …` words, `: WORD …` adjectives and adverbs, `, WORD …` rare words; `= WORD WORD …` synonyms (the most frequent sense of each); `~ WORD WORD` derived
from one another; `! WORD WORD` opposites; `> FORM BASE` irregular forms.
"""

import collections
import re
import sys
from pathlib import Path

# Senses of a word that count for synonyms, from the most frequent one. With the two or three next ones `force` is `push` and `call` is
# `telephone`, and no pair of the correctness suite gains by it.
SENSES = 1
POS = {"noun": "n", "verb": "v", "adj": "as", "adv": "r"}
# A word of one part of speech that occurred this seldom in the tagged texts, of all its uses, has no senses there ("may", the month).
SMALLEST_SHARE = 0.1


def plain(word: str) -> bool:
    return re.fullmatch(r"[a-z]{2,}", word) is not None


def main() -> None:
    folder = Path(sys.argv[1])
    uses = collections.Counter()
    by_pos = collections.Counter()
    for line in (folder / "cntlist.rev").read_text().splitlines():
        key, _, count = line.split()
        word, rest = key.split("%")
        pos = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}[rest[0]]
        uses[word] += int(count)
        by_pos[word, pos] += int(count)

    rank: dict[tuple[str, str, str], int] = {}
    known: set[str] = set()
    rare: set[str] = set()
    things: set[str] = set()
    for pos in POS:
        for line in (folder / f"index.{pos}").read_text().splitlines():
            if line.startswith(" "):
                continue
            fields = line.split()
            word = fields[0]
            if not plain(word):
                continue
            rare.add(word)
            if uses[word] or pos == "verb":
                known.add(word)
            if pos in ("noun", "verb") and by_pos[word, pos] >= SMALLEST_SHARE * uses[word]:
                things.add(word)
            if by_pos[word, pos] < SMALLEST_SHARE * uses[word]:
                continue
            for place, offset in enumerate(fields[-int(fields[2]) :]):
                rank[word, pos, offset] = place

    synonyms: set[tuple[str, ...]] = set()
    derived: set[tuple[str, str]] = set()
    opposites: set[tuple[str, str]] = set()
    words_at: dict[tuple[str, str], list[str]] = {}
    pointers = []
    for pos in POS:
        for line in (folder / f"data.{pos}").read_text().splitlines():
            if line.startswith(" "):
                continue
            fields = line.split(" | ")[0].split()
            offset, count = fields[0], int(fields[3], 16)
            words = [re.sub(r"\(.*\)", "", w) for w in fields[4 : 4 + 2 * count : 2]]
            words_at[pos, offset] = words
            near = [w for w in words if rank.get((w, pos, offset), 99) < SENSES]
            near = sorted(set(near) & known)
            if len(near) > 1:
                synonyms.add(tuple(near))
            rest = fields[4 + 2 * count :]
            for i in range(int(rest[0])):
                symbol, target, target_pos, places = rest[1 + 4 * i : 5 + 4 * i]
                pointers.append((pos, offset, symbol, target, target_pos, places))
    long_pos = {"n": "noun", "v": "verb", "a": "adj", "s": "adj", "r": "adv"}
    for pos, offset, symbol, target, target_pos, places in pointers:
        if places == "0000":
            continue
        target_pos = long_pos[target_pos]
        a = words_at[pos, offset][int(places[:2], 16) - 1]
        b = words_at[target_pos, target][int(places[2:], 16) - 1]
        if a not in known or b not in known or a == b:
            continue
        pair = (min(a, b), max(a, b))
        if symbol == "!":
            opposites.add(pair)
        elif symbol in "+\\" and rank.get((a, pos, offset), 99) < 4 and rank.get((b, target_pos, target), 99) < 4:
            derived.add(pair)

    irregular: dict[str, str] = {}
    for pos in POS:
        for line in (folder / f"{pos}.exc").read_text().splitlines():
            form, base = line.split()[:2]
            if plain(form) and plain(base) and form != base and base in known and uses[base] > 0 and form not in irregular:
                irregular[form] = base

    out = sys.stdout.write
    for pair in sorted(derived - opposites):
        out(f"~ {pair[0]} {pair[1]}\n")
    for group in sorted(synonyms):
        out(f"= {' '.join(group)}\n")
    for pair in sorted(opposites):
        out(f"! {pair[0]} {pair[1]}\n")
    for form, base in sorted(irregular.items()):
        out(f"> {form} {base}\n")
    for kind, words in ((".", known & things), (":", known - things), (",", rare - known)):
        words = sorted(words)
        for i in range(0, len(words), 16):
            out(f"{kind} {' '.join(words[i : i + 16])}\n")


main()
