//! `authorization: Bearer <token>`.
//!
//! Kept and compared as SHA-256, in constant time: neither length nor content of the token shows in how long a refusal takes.
//! Source: RFC 6750, section 2.1; the scheme's case does not matter (RFC 9110, section 11.1).

use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use turnpike_core::reply::Fault;

use super::{AccessError, Cause, File};

/// The token that callers must know.
pub(super) struct Token([u8; 32]);

impl Token {
    /// Reads it from a file; spaces and line ends around it do not count.
    pub(super) fn read(file: &File) -> Result<Self, AccessError> {
        let bytes = file.read()?;
        let token = bytes.trim_ascii();
        if token.is_empty() {
            return Err(file.error(Cause::EmptyToken));
        }
        if !token.iter().all(u8::is_ascii_graphic) {
            return Err(file.error(Cause::BadToken));
        }
        Ok(Self::of(token))
    }

    fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether the headers hold it, once.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next().ok_or(Fault::InvalidToken)?;
        if values.next().is_some() {
            return Err(Fault::RepeatedHeader(header::AUTHORIZATION.to_string()));
        }
        let sent = bearer(value.as_bytes()).ok_or(Fault::InvalidToken)?;
        if bool::from(Self::of(sent).0.ct_eq(&self.0)) {
            Ok(())
        } else {
            Err(Fault::InvalidToken)
        }
    }
}

/// The token of a header's value, if the scheme is `Bearer`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer".len())?;
    let token = token.strip_prefix(b" ")?;
    scheme
        .eq_ignore_ascii_case(b"Bearer")
        .then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn answer(values: &[&'static str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        Token::of(b"s3cret").check(&headers).err().map(|f| f.code())
    }

    #[test]
    fn the_token_passes_whatever_the_case_of_its_scheme() {
        for value in ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret "] {
            assert_eq!(answer(&[value]), None, "{value}");
        }
    }

    #[test]
    fn anything_else_does_not() {
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Bearers3cret",
            "Bearer\ts3cret",
            "Bearer s3cre",
            "Bearer s3crett",
            "Bearer S3CRET",
            "Bearer s3cret, Bearer s3cret",
            "Basic s3cret",
            "s3cret",
        ] {
            assert_eq!(answer(&[value]), Some("invalid_token"), "{value}");
        }
        assert_eq!(answer(&[]), Some("invalid_token"));
    }

    #[test]
    fn two_headers_are_refused_even_when_both_hold_the_token() {
        let twice = ["Bearer s3cret", "Bearer s3cret"];
        assert_eq!(answer(&twice), Some("repeated_header"));
    }
}
