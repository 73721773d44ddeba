use std::fmt;
use std::sync::Arc;

use attendance::Scope;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};
use strum::VariantArray;
use subtle::{Choice, ConstantTimeEq};

use crate::parameters::Parameters;
use crate::{ApiError, Code};

/// A key that no header can carry, so that nobody could ever use it. The message holds no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ATTENDANCE_ACCESS_KEY: allowed are keys of visible ASCII characters, separated by spaces")]
pub struct InvalidKey;

/// The keys that open the service. Cloning is cheap; the keys are never shown.
#[derive(Clone)]
pub struct Access {
    keys: Arc<[Key]>,
}

struct Key {
    // So that the comparison takes the same time for keys of every length.
    digest: [u8; 32],
    scopes: &'static [Scope],
}

/// What a request needs to be let through.
#[derive(Clone, Copy)]
pub(crate) struct Need {
    /// The scope that its key must have; `None` if any key will do.
    pub(crate) scope: Option<Scope>,
    /// Whether the key may also come as the query parameter `key`.
    pub(crate) key_in_query: bool,
}

impl Access {
    /// Access for everybody.
    #[must_use]
    pub fn open() -> Self {
        Self { keys: Arc::new([]) }
    }

    /// Access to everything with any of the keys in this text, which are separated by white space; for everybody if there
    /// is none.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn parse(keys: &str) -> Result<Self, InvalidKey> {
        let key = |text: &str| {
            let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
            plain.then(|| Key { digest: digest(text), scopes: Scope::VARIANTS }).ok_or(InvalidKey)
        };
        keys.split_whitespace().map(key).collect::<Result<_, _>>().map(|keys| Self { keys })
    }

    /// Whether everybody may come in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    fn admits_request(&self, request: &Request, need: Need) -> bool {
        let by_query = || {
            let query = need.key_in_query.then(|| Parameters::of(request.uri()).ok()).flatten();
            query.is_some_and(|query| query.one("key").ok().flatten().is_some_and(|key| self.meets(key, need.scope)))
        };
        self.is_open() || by_header(request.headers()).any(|key| self.meets(key, need.scope)) || by_query()
    }

    /// Whether these headers hold a key with this scope.
    #[must_use]
    pub fn admits_headers(&self, headers: &HeaderMap, scope: Scope) -> bool {
        by_header(headers).any(|key| self.admits(key, scope))
    }

    /// Whether this is a key with this scope. Takes the same time wherever it differs, and whichever key it is.
    #[must_use]
    pub fn admits(&self, key: &str, scope: Scope) -> bool {
        self.meets(key, Some(scope))
    }

    fn meets(&self, key: &str, scope: Option<Scope>) -> bool {
        let offered = digest(key);
        let opens = |key: &Key| Choice::from(u8::from(scope.is_none_or(|scope| key.scopes.contains(&scope))));
        self.keys.iter().fold(Choice::from(0), |met, key| met | key.digest.ct_eq(&offered) & opens(key)).into()
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

/// Lets a request through that has the key it needs.
pub(crate) async fn require(
    State((access, need)): State<(Access, Need)>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if access.admits_request(&request, need) {
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
        for scope in Scope::VARIANTS {
            assert!(access.admits("first", *scope) && access.admits("second", *scope));
        }
        for wrong in ["", "firs", "first ", "First", "first second"] {
            assert!(!access.admits(wrong, Scope::Watch), "{wrong:?}");
            assert!(!access.meets(wrong, None), "{wrong:?}");
        }
    }

    #[test]
    fn a_key_opens_its_scopes_alone() {
        let key = Key { digest: digest("camera"), scopes: &[Scope::Recognize] };
        let access = Access { keys: [key].into() };
        assert!(access.admits("camera", Scope::Recognize) && access.meets("camera", None));
        assert!(!access.admits("camera", Scope::Enroll) && !access.admits("other", Scope::Recognize));
    }

    #[test]
    fn keys_are_not_shown() {
        assert_eq!(format!("{:?}", Access::parse("hunter2").unwrap()), "Access(1 keys)");
        assert!(Access::parse("  ").unwrap().is_open());
        assert_eq!(Access::parse("schlüssel").unwrap_err(), InvalidKey);
    }
}
