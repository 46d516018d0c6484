"""Glosses of WordNet 3.0 (Debian package wordnet-base): general English for distillation, and its topics as category rows."""

from pathlib import Path

# WordNet's topic (the first word of the topic synset) to our category; topics that fit none are left out.
TOPICS = {
    "biology": ["biology", "botany", "zoology", "genetics", "ecology", "microbiology", "physiology", "embryology", "taxonomy",
                "cytology", "biochemistry", "entomology", "ornithology", "paleontology", "mycology"],
    "business": ["commerce", "business", "accounting", "marketing", "banking", "commercial_enterprise", "corporate_finance",
                 "finance", "advertising", "trade"],
    "chemistry": ["chemistry", "organic_chemistry", "inorganic_chemistry", "physical_chemistry", "chemical_analysis"],
    "computer science": ["computer_science", "computing", "computer", "programming", "information_technology"],
    "economics": ["economics", "economy", "political_economy", "econometrics"],
    "engineering": ["engineering", "electronics", "electricity", "aeronautics", "mechanical_engineering", "metallurgy",
                    "civil_engineering", "architecture", "mechanics", "telecommunication", "rocketry"],
    "health": ["medicine", "pathology", "surgery", "pharmacology", "dentistry", "psychiatry", "anatomy", "immunology",
               "ophthalmology", "obstetrics", "nursing"],
    "history": ["history", "antiquity", "Roman_Empire", "Middle_Ages", "World_War_II", "American_Civil_War", "feudalism"],
    "law": ["law", "jurisprudence", "criminal_law", "civil_law", "international_law", "contract_law"],
    "math": ["mathematics", "geometry", "algebra", "statistics", "arithmetic", "trigonometry", "topology", "calculus",
             "set_theory", "probability_theory"],
    "other": ["music", "sport", "football", "baseball", "tennis", "golf", "cooking", "cookery", "art", "theater", "film",
              "dance", "card_game", "chess", "basketball", "cricket", "photography", "poetry", "printing", "soccer"],
    "philosophy": ["philosophy", "logic", "ethics", "metaphysics", "epistemology", "aesthetics"],
    "physics": ["physics", "optics", "astronomy", "nuclear_physics", "thermodynamics", "quantum_mechanics", "acoustics",
                "astrophysics", "atomic_physics", "particle_physics"],
    "psychology": ["psychology", "psychoanalysis", "cognitive_psychology", "psychotherapy"],
}


def read(folder: Path) -> list[tuple[str, str | None]]:
    """(text, category or None) of every synset: its words and its gloss."""
    category_of = {topic: category for category, topics in TOPICS.items() for topic in topics}
    words: dict[tuple[str, str], list[str]] = {}
    glosses, topics = {}, {}
    for part, letter in [("noun", "n"), ("verb", "v"), ("adj", "a"), ("adv", "r")]:
        with (folder / f"data.{part}").open() as lines:
            for line in lines:
                if line.startswith("  "):
                    continue
                fields, gloss = line.split(" | ", 1)
                fields = fields.split()
                count = int(fields[3], 16)
                name = (letter, fields[0])
                words[name] = [fields[4 + 2 * k].split("(")[0] for k in range(count)]
                glosses[name] = gloss.strip()
                pointers = fields[5 + 2 * count :]
                topics[name] = [(pointers[k + 2], pointers[k + 1]) for k in range(0, len(pointers) - 3, 4) if pointers[k] == ";c"]
    found = []
    for name, gloss in glosses.items():
        text = ", ".join(word.replace("_", " ") for word in words[name][:3]) + ": " + gloss
        near = [category_of.get(word) for topic in topics[name] for word in words[topic]]
        found.append((text, next((category for category in near if category), None)))
    return found


if __name__ == "__main__":
    import collections

    pairs = read(Path("/usr/share/wordnet"))
    print(len(pairs), collections.Counter(category for _, category in pairs))
