use std::sync::Arc;

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, LicenseBuilder, OpenApi, SecurityRequirement};
use utoipa_swagger_ui::Config;

use crate::{ApiError, Code, config, enroll, error, events, health, mock, realtime, recognize, students, subscribe};

/// The OpenAPI 3.1 document of every route here, made from the routes themselves.
#[must_use]
pub fn openapi() -> OpenApi {
    let [reading, changing] = students::documented();
    let parts = [
        enroll::documented().openapi(),
        recognize::documented().openapi(),
        realtime::documented().openapi(),
        subscribe::documented().openapi(),
        events::documented().openapi(),
        health::documented().into_openapi(),
        config::documented().openapi(),
        reading.openapi(),
        changing.openapi(),
        mock::documented().openapi(),
    ];
    let mut document = OpenApi::default();
    for part in parts {
        document.merge(part);
    }
    let license = LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).identifier(Some(env!("CARGO_PKG_LICENSE")));
    document.info = InfoBuilder::new()
        .title("Attendance by face")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Enrols students by photograph, names the faces of pictures, and tells an Attendance API and everybody who \
             watches. Boxes are pixels of the upright picture, origin at the top left; a distance is Euclidean, smaller \
             is more alike; times are Unix seconds. Every error answers `{ok: false, msg, code}`.",
        ))
        .license(Some(license.build()))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    components.schemas.extend(error::schemas());
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let header = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Api-Key")));
    components.add_security_scheme("api_key", header);
    let schemes = ["bearer", "api_key"];
    document.security = Some(schemes.map(|name| SecurityRequirement::new::<_, [&str; 0], _>(name, [])).to_vec());
    document
}

/// This document, and a page to browse it whose files are all served from here. Anyone may see them.
pub(crate) fn pages(document: OpenApi) -> Router {
    let document = Arc::new(document);
    let config = Arc::new(Config::new(["openapi.json"]).validator_url("none"));
    Router::new()
        .route("/openapi.json", get(async move || Json(document).into_response()))
        .route("/docs", get(async || Html(INDEX).into_response()).layer(axum::middleware::map_response(confined)))
        .route(
            "/docs/{*file}",
            get(async move |Path(file): Path<String>| page_file(&file, config))
                .layer(axum::middleware::map_response(confined)),
        )
}

/// The page: the files' addresses are relative, so that it also works behind a prefix.
const INDEX: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Attendance by face: API</title>
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/index.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/swagger-ui-standalone-preset.js"></script>
<script src="docs/swagger-initializer.js"></script>
</body>
</html>
"#;

fn page_file(file: &str, config: Arc<Config<'static>>) -> Result<Response, ApiError> {
    let file = utoipa_swagger_ui::serve(file, config).map_err(|error| ApiError::internal(error.to_string()))?;
    let file = file.ok_or_else(|| ApiError::new(Code::NotFound, "there is no such file; the page is at /docs"))?;
    let encoding = file.gzpipped.then_some([(header::CONTENT_ENCODING, "gzip")]);
    Ok(([(header::CONTENT_TYPE, file.content_type)], encoding, file.bytes.into_owned()).into_response())
}

/// Forbids the page to load or call anything that is not this server's. The page sets styles by script.
async fn confined(mut response: Response) -> Response {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                  connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
