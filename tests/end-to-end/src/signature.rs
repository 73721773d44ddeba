//! What a careful Attendance API checks, written from the contract alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Call, ENCODED_SECRET, PLAIN_SECRET};

fn mac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

impl Call {
    /// Panics unless both signatures are those of the two secrets.
    pub fn is_signed(&self) {
        let encoded = ENCODED_SECRET.strip_prefix("whsec_").expect("the prefix");
        let secrets = [PLAIN_SECRET.as_bytes().to_vec(), STANDARD.decode(encoded).expect("base64")];
        let mut signed = format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp")).into_bytes();
        signed.extend_from_slice(&self.body);
        let expected: Vec<String> =
            secrets.iter().map(|secret| format!("v1,{}", STANDARD.encode(mac(secret, &signed)))).collect();
        let signatures: Vec<&str> = self.header("webhook-signature").split(' ').collect();
        assert_eq!(signatures, expected);
        let hex: String = mac(&secrets[0], &self.body).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(self.header("x-signature"), hex);
    }
}
