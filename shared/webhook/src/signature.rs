use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::WebhookError;

/// The secrets that sign a delivery: several while one is being replaced. They are never printed.
#[derive(Clone, Default)]
pub struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    /// Returns the secrets in this text, separated by white space. One that starts with `whsec_` is base64 after the prefix;
    /// any other is its UTF-8 bytes.
    ///
    /// # Errors
    /// [`WebhookError::Secret`].
    pub fn parse(text: &str) -> Result<Self, WebhookError> {
        let secret = |word: &str| match word.strip_prefix("whsec_") {
            Some(encoded) => decode(encoded).filter(|key| !key.is_empty()).ok_or(WebhookError::Secret),
            None => Ok(word.as_bytes().to_vec()),
        };
        text.split_whitespace().map(secret).collect::<Result<_, _>>().map(Self)
    }

    /// The value of `webhook-signature` (Standard Webhooks): `v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`, once per
    /// secret, separated by spaces. `None` without a secret.
    pub(crate) fn standard(&self, id: &str, timestamp: u64, body: &str) -> Option<String> {
        let signed = format!("{id}.{timestamp}.{body}");
        let one = |secret: &Vec<u8>| format!("v1,{}", STANDARD.encode(mac(secret, signed.as_bytes())));
        (!self.0.is_empty()).then(|| self.0.iter().map(one).collect::<Vec<_>>().join(" "))
    }

    /// The value of `X-Signature`: the lower-case hex HMAC-SHA256 of the body with the first secret. `None` without one.
    pub(crate) fn hex(&self, body: &str) -> Option<String> {
        let mac = mac(self.0.first()?, body.as_bytes());
        Some(mac.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    // Secrets are passed around with and without their padding.
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&ALPHABET, config).decode(text).ok()
}

fn mac(secret: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &str = r#"{"test": 2432232314}"#;

    #[test]
    fn signs_as_the_standards_own_example() {
        // The secret, message and signature that the Standard Webhooks libraries test themselves with.
        let secrets = Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let signature = secrets.standard(ID, 1_614_265_330, BODY).expect("it signs");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn several_secrets_sign_in_their_order_and_the_first_signs_in_hex() {
        let secrets = Secrets::parse(" plain-secret  whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ").expect("secrets");
        let signature = secrets.standard(ID, 1_614_265_330, BODY).expect("it signs");
        let (first, second) = signature.split_once(' ').expect("two");
        // Computed with Python's hmac.
        assert_eq!(first, "v1,3Iu+JbC8cHey9rJURLZfxQoX30vMfLebm9Kn1ePn6f4=");
        assert_eq!(second, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(
            secrets.hex(BODY).expect("it signs"),
            "3769927aef24228fefebbe97e0781f76c3520d3652291a5e9ad80befe94a9e8c"
        );
    }

    #[test]
    fn without_a_secret_nothing_is_signed() {
        let none = Secrets::parse("  ").expect("none");
        assert_eq!((none.standard("id", 1, "{}"), none.hex("{}")), (None, None));
    }

    #[test]
    fn secrets_are_checked_and_not_shown() {
        for wrong in ["whsec_", "whsec_***", "good whsec_?"] {
            assert!(matches!(Secrets::parse(wrong), Err(WebhookError::Secret)), "{wrong}");
        }
        let unpadded = Secrets::parse("whsec_c2VjcmV0cw").expect("base64 without padding");
        assert_eq!(unpadded.hex(BODY), Secrets::parse("secrets").expect("plain").hex(BODY));
        assert_eq!(format!("{unpadded:?}"), "Secrets(1)");
    }
}
