use std::fmt;

use axum::http::{HeaderMap, HeaderName, header};
use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::ReceiverError;

/// How far `webhook-timestamp` may be from our clock, in seconds, in either direction.
pub(crate) const TOLERANCE: u64 = 300;

/// Tells the service's own requests from others. Keys and secrets are never shown.
pub struct Gate {
    // A digest, so that a comparison takes the same time for keys of every length.
    key: Option<[u8; 32]>,
    secrets: Vec<Vec<u8>>,
}

impl Gate {
    /// Returns the gate for this `ATTENDANCE_API_KEY` and `ATTENDANCE_HMAC_SECRET`. What is absent is not required. Secrets are
    /// separated by white space; one that begins with `whsec_` is base64 after the prefix, any other is its UTF-8 bytes.
    ///
    /// # Errors
    /// [`ReceiverError::InvalidSecret`].
    pub fn new(key: Option<&str>, secrets: Option<&str>) -> Result<Self, ReceiverError> {
        let secret = |word: &str| match word.strip_prefix("whsec_") {
            Some(encoded) => decode(encoded).filter(|bytes| !bytes.is_empty()).ok_or(ReceiverError::InvalidSecret),
            None => Ok(word.as_bytes().to_vec()),
        };
        let secrets = secrets.unwrap_or_default().split_whitespace().map(secret).collect::<Result<_, _>>()?;
        Ok(Self { key: key.map(|key| Sha256::digest(key).into()), secrets })
    }

    /// Whether a key is required.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Whether signatures are required.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// Returns `Ok` if the request carries our key, or if there is none.
    ///
    /// # Errors
    /// [`ReceiverError::WrongBearer`].
    pub fn check_bearer(&self, headers: &HeaderMap) -> Result<(), ReceiverError> {
        let Some(key) = self.key else { return Ok(()) };
        let offered = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let offered: [u8; 32] = Sha256::digest(offered.ok_or(ReceiverError::WrongBearer)?).into();
        if key.ct_eq(&offered).into() { Ok(()) } else { Err(ReceiverError::WrongBearer) }
    }

    /// Returns the request's `webhook-id` if the request is the service's own and fresh at `now` (Unix seconds).
    ///
    /// `webhook-signature` decides if it is sent, and `X-Signature` otherwise. The latter covers the body alone: then it is the
    /// `event_id` in the body that keeps an old one from counting twice.
    ///
    /// # Errors
    /// [`ReceiverError`] for the first check that fails; the bearer token is checked first.
    pub fn check_delivery<'a>(&self, headers: &'a HeaderMap, body: &[u8], now: u64) -> Result<&'a str, ReceiverError> {
        self.check_bearer(headers)?;
        let id = text(headers, "webhook-id")?;
        let timestamp = text(headers, "webhook-timestamp")?;
        let sent: u64 = timestamp.parse().map_err(|_| ReceiverError::Header("webhook-timestamp"))?;
        let age = now.abs_diff(sent);
        if age > TOLERANCE {
            return Err(ReceiverError::Stale(age));
        }
        if self.has_secrets() && !self.is_signed(headers, id, timestamp, body) {
            return Err(ReceiverError::WrongSignature);
        }
        Ok(id)
    }

    /// Takes the same time whichever secret fits, and wherever a signature differs.
    fn is_signed(&self, headers: &HeaderMap, id: &str, timestamp: &str, body: &[u8]) -> bool {
        let mut found = Choice::from(0);
        if headers.contains_key("webhook-signature") {
            let offered = text(headers, "webhook-signature").unwrap_or_default();
            for secret in &self.secrets {
                let mac = mac(secret, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
                let expected = format!("v1,{}", STANDARD.encode(mac));
                for one in offered.split(' ') {
                    found |= one.as_bytes().ct_eq(expected.as_bytes());
                }
            }
        } else {
            let offered = text(headers, "x-signature").unwrap_or_default();
            for secret in &self.secrets {
                let expected: String = mac(secret, &[body]).iter().map(|byte| format!("{byte:02x}")).collect();
                found |= offered.as_bytes().ct_eq(expected.as_bytes());
            }
        }
        found.into()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate(key: {}, secrets: {})", self.has_key(), self.secrets.len())
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, ReceiverError> {
    let value = headers.get(HeaderName::from_static(name)).and_then(|value| value.to_str().ok());
    value.filter(|text| !text.is_empty()).ok_or(ReceiverError::Header(name))
}

fn decode(text: &str) -> Option<Vec<u8>> {
    // Secrets are passed around with and without their padding.
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&ALPHABET, config).decode(text).ok()
}

fn mac(secret: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0193571e-9a3c-7a10-8000-000000000001";
    const NOW: u64 = 1_727_580_000;
    const BODY: &[u8] = br#"{"event":"attendance.recognized"}"#;
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn gate() -> Gate {
        Gate::new(Some("a-key"), Some(&format!("plain {SECRET}"))).expect("a gate")
    }

    /// A request as the service sends it, signed by the library of the standard.
    fn signed(secret: &standardwebhooks::Webhook, at: u64, body: &[u8]) -> HeaderMap {
        let signature = secret.sign(ID, i64::try_from(at).expect("small"), body).expect("signed");
        let pairs = [
            ("authorization", "Bearer a-key".to_owned()),
            ("webhook-id", ID.to_owned()),
            ("webhook-timestamp", at.to_string()),
            ("webhook-signature", signature),
        ];
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a header"))).collect()
    }

    fn ours() -> standardwebhooks::Webhook {
        standardwebhooks::Webhook::new(SECRET).expect("a secret")
    }

    #[test]
    fn what_the_service_signed_is_let_in() {
        assert_eq!(gate().check_delivery(&signed(&ours(), NOW, BODY), BODY, NOW).expect("let in"), ID);
        let plain = standardwebhooks::Webhook::from_bytes(b"plain".to_vec()).expect("a secret");
        gate().check_delivery(&signed(&plain, NOW, BODY), BODY, NOW).expect("either secret");
    }

    #[test]
    fn one_of_several_signatures_is_enough() {
        let mut headers = signed(&ours(), NOW, BODY);
        let good = headers["webhook-signature"].to_str().expect("text").to_owned();
        headers.insert("webhook-signature", format!("v1,AAAA v2,x {good} v1a,zz").parse().expect("a header"));
        gate().check_delivery(&headers, BODY, NOW).expect("let in");
    }

    #[test]
    fn a_wrong_signature_is_refused() {
        let other = standardwebhooks::Webhook::from_bytes(b"other".to_vec()).expect("a secret");
        let mut cases = vec![signed(&other, NOW, BODY), signed(&ours(), NOW, b"{}")];
        for wrong in ["", "v1,", "v1,AAAA", "nonsense", "v2,AAAA"] {
            let mut headers = signed(&ours(), NOW, BODY);
            headers.insert("webhook-signature", wrong.parse().expect("a header"));
            cases.push(headers);
        }
        let mut none = signed(&ours(), NOW, BODY);
        none.remove("webhook-signature");
        cases.push(none);
        let mut shortened = signed(&ours(), NOW, BODY);
        let good = shortened["webhook-signature"].to_str().expect("text").to_owned();
        shortened.insert("webhook-signature", good[..good.len() - 1].parse().expect("a header"));
        cases.push(shortened);
        for headers in cases {
            let result = gate().check_delivery(&headers, BODY, NOW);
            assert!(matches!(result, Err(ReceiverError::WrongSignature)), "{headers:?}: {result:?}");
        }
    }

    #[test]
    fn an_old_timestamp_is_refused_and_a_future_one_too() {
        for (at, fresh) in [(NOW - 300, true), (NOW + 300, true), (NOW - 301, false), (NOW + 301, false), (0, false)] {
            let result = gate().check_delivery(&signed(&ours(), at, BODY), BODY, NOW).map(drop);
            assert_eq!(matches!(result, Err(ReceiverError::Stale(_))), !fresh, "{at}: {result:?}");
            assert_eq!(result.is_ok(), fresh);
        }
    }

    #[test]
    fn a_body_replayed_with_a_fresh_timestamp_or_another_id_is_refused() {
        for (name, value) in [("webhook-timestamp", (NOW + 600).to_string()), ("webhook-id", ID.replace('1', "2"))] {
            let mut headers = signed(&ours(), NOW, BODY);
            headers.insert(name, value.parse().expect("a header"));
            let result = gate().check_delivery(&headers, BODY, NOW + 600 * u64::from(name == "webhook-timestamp"));
            assert!(matches!(result, Err(ReceiverError::WrongSignature)), "{name}: {result:?}");
        }
    }

    #[test]
    fn a_wrong_bearer_is_refused() {
        for wrong in ["Bearer b-key", "Bearer a-ke", "Bearer a-key-", "Bearer ", "Basic a-key", "a-key", ""] {
            let mut headers = signed(&ours(), NOW, BODY);
            headers.insert("authorization", wrong.parse().expect("a header"));
            let result = gate().check_delivery(&headers, BODY, NOW);
            assert!(matches!(result, Err(ReceiverError::WrongBearer)), "{wrong}: {result:?}");
        }
        let mut headers = signed(&ours(), NOW, BODY);
        headers.remove("authorization");
        assert!(matches!(gate().check_bearer(&headers), Err(ReceiverError::WrongBearer)));
    }

    #[test]
    fn the_plain_signature_counts_where_the_standards_is_absent() {
        let mut headers = signed(&ours(), NOW, BODY);
        // Python: hmac.new(b"plain", body, hashlib.sha256).hexdigest()
        let hex = "f7a2de794c4d2d52064c9cf52ac7718160db4771e543a7c76e0ba22f6ba48d42";
        headers.insert("x-signature", hex.parse().expect("a header"));
        headers.insert("webhook-signature", "v1,AAAA".parse().expect("a header"));
        assert!(gate().check_delivery(&headers, BODY, NOW).is_err(), "the stronger one decides");
        headers.remove("webhook-signature");
        gate().check_delivery(&headers, BODY, NOW).expect("let in");
        assert!(gate().check_delivery(&headers, b"{}", NOW).is_err());
    }

    #[test]
    fn missing_headers_are_named() {
        for name in ["webhook-id", "webhook-timestamp"] {
            let mut headers = signed(&ours(), NOW, BODY);
            headers.remove(name);
            let result = gate().check_delivery(&headers, BODY, NOW);
            assert!(matches!(result, Err(ReceiverError::Header(missing)) if missing == name), "{result:?}");
        }
        for wrong in ["soon", "-1", "1e9", "99999999999999999999"] {
            let mut headers = signed(&ours(), NOW, BODY);
            headers.insert("webhook-timestamp", wrong.parse().expect("a header"));
            assert!(matches!(gate().check_delivery(&headers, BODY, NOW), Err(ReceiverError::Header(_))), "{wrong}");
        }
    }

    #[test]
    fn without_key_and_secret_neither_is_asked_for() {
        let open = Gate::new(None, Some(" ")).expect("a gate");
        let mut headers = signed(&ours(), NOW, BODY);
        headers.remove("authorization");
        headers.remove("webhook-signature");
        open.check_delivery(&headers, BODY, NOW).expect("let in");
        assert!(open.check_delivery(&headers, BODY, NOW + 301).is_err(), "but age is judged");
    }

    #[test]
    fn secrets_are_checked_and_not_shown() {
        for wrong in ["whsec_", "whsec_***", "good whsec_?"] {
            assert!(matches!(Gate::new(None, Some(wrong)), Err(ReceiverError::InvalidSecret)), "{wrong}");
        }
        assert_eq!(format!("{:?}", gate()), "Gate(key: true, secrets: 2)");
    }
}
