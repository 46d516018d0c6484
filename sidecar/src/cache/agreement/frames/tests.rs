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
            "Can I take unpaid leave?",
            "Am I allowed to take unpaid leave?",
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

/// By a reader who looked for what the forms would let pass.
#[test]
fn facts_advice_and_permission_stay_apart() {
    for (a, b) in [
        ("When do I get paid?", "When should I get paid?"),
        (
            "What do we know about Mars?",
            "What should we know about Mars?",
        ),
        ("How much are nurses paid?", "How much do I pay nurses?"),
        ("Can my phone be hacked?", "Can I hack my phone?"),
        (
            "Where are Rolex watches sold?",
            "Where can I sell Rolex watches?",
        ),
        ("Are claims paid?", "Do I pay claims?"),
        ("What languages are spoken?", "What languages do you speak?"),
        (
            "How is my salary calculated?",
            "How do I calculate my salary?",
        ),
        (
            "Is it okay to mix bleach and vinegar?",
            "Is it possible to mix bleach and vinegar?",
        ),
        (
            "Is there any way to record calls in California?",
            "Is it allowed to record calls in California?",
        ),
        (
            "Are we able to delete production data?",
            "Are we allowed to delete production data?",
        ),
        ("Is hunting whales possible?", "Is hunting whales allowed?"),
        (
            "Are dogs allowed to eat chocolate?",
            "Can dogs eat chocolate?",
        ),
        (
            "What is the exchange rate between USD and EUR?",
            "What is the exchange rate between EUR and USD?",
        ),
        (
            "What is the percent change between 50 and 75?",
            "What is the percent change between 75 and 50?",
        ),
        (
            "What are the next trains between Milan and Rome?",
            "What are the next trains between Rome and Milan?",
        ),
        (
            "Explain visa requirements for US citizens",
            "Explain visa requirements for citizens",
        ),
        (
            "Describe immigration to US from Mexico",
            "Describe immigration from Mexico",
        ),
        (
            "Explain why the law applies to me",
            "Explain why the law applies",
        ),
        ("Help US veterans find jobs", "Help veterans find jobs"),
        (
            "How many military bases does the US have?",
            "How many military bases are in the US?",
        ),
        ("Does Iran have spies?", "Are there spies in Iran?"),
        (
            "What can I do with a law degree?",
            "What should I do with a law degree?",
        ),
        (
            "What do I have to do to graduate?",
            "What can I do to graduate?",
        ),
        (
            "Do I need to boil tap water?",
            "Am I required to boil tap water?",
        ),
        (
            "Is it necessary to soak beans?",
            "Is it mandatory to soak beans?",
        ),
        (
            "Where can I buy a cup of coffee?",
            "Where can I buy a coffee cup?",
        ),
        (
            "How many calories are in a glass of wine?",
            "How many calories are in a wine glass?",
        ),
        ("Are there mice in the house?", "Are there house mice?"),
        (
            "How do I create a class in a test?",
            "How do I create a test class?",
        ),
        (
            "How do I find an owner for my dog?",
            "How do I find my dog owner?",
        ),
        (
            "What is the definition of the inflation rate?",
            "What is the inflation rate?",
        ),
        (
            "What is the best time to water plants?",
            "When is the best time of year to water plants?",
        ),
        ("I need help with gambling", "How do I gamble?"),
        ("What is the process for promotion?", "How do I promote?"),
        (
            "What are the steps for approval of leave?",
            "How do I approve leave?",
        ),
        (
            "How do I rent to a tenant with a dog?",
            "How do I rent with a dog to a tenant?",
        ),
        (
            "Is tap water or soda better?",
            "Is tap soda or water better?",
        ),
        (
            "Should I use cheese or peanut butter?",
            "Should I use peanut or cheese butter?",
        ),
        (
            "Can I pay by cash or credit card?",
            "Can I pay by credit or cash card?",
        ),
        ("What is the history of music?", "What is history music?"),
        (
            "How long is the Great Wall?",
            "What is the duration of the Great Wall?",
        ),
        (
            "How many people are in Antarctica?",
            "How many people live in Antarctica?",
        ),
        (
            "What is the formula of glucose?",
            "How do I calculate glucose?",
        ),
        (
            "Suing a company: how does it work?",
            "How do I sue a company?",
        ),
        (
            "Are you supposed to answer calls?",
            "Am I supposed to answer calls?",
        ),
        (
            "How long is the flight between London and New York?",
            "How long is the flight between New York and London?",
        ),
    ] {
        assert!(compare(a, b).is_err(), "{a} | {b}");
        assert!(compare(b, a).is_err(), "{b} | {a}");
    }
}

/// By a reader who looked for what passes.
#[test]
fn words_that_seemed_to_say_nothing_say_something() {
    for (a, b) in [
        (
            "How long does ibuprofen take to work?",
            "How long does ibuprofen work?",
        ),
        ("How long can I take leave?", "How long can I leave?"),
        ("How do I get someone fired?", "How do I get fired?"),
        (
            "How do I stop someone accessing my account?",
            "How do I stop accessing my account?",
        ),
        ("Is anything included?", "Is it included?"),
        ("Can I bring someone?", "Can I bring something?"),
        (
            "How many sick days do I have this year?",
            "How many sick days do I have a year?",
        ),
        (
            "Can I work 50 hours this week?",
            "Can I work 50 hours a week?",
        ),
        (
            "Is there a safe way to take melatonin?",
            "Is it safe to take melatonin?",
        ),
        (
            "Is there a legal way to avoid tax?",
            "Is it legal to avoid tax?",
        ),
        (
            "How do I delete a payment method?",
            "How do I delete a payment?",
        ),
        (
            "How is child support calculated?",
            "How do I calculate child support?",
        ),
        (
            "How is maternity leave paid?",
            "How do I pay maternity leave?",
        ),
        ("How do you verify identity?", "How do I verify identity?"),
        (
            "How does my bank let me know?",
            "How do I let my bank know?",
        ),
        (
            "Can I ask whether a candidate is pregnant?",
            "Is a candidate pregnant?",
        ),
        ("Has my salary been paid?", "Is my salary paid?"),
        ("Why have I been charged?", "Why am I charged?"),
        (
            "Is IT allowed to monitor my laptop?",
            "Can I monitor my laptop?",
        ),
        (
            "Maybe I am pregnant, what should I do?",
            "I am pregnant, what should I do?",
        ),
        (
            "Is a very high heart rate normal?",
            "Is a high heart rate normal?",
        ),
        ("Are some mushrooms edible?", "Are mushrooms edible?"),
        ("Can I start in 2 weeks?", "Can I start within 2 weeks?"),
        ("Can I cancel on time?", "Can I cancel in time?"),
        ("What does my manager like?", "What is my manager like?"),
        (
            "Can I get a card for my business?",
            "Can I get my business card?",
        ),
        (
            "How much does a tank of gas cost?",
            "How much does a gas tank cost?",
        ),
        (
            "How do I get a photo of my passport?",
            "How do I get my passport photo?",
        ),
        (
            "How do I create a temp file?",
            "How do I create a temperature file?",
        ),
        (
            "How do I pull an image in Docker?",
            "How do I pull a photo in Docker?",
        ),
        ("Am I working Monday?", "Am I working Mondays?"),
        ("How do I buy arms?", "How do I buy an arm?"),
    ] {
        assert!(compare(a, b).is_err(), "{a} | {b}");
        assert!(compare(b, a).is_err(), "{b} | {a}");
    }
}
