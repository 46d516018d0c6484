use proptest::prelude::*;

use super::*;

fn found(text: &str) -> Vec<(&'static str, &str)> {
    let findings = Detectors::compile().unwrap().detect(text);
    findings
        .iter()
        .map(|f| (f.kind.name(), &text[f.start..f.end]))
        .collect()
}

#[track_caller]
fn finds(kind: Kind, text: &str, piece: &str) {
    assert_eq!(found(text), [(kind.name(), piece)], "{text}");
}

#[track_caller]
fn clean(text: &str) {
    assert_eq!(found(text), [], "{text}");
}

#[test]
fn mail_addresses_are_found() {
    for mail in [
        "a@b.de",
        "first.last+tag@mail.example.co.uk",
        "алиса@почта.рф",
        "o'neil@x-y.org",
    ] {
        finds(
            Kind::EmailAddress,
            &format!("write to {mail}, please"),
            mail,
        );
        finds(Kind::EmailAddress, &format!("<{mail}>."), mail);
    }
    for text in [
        "@alice",
        "a@b",
        "a@b.c",
        "user@host",
        "import x@1.2.3",
        "..@..",
        "a@b..de",
    ] {
        clean(text);
    }
}

#[test]
fn cards_have_an_issuer_and_a_checksum() {
    for card in [
        "4111111111111111",
        "4111 1111 1111 1111",
        "5555-5555-5555-4444",
        "378282246310005",
        "3782 822463 10005",
        "6011111111111117",
        "3530111333300000",
        "30569309025904",
        "2223003122003222",
    ] {
        finds(Kind::CreditCard, &format!("it is {card}."), card);
    }
    finds(
        Kind::CreditCard,
        "my maestro card 6759649826438453",
        "6759649826438453",
    );
    for text in [
        "4111111111111112",
        "4111 1111 1111 1112",
        "1234567890123456",
        "0000000000000000",
        "tracking 4111111111111111",
        "41111111111111111111111",
        "3.14159265358979323846",
        "4111111111111111.25",
        "id_4111111111111111",
        "6759649826438453",
    ] {
        clean(text);
    }
}

#[test]
fn every_wrong_digit_of_a_card_is_noticed() {
    let card = "4242424242424242";
    for at in 0..card.len() {
        for digit in '0'..='9' {
            let mut wrong = card.to_owned();
            wrong.replace_range(at..=at, &digit.to_string());
            assert_eq!(found(&wrong).is_empty(), wrong != card, "{wrong}");
        }
    }
}

#[test]
fn accounts_have_the_length_of_their_country_and_a_checksum() {
    for iban in [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "GB29 NWBK 6016 1331 9268 19",
        "gb29nwbk60161331926819",
        "FR1420041010050500013M02606",
        "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S",
    ] {
        finds(Kind::IbanCode, &format!("pay to {iban} today"), iban);
    }
    for text in [
        "DE89370400440532013001",
        "DE8937040044053201300",
        "XX89370400440532013000",
        "AB12 3456 7890",
        "sha DE89370400440532013000ff",
    ] {
        clean(text);
    }
}

#[test]
fn social_security_numbers_have_valid_areas() {
    finds(Kind::UsSsn, "it is 536-32-3065.", "536-32-3065");
    finds(Kind::UsSsn, "SSN 536 32 3065", "536 32 3065");
    finds(
        Kind::UsSsn,
        "my social security number is 536323065",
        "536323065",
    );
    for text in [
        "000-12-3456",
        "666-12-3456",
        "900-12-3456",
        "536-00-3065",
        "536-32-0000",
        "078-05-1120",
        "1536-32-3065",
        "536323065",
        "536-32-3065-1",
    ] {
        clean(text);
    }
}

#[test]
fn telephone_numbers_are_international_or_have_a_national_form() {
    for phone in [
        "+49 171 1234567",
        "+1 (555) 234-5678",
        "+442071838750",
        "001-518-640-0854",
        "(602)272-9781",
        "555-234-5678",
        "877-547-3967x793",
        "1-800-234-5678",
        "0171 1234567",
        "0660 565 36 45",
        "(027) 7972-805",
        "555.234.5678",
    ] {
        finds(
            Kind::PhoneNumber,
            &format!("it was {phone} yesterday"),
            phone,
        );
    }
    finds(Kind::PhoneNumber, "Call me: 481 7531", "481 7531");
    finds(Kind::PhoneNumber, "Telefon 28-64-66-98", "28-64-66-98");
    finds(Kind::PhoneNumber, "You can call 9469 9966", "9469 9966");
    finds(Kind::PhoneNumber, "it is 0487 98 11 92", "0487 98 11 92");
    for text in [
        "2024-01-31",
        "31.01.2024",
        "1914-1918",
        "12:30:45",
        "ISBN 978-3-16-148410-0",
        "ISBN 0-306-40615-2",
        "order 555-234-5678",
        "1 000 000",
        "1,234,567.89",
        "3.14159",
        "$1234567",
        "version 10.15.7",
        "0.0.1",
        "192 168",
        "5551234",
        "1234567890",
        "550e8400-e29b-41d4-a716-446655440000",
        "rows 100-200",
        "1700000000",
        "2024-01-31 12:00",
        "5 + 3 = 8",
    ] {
        clean(text);
    }
}

#[test]
fn ip_addresses_are_no_versions() {
    for ip in [
        "10.0.0.1",
        "192.168.1.254",
        "2001:db8::8a2e:370:7334",
        "fe80::1ff:fe23:4567:890a",
        "::ffff:192.0.2.128",
    ] {
        finds(Kind::IpAddress, &format!("from {ip} to"), ip);
    }
    for text in [
        "version 1.2.3.4",
        "v1.2.3.4",
        "1.2.3.4.5",
        "1.2.3.4-rc1",
        "256.1.1.1",
        "section 1.2.3.4",
        "std::vector",
        "a::b",
        "::",
        "::1",
        "12:30:45",
        "de:ad:be:ef",
        "00:1B:44:11:3A:B7",
    ] {
        clean(text);
    }
}

#[test]
fn documents_are_found_by_the_words_before_them() {
    finds(Kind::UsPassport, "passport number 123456789", "123456789");
    finds(Kind::UsPassport, "My passport: A12345678.", "A12345678");
    finds(
        Kind::UsDriverLicense,
        "driver's license F162823540116",
        "F162823540116",
    );
    finds(Kind::UsDriverLicense, "DL# D1234567", "D1234567");
    for text in [
        "A12345678",
        "123456789",
        "model F162823540116",
        "a passport costs 130",
        "the license is MIT 2024",
    ] {
        clean(text);
    }
}

#[test]
fn wallets_have_checksums() {
    for wallet in [
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    ] {
        finds(Kind::Crypto, &format!("to {wallet} now"), wallet);
    }
    finds(
        Kind::Crypto,
        "ETH wallet 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    );
    for text in [
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
        "commit 0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    ] {
        clean(text);
    }
}

#[test]
fn secrets_are_found_and_placeholders_are_not() {
    // Made for this test, by no issuer.
    let github = format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
    let aws = format!("AKIA{}", "QZ3XW7RT5MLKJ2HV");
    for secret in [&github, &aws] {
        finds(Kind::Secret, &format!("use {secret} here"), secret);
    }
    finds(Kind::Secret, "password: hunter2-Xq9", "hunter2-Xq9");
    finds(Kind::Secret, "api_key = \"9f8a7b6c5d4e\"", "9f8a7b6c5d4e");
    finds(
        Kind::UrlCredentials,
        "postgres://bob:s3cr3t9@db.internal/app",
        "bob:s3cr3t9",
    );
    for text in [
        "api_key = YOUR_API_KEY",
        "password: ${DB_PASSWORD}",
        "password = getpass()",
        "AKIAIOSFODNN7EXAMPLE",
        "the password is important",
        "postgres://user:password@localhost/db",
        "https://example.com:8080/@alice",
        "sk-learn",
        "let token = self.token();",
        "password: <your password>",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ] {
        clean(text);
    }
    let key =
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA1234abcd\n-----END RSA PRIVATE KEY-----";
    finds(Kind::Secret, &format!("here:\n{key}\n"), key);
}

#[test]
fn several_pieces_are_told_in_their_order_without_overlaps() {
    let text =
        "Mail a@b.de, card 4111 1111 1111 1111, call +49 171 1234567, IBAN DE89370400440532013000";
    assert_eq!(
        found(text),
        [
            ("EMAIL_ADDRESS", "a@b.de"),
            ("CREDIT_CARD", "4111 1111 1111 1111"),
            ("PHONE_NUMBER", "+49 171 1234567"),
            ("IBAN_CODE", "DE89370400440532013000"),
        ]
    );
}

#[test]
fn a_megabyte_of_hostile_text_is_read_to_its_end() {
    let detectors = Detectors::compile().unwrap();
    for piece in [
        "1",
        "1 ",
        "1-",
        "(1",
        "a",
        "@",
        "a@",
        "a@b.",
        ":",
        "1.",
        "0x",
        "eyJ",
        "-----BEGIN ",
        "password=",
        "1.1.1.1",
        "a1 ",
        "AA11 ",
        "+1 ",
        "é",
        "bc1q",
        "://a:",
        "phone ",
    ] {
        let text = piece.repeat((1 << 20) / piece.len());
        let findings = detectors.detect(&text);
        assert!(findings.iter().all(|f| f.end <= text.len()), "{piece}");
    }
    let end = format!("{} a@b.de", "x ".repeat(1 << 19));
    assert_eq!(detectors.detect(&end).len(), 1);
}

proptest! {
    #[test]
    fn findings_lie_on_characters_in_order(text in "(\\PC|[0-9@.:+ -]|a@b.de|\\+49 171 1234567){0,60}") {
        let findings = Detectors::compile().unwrap().detect(&text);
        let mut end = 0;
        for finding in findings {
            prop_assert!(finding.start >= end && finding.end > finding.start);
            prop_assert!(text.get(finding.start..finding.end).is_some());
            prop_assert!((THRESHOLD..=1.0).contains(&finding.score));
            end = finding.end;
        }
    }

    #[test]
    fn an_item_among_words_is_found_exactly(
        // Letters that make none of the words that say what a number is (`ean`, `order`).
        before in "([bdfghjk]{1,9} ){0,12}",
        after in "( [bdfghjk]{1,9}){0,12}",
        item in prop::sample::select(vec![
            "alice@example.org", "4111 1111 1111 1111", "DE89370400440532013000", "536-32-3065", "+49 171 1234567", "192.0.2.17",
        ]),
    ) {
        let text = format!("{before}{item}{after}");
        prop_assert!(found(&text).iter().any(|(_, piece)| *piece == item), "{}", text);
    }
}
