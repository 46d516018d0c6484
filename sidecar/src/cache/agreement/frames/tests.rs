use super::super::compare;

#[test]
fn ways_to_ask_are_one() {
    for (a, b) in [
        (
            "How do I claim travel expenses?",
            "What is the process for claiming travel expenses?",
        ),
        (
            "How do I undo the last commit in git?",
            "what's the best way to undo the last git commit",
        ),
        (
            "Can I export my chat history?",
            "Is there a way to export my chat history?",
        ),
        (
            "Can employees take unpaid leave?",
            "Are employees allowed to take unpaid leave?",
        ),
        (
            "Can I open a joint account online?",
            "Is opening a joint account online possible?",
        ),
        (
            "What is the tallest building in the world?",
            "Do you know what the tallest building in the world is?",
        ),
        (
            "What is the sick leave policy?",
            "Could you explain the sick leave policy?",
        ),
        (
            "What should I do if my wifi doesn't work?",
            "My wifi doesn't work. What do I do now?",
        ),
        (
            "What oven temperature do I need to bake a pizza at home?",
            "To bake a pizza at home, what oven temperature do I need?",
        ),
        (
            "How do I export my contacts as a CSV file?",
            "I want to export my contacts as a CSV file. How?",
        ),
        (
            "Who wrote Romeo and Juliet?",
            "Romeo and Juliet was written by whom?",
        ),
        (
            "Who painted the Sistine Chapel ceiling?",
            "By whom was the Sistine Chapel ceiling painted?",
        ),
        (
            "How far is the Moon from the Earth?",
            "What's the distance between the Earth and the Moon?",
        ),
        (
            "What's the difference between a list and a tuple?",
            "How is a tuple different from a list?",
        ),
        (
            "How many players are in a volleyball team?",
            "How many players does a volleyball team have?",
        ),
        (
            "Why won't my laptop turn on?",
            "My laptop doesn't turn on, why?",
        ),
        (
            "When should I see a doctor?",
            "At what point should I see a doctor?",
        ),
    ] {
        assert_eq!(compare(a, b), Ok(()), "{a} | {b}");
        assert_eq!(compare(b, a), Ok(()), "{b} | {a}");
    }
}

#[test]
fn what_only_looks_like_a_way_to_ask_is_none() {
    for (a, b) in [
        (
            "How do you check my credit history?",
            "How do I check my credit history?",
        ),
        (
            "What can I do if my manager calls?",
            "What must I do if my manager calls?",
        ),
        (
            "How far is Rome from Paris?",
            "How far is Rome from Berlin?",
        ),
        ("Is smoking allowed?", "Can I smoke a ham?"),
        (
            "My phone won't charge. What should I do?",
            "My phone won't ring. What should I do?",
        ),
        ("I was sacked. Can I appeal?", "I was sacked. Can I apply?"),
        ("What is the way to Rome?", "What is the way to Paris?"),
        (
            "How many players does a team have?",
            "How many teams does a player have?",
        ),
        (
            "If I quit, do I get a bonus?",
            "If I get a bonus, do I quit?",
        ),
    ] {
        assert!(compare(a, b).is_err(), "{a} | {b}");
        assert!(compare(b, a).is_err(), "{b} | {a}");
    }
}
