//! Addresses of wallets, by their checksums.

use sha2::{Digest, Sha256};

use super::{Candidate, Judge, Kind};

pub(super) const DETECTORS: &[(Kind, &str, Judge)] = &[
    (Kind::Crypto, r"[13][1-9A-HJ-NP-Za-km-z]{25,34}", base58),
    (Kind::Crypto, r"(?i)bc1[02-9ac-hj-np-z]{11,71}", bech32),
    (Kind::Crypto, r"0x[0-9a-fA-F]{40}", ethereum),
];

const WORDS: &[&str] = &[
    "wallet", "ethereum", "eth", "ether", "erc20", "erc-20", "usdt", "usdc", "crypto", "token",
    "send", "address", "contract",
];

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Bitcoin wiki, "Base58Check encoding": 21 bytes and the first four of their double SHA-256.
fn base58(candidate: &Candidate<'_>) -> Option<f32> {
    if !candidate.stands_alone() {
        return None;
    }
    let mut bytes = [0_u8; 25];
    for letter in candidate.as_str().bytes() {
        let value = BASE58.iter().position(|b| *b == letter)?;
        let mut carry = u32::try_from(value).ok()?;
        for byte in bytes.iter_mut().rev() {
            carry = carry.saturating_add(u32::from(*byte).saturating_mul(58));
            *byte = u8::try_from(carry & 0xff).ok()?;
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    let (payload, checksum) = bytes.split_at_checked(21)?;
    let hash = Sha256::digest(Sha256::digest(payload));
    hash.starts_with(checksum).then_some(0.95)
}

/// BIP 173 and BIP 350, "Checksum".
fn bech32(candidate: &Candidate<'_>) -> Option<f32> {
    const LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATORS: [u32; 5] = [
        0x3b6a_57b2,
        0x2650_8e6d,
        0x1ea1_19fa,
        0x3d42_33dd,
        0x2a14_62b3,
    ];
    const BECH32: u32 = 1;
    const BECH32M: u32 = 0x2bc8_30a3;
    let text = candidate.as_str();
    let mixed = text.bytes().any(|b| b.is_ascii_lowercase())
        && text.bytes().any(|b| b.is_ascii_uppercase());
    if mixed || !candidate.stands_alone() {
        return None;
    }
    let text = text.to_ascii_lowercase();
    // The human-readable part `bc`, expanded: high bits, 0, low bits.
    let mut values = vec![3, 3, 0, 2, 3];
    for letter in text.bytes().skip(3) {
        let value = LETTERS.iter().position(|b| *b == letter)?;
        values.push(u32::try_from(value).ok()?);
    }
    let checksum = values.into_iter().fold(1_u32, |sum, value| {
        let top = sum >> 25;
        let next = ((sum & 0x1ff_ffff) << 5) ^ value;
        GENERATORS
            .iter()
            .enumerate()
            .filter(|(bit, _)| (top >> bit) & 1 == 1)
            .fold(next, |sum, (_, generator)| sum ^ generator)
    });
    matches!(checksum, BECH32 | BECH32M).then_some(0.95)
}

/// 20 bytes in hexadecimal. The mixed-case checksum of EIP-55 is not checked (it needs Keccak), so words must help.
fn ethereum(candidate: &Candidate<'_>) -> Option<f32> {
    (candidate.stands_alone() && candidate.is_near(WORDS)).then_some(0.7)
}
