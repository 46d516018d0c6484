"""Texts of our own: patterns of own/*.txt filled in at random (fixed seed), for what the public sources are thin on."""

import random
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "own"
CHOICE = re.compile(r"\{([^{}]*)\}")
LIST = re.compile(r"<([a-z]+)>")
LITERAL = str.maketrans({"¦": "|", "«": "{", "»": "}"})


def lists(file: str) -> dict[str, list[str]]:
    """The lists of a file: `= name`, then one pattern a line."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in (FOLDER / file).read_text().splitlines():
        if line.startswith("= "):
            current = found.setdefault(line[2:], [])
        elif line and not line.startswith("#"):
            current.append(line.replace("\\n", "\n"))
    return found


def topics() -> dict[str, list[str]]:
    """Subjects by category, from topics.txt."""
    found: dict[str, list[str]] = {}
    for line in (FOLDER / "topics.txt").read_text().splitlines():
        if line.startswith("["):
            current = found.setdefault(line[1:-1], [])
        elif line and not line.startswith("#"):
            current += [phrase.strip() for phrase in line.split(";")]
    return found


class Writer:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def fill(self, pattern: str, known: dict[str, list[str]]) -> str:
        """One text of a pattern."""
        while True:
            if choice := CHOICE.search(pattern):
                put = self.random.choice(choice[1].split("|"))
            elif (choice := next((m for m in LIST.finditer(pattern) if m[1] in known), None)) is not None:
                put = self.random.choice(known[choice[1]])
            else:
                break
            pattern = pattern[: choice.start()] + put + pattern[choice.end() :]
        return self.vary(re.sub(r" +([.,?!]|$)", r"\1", pattern.translate(LITERAL)).strip())

    def vary(self, text: str) -> str:
        """People do not all begin with a capital letter and end with a full stop."""
        chance = self.random.random()
        if chance < 0.15:
            text = text.lower()
        elif chance < 0.25:
            text = text.rstrip(".?!")
        elif chance < 0.27:
            text = text.upper()
        return text

    def texts(self, name: str, count: int, known: dict[str, list[str]]) -> list[str]:
        """`count` different texts of a list (fewer if it has fewer), its patterns in turn."""
        found: dict[str, None] = {}
        for turn in range(count * 4):
            if len(found) == count:
                break
            found[self.fill(known[name][turn % len(known[name])], known)] = None
        return list(found)


def rows(seed: int = 17) -> list[dict]:
    """Rows as the public sources have them, with the head they are for."""
    writer, found = Writer(seed), []

    def add(head: str, label, texts: list[str], source: str) -> None:
        found.extend({"head": head, "text": t, "label": label, "source": source, "split": "train"} for t in texts)

    subjects = topics()
    every = [t for category in subjects.values() for t in category]
    attacks, benign = lists("attacks.txt"), lists("benign.txt") | {"topic": every}
    add("jailbreak", 1, writer.texts("attack", 5000, attacks), "own_attacks")
    add("jailbreak", 0, writer.texts("benign", 9000, benign), "own_benign")
    fresh = lists("fresh.txt")
    add("fresh", 1, writer.texts("fresh", 2500, fresh), "own_fresh")
    add("fresh", 0, writer.texts("static", 2500, fresh), "own_fresh")
    prompts, complexity = lists("prompts.txt"), lists("complexity.txt")
    add("complexity", "simple", writer.texts("simple", 2500, complexity | {"topic": every}), "own_complexity")
    add("complexity", "complex", writer.texts("complex", 2500, complexity | {"topic": every}), "own_complexity")
    for category, known in subjects.items():
        add("category", category, writer.texts("prompt", 700, prompts | {"topic": known}), "own_prompts")
        if category in prompts:
            add("category", category, writer.texts(category, 600, prompts), "own_questions")
    add("category", "other", writer.texts("benign", 400, {"benign": [p for p in benign["benign"] if p.startswith(("{Act as", "{Hello", "You are a"))]} | {k: v for k, v in benign.items() if k != "benign"}), "own_prompts")
    return found


if __name__ == "__main__":
    sample = rows()
    picked = random.Random(3).sample(sample, 60)
    for row in picked:
        print(f"{row['head']:10} {row['label']!s:18} {row['text']!r}")
    print(len(sample))
