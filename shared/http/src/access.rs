use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::parameters::Parameters;
use crate::watch::WATCH_PATH;
use crate::{ApiError, Code, docs, web};

/// What anyone may see: how the service is, and the static pages. Everything else, also a path that does not exist,
/// wants a key, so that a route added later is closed until it is listed here.
fn needs_no_key(path: &str) -> bool {
    path == "/health" || docs::is_page(path) || web::is_page(path)
}

/// A key that no header can carry, so that nobody could ever come in with it. The message holds no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ATTENDANCE_ACCESS_KEY: allowed are keys of visible ASCII characters, separated by spaces")]
pub struct InvalidKey;

/// The keys that open the service. Cloning is cheap; the keys are never shown.
#[derive(Clone)]
pub struct Access {
    // Digests, so that the comparison takes the same time for keys of every length.
    keys: Arc<[[u8; 32]]>,
}

impl Access {
    /// Access for everybody.
    #[must_use]
    pub fn open() -> Self {
        Self { keys: Arc::new([]) }
    }

    /// Access with any of the keys in this text, which are separated by white space; for everybody where there is none.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn parse(keys: &str) -> Result<Self, InvalidKey> {
        let key = |key: &str| key.bytes().all(|byte| byte.is_ascii_graphic()).then(|| digest(key)).ok_or(InvalidKey);
        keys.split_whitespace().map(key).collect::<Result<_, _>>().map(|keys| Self { keys })
    }

    /// Whether everybody may come in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    fn admits_request(&self, request: &Request) -> bool {
        let path = request.uri().path();
        let by_query = || {
            // A browser's WebSocket cannot send headers.
            let query = (path == WATCH_PATH).then(|| Parameters::of(request.uri()).ok()).flatten();
            query.is_some_and(|query| query.one("key").ok().flatten().is_some_and(|key| self.admits(key)))
        };
        self.is_open() || needs_no_key(path) || self.admits_headers(request.headers()) || by_query()
    }

    /// Whether these headers hold one of the keys.
    #[must_use]
    pub fn admits_headers(&self, headers: &HeaderMap) -> bool {
        by_header(headers).any(|key| self.admits(key))
    }

    /// Whether this is one of the keys. Takes the same time wherever it differs, and whichever key it is.
    #[must_use]
    pub fn admits(&self, key: &str) -> bool {
        let offered = digest(key);
        self.keys.iter().fold(Choice::from(0), |found, key| found | key.ct_eq(&offered)).into()
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({} keys)", self.keys.len())
    }
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Lets a request through that needs no key or has one.
pub(crate) async fn require_key(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if access.admits_request(&request) {
        return Ok(next.run(request).await);
    }
    Err(ApiError::new(
        Code::Unauthorized,
        "this route wants an access key: send it as `Authorization: Bearer <key>` or `X-Api-Key: <key>`",
    ))
}

fn by_header(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let api_key = headers.get("x-api-key").and_then(|value| value.to_str().ok()).map(str::trim);
    bearer.into_iter().chain(api_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_several_keys_opens_and_nothing_else_does() {
        let access = Access::parse(" first  second\n").unwrap();
        assert!(access.admits("first") && access.admits("second"));
        for wrong in ["", "firs", "first ", "First", "first second"] {
            assert!(!access.admits(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn keys_are_not_shown() {
        assert_eq!(format!("{:?}", Access::parse("hunter2").unwrap()), "Access(1 keys)");
        assert!(Access::parse("  ").unwrap().is_open());
        assert_eq!(Access::parse("schlüssel").unwrap_err(), InvalidKey);
    }
}
