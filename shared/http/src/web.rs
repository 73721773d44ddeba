use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::config::websocket_url_for;

/// A file of the pages, compiled into the program.
struct File {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($content_type:literal: $($path:literal = $name:literal),* $(,)?) => {
        [$(File { path: $path, content_type: $content_type, bytes: include_bytes!(concat!("../web/", $name)) }),*]
    };
}

macro_rules! scripts {
    ($($name:literal),* $(,)?) => {
        [$(File {
            path: concat!("/web/", $name),
            content_type: "text/javascript; charset=utf-8",
            bytes: include_bytes!(concat!("../web/", $name)),
        }),*]
    };
}

static PAGES: [File; 3] =
    files!["text/html; charset=utf-8": "/" = "index.html", "/enrol" = "enrol.html", "/live" = "live.html"];
static STYLES: [File; 3] = files![
    "text/css; charset=utf-8":
    "/web/kiosk.css" = "kiosk.css", "/web/office.css" = "office.css", "/web/style.css" = "style.css",
];
static ICON: [File; 1] = files!["image/svg+xml": "/web/icon.svg" = "icon.svg"];
static MANIFEST: [File; 1] = files!["application/manifest+json": "/web/manifest.webmanifest" = "manifest.webmanifest"];
static SCRIPTS: [File; 18] = scripts![
    "api.js",
    "camera.js",
    "chart.js",
    "chime.js",
    "dom.js",
    "en.js",
    "enrol.js",
    "feed.js",
    "folder.js",
    "geometry.js",
    "id.js",
    "kiosk.js",
    "live.js",
    "presence.js",
    "problem.js",
    "settings.js",
    "text.js",
    "wall.js",
];

fn files() -> impl Iterator<Item = &'static File> {
    PAGES.iter().chain(&STYLES).chain(&ICON).chain(&MANIFEST).chain(&SCRIPTS)
}

/// The kiosk (`/`), the enrolment page (`/enrol`), the live wall (`/live`) and their files (`/web/...`). Anyone may see
/// them; what they show wants a key.
///
/// `websocket_url` is what `/config` says; a page may call this server and that WebSocket, and nothing else.
pub(crate) fn pages(websocket_url: Option<&str>) -> Router {
    files().fold(Router::new(), |routes, file| {
        let websocket_url = websocket_url.map(str::to_owned);
        let tag = tag(file.bytes);
        let handler = async move |headers: HeaderMap| {
            let url = websocket_url.unwrap_or_else(|| websocket_url_for(&headers));
            answer(file, tag, &headers, &url)
        };
        routes.route(file.path, get(handler))
    })
}

fn answer(file: &'static File, tag: HeaderValue, headers: &HeaderMap, websocket_url: &str) -> Response {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        let offered = value.to_str().unwrap_or_default().split(',').map(str::trim);
        offered
            .into_iter()
            .any(|offered| offered == "*" || offered.trim_start_matches("W/").as_bytes() == tag.as_bytes())
    });
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static(file.content_type)),
        (header::CONTENT_SECURITY_POLICY, policy(websocket_url)),
        // A browser asks each time whether what it has is still the newest, so that a new version shows at once.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, tag),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (
            HeaderName::from_static("permissions-policy"),
            HeaderValue::from_static("camera=(self), microphone=(), geolocation=()"),
        ),
    ];
    if known { (StatusCode::NOT_MODIFIED, head).into_response() } else { (head, file.bytes).into_response() }
}

fn tag(bytes: &[u8]) -> HeaderValue {
    let digest: String = Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{digest}\"")).expect("hexadecimal digits")
}

/// The policy that forbids a page to load or call anything but this server and the WebSocket at this URL. Pictures that a
/// person has chosen are shown from the browser's memory (`blob:`).
fn policy(websocket_url: &str) -> HeaderValue {
    let socket = origin(websocket_url).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; manifest-src 'self'; \
         connect-src 'self' {socket}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).expect("an origin is plain text")
}

/// Returns the scheme and authority of a URL if they are a WebSocket's. What a client sends as `Host` comes here too, and must
/// not end the directive.
fn origin(url: &str) -> Option<String> {
    let url: Uri = url.parse().ok()?;
    let (scheme, authority) = (url.scheme_str()?, url.authority()?.as_str());
    let plain = authority.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c));
    (matches!(scheme, "ws" | "wss") && plain).then(|| format!("{scheme}://{authority}"))
}
