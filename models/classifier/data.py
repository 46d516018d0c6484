"""The rows that the heads learn from: public labelled text (a folder of .jsonl files), and our own patterns."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import own

CATEGORIES = ["biology", "business", "chemistry", "computer science", "economics", "engineering", "health", "history", "law",
              "math", "other", "philosophy", "physics", "psychology"]
# The labels of each head, in the order of the model's outputs. The last one is the finding of a head with two.
LABELS = {
    "category": CATEGORIES,
    "jailbreak": ["benign", "jailbreak"],
    "toxicity": ["clean", "toxic"],
    "complexity": ["simple", "complex"],
    "fresh": ["static", "fresh"],
}
# Heads that take the maximum over windows; the others take the mean.
GUARDS = {"jailbreak", "toxicity"}

# A family is what is left out together: sources that share texts, or a way of writing, count as one.
FAMILIES = {
    "mmlu": ["mmlu", "mmlu_pro:ori_mmlu", "routellm_mmlu"],
    "mmlu_pro": ["mmlu_pro"],
    "trivia": ["opentriviaqa"],
    "medquad": ["medquad"],
    "counsel_chat": ["counsel_chat"],
    "gsm8k": ["gsm8k_train", "routellm_gsm8k"],
    "humaneval": ["humaneval"],
    "tatqa": ["tatqa"],
    "deepset": ["deepset_prompt_injections"],
    "hackaprompt": ["hackaprompt"],
    "inthewild": ["jailbreak_llms_2023_05", "giskard", "self_reminder", "gptfuzzer_templates"],
    "clinc": ["clinc150"],
    "assistants": ["banking77", "gpteacher_roleplay", "awesome_chatgpt_prompts", "self_instruct_user", "self_instruct_seed"],
    "davidson": ["davidson2017"],
    "toxigen": ["toxigen_human"],
    "implicit_hate": ["implicit_hate"],
    "comments": ["edos", "civil_comments_toxic_spans", "wikipedia_detox"],
    "arena": ["arena_hard_v0.1", "mt_bench"],
    "freshqa": ["freshqa"],
}
# What is left out together when the recipe measures itself: every family once, in four trainings.
FOLDS = [
    ["mmlu", "deepset", "davidson", "freshqa"],
    ["mmlu_pro", "inthewild", "toxigen", "arena"],
    ["trivia", "medquad", "counsel_chat", "hackaprompt", "implicit_hate", "clinc"],
    ["gsm8k", "humaneval", "tatqa", "assistants", "comments"],
]
FAMILY = {source: family for family, sources in FAMILIES.items() for source in sources}


@dataclass(frozen=True)
class Row:
    head: str
    text: str
    label: int
    source: str
    family: str
    split: str


def read(folder: Path, pattern: str):
    for file in sorted(folder.glob(f"{pattern}.jsonl")):
        with file.open() as lines:
            yield from map(json.loads, lines)


def family(raw: dict) -> str:
    source = raw["source"]
    if source == "mmlu_pro" and str(raw.get("subtype", "")).startswith("ori_mmlu"):
        return "mmlu"
    return FAMILY.get(source, source)


def rows(folder: Path) -> list[Row]:
    """All rows of all heads, each (head, text) once."""
    chance = random.Random(5)
    found: dict[tuple[str, str], Row] = {}

    def add(head: str, raw: dict, label: int) -> None:
        row = Row(head, raw["text"], label, raw["source"], family(raw), raw.get("split") or "train")
        found.setdefault((head, row.text), row)

    domain = list(read(folder, "domain.*"))
    chat = list(read(folder, "jailbreak.benign"))
    deepset = list(read(folder, "jailbreak.deepset"))
    fresh = list(read(folder, "fresh.*"))
    for raw in domain:
        add("category", raw, CATEGORIES.index(raw["label"]))
    for raw in chat:
        if raw["source"] == "clinc150":
            add("category", raw, CATEGORIES.index("other"))
    for raw in read(folder, "jailbreak.*"):
        add("jailbreak", raw, raw["label"])
    for raw in read(folder, "toxicity.*"):
        add("toxicity", raw, raw["label"])
    for raw in read(folder, "complexity.*"):
        add("complexity", raw, LABELS["complexity"].index(raw["label"]))
    for raw in fresh:
        add("fresh", raw, raw["label"])
    chats = [raw for raw in read(folder, "complexity.chat_proxy") if raw["label"] == "complex"]
    for raw in chats:
        add("jailbreak", raw, 0)
        add("toxicity", raw, 0)
        add("fresh", raw, 0)
    # What people write to each other may be rude, but is no attack on a model.
    for raw in read(folder, "toxicity.*"):
        if chance.random() < 0.12:
            add("jailbreak", raw, 0)
    # Ordinary questions are no attack and not toxic, and exam questions need no news.
    for raw in domain:
        if chance.random() < 0.12:
            add("jailbreak", raw, 0)
        if chance.random() < 0.12:
            add("toxicity", raw, 0)
        if chance.random() < 0.08 and raw["source"] != "opentriviaqa":
            add("fresh", raw, 0)
    for raw in chat:
        add("toxicity", raw, 0)
    for raw in deepset:
        if raw["label"] == 0:
            add("toxicity", raw, 0)
    for raw in fresh:
        if chance.random() < 0.3:
            add("jailbreak", raw, 0)
            add("toxicity", raw, 0)
    for raw in own.rows():
        head = raw["head"]
        label = raw["label"] if isinstance(raw["label"], int) else LABELS[head].index(raw["label"])
        add(head, raw, label)
        if head == "category" or head == "fresh" or head == "complexity":
            if chance.random() < 0.5:
                add("jailbreak", raw, 0)
                add("toxicity", raw, 0)
        if raw["source"] == "own_benign" and chance.random() < 0.3:
            add("toxicity", raw, 0)
    return list(found.values())
