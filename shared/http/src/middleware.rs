use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::handler::Handler;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument;

use crate::access::{Need, require};
use crate::unread::read_on;
use crate::{Access, ApiError, Code, Routes};

/// The origins whose pages may call the service from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// All origins.
    Any,
    /// These origins, as in `https://school.example`.
    Of(Vec<HeaderValue>),
}

/// A text is no list of origins; the message says what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "origins are `*` or a list as in `https://school.example http://localhost:5173`, each a scheme, a host and maybe a port, without a path"
)]
pub struct InvalidOrigins;

impl Origins {
    /// Returns the origins in this text: `*`, or a list separated by white space.
    ///
    /// # Errors
    /// [`InvalidOrigins`].
    pub fn parse(text: &str) -> Result<Self, InvalidOrigins> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        match parts.as_slice() {
            [] => Err(InvalidOrigins),
            ["*"] => Ok(Self::Any),
            parts => parts.iter().map(|part| origin(part)).collect::<Option<_>>().map(Self::Of).ok_or(InvalidOrigins),
        }
    }
}

/// The origin as a browser writes it: without a slash at its end.
fn origin(text: &str) -> Option<HeaderValue> {
    let (scheme, host) = text.split_once("://")?;
    let plain = !host.is_empty() && !host.contains(['/', '?', '#', '@', '*', ',']);
    (plain && matches!(scheme, "http" | "https"))
        .then(|| HeaderValue::from_str(&text.to_ascii_lowercase()).ok())
        .flatten()
}

/// Returns the routes with everything around them: the request log, CORS, access keys, and errors in the one shape, also
/// for paths and methods that do not exist and for panics.
pub fn guarded(routes: Routes, access: Access, origins: Origins) -> Router {
    // Whoever has no key does not learn which paths and methods exist.
    let need = Need { scope: None, key_in_query: false };
    let keyed = from_fn_with_state((access.clone(), need), require);
    let (public, closed) = routes.split(&access);
    public
        .method_not_allowed_fallback(method_not_allowed)
        .merge(closed.method_not_allowed_fallback(method_not_allowed.layer(keyed.clone())))
        .fallback(not_found.layer(keyed))
        // From the inside out. CORS is outside the keys: a preflight carries none, and a page must be able to read a 401.
        .layer(CatchPanicLayer::custom(|_| {
            ApiError::internal("a handler panicked; its message is in the log above").into_response()
        }))
        .layer(cors(origins))
        .layer(from_fn(read_on))
        .layer(from_fn(log))
}

async fn not_found() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such path; GET /openapi.json lists those that exist")
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(Code::MethodNotAllowed, "this path does not take this method; the header Allow says which it takes")
}

fn cors(origins: Origins) -> CorsLayer {
    let origins = match origins {
        Origins::Any => AllowOrigin::any(),
        Origins::Of(list) => AllowOrigin::list(list),
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, HeaderName::from_static("x-api-key")])
        .expose_headers([header::RETRY_AFTER])
        .max_age(Duration::from_secs(3600))
}

/// Logs one line per request. The route's pattern stands for its path, so that no student id and no key reaches the log.
async fn log(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().map_or("(none)", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", %method, path);
    let response = next.run(request).instrument(span.clone()).await;
    let ms = begun.elapsed().as_secs_f64() * 1e3;
    tracing::info!(parent: &span, status = response.status().as_u16(), ms = (ms * 10.0).round() / 10.0, "answered");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_a_star_or_a_list() {
        assert_eq!(Origins::parse("*"), Ok(Origins::Any));
        let list = ["https://a.example", "http://localhost:5173"].map(HeaderValue::from_static).to_vec();
        assert_eq!(Origins::parse("https://A.example  http://localhost:5173"), Ok(Origins::Of(list)));
        for wrong in [
            "",
            "a.example",
            "* https://a.example",
            "https://a.example/",
            "ftp://a.example",
            "https://*.example",
            "https://a.example,https://b.example",
        ] {
            assert_eq!(Origins::parse(wrong), Err(InvalidOrigins), "{wrong:?}");
        }
    }
}
