use std::sync::Arc;

use attendance::ports::GalleryStore;
use attendance_wire::http::HealthResponse;
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::errors;
use crate::{ApiError, Code};

/// `GET /health`, which anyone may call.
pub(crate) fn documented() -> OpenApiRouter<Arc<dyn GalleryStore>> {
    OpenApiRouter::new().routes(routes!(health))
}

errors!(HealthErrors, [Code::Internal, Code::Unavailable]);

/// Ask whether the service is well, and how much is enrolled.
#[utoipa::path(
    get,
    path = "/health",
    tag = "service",
    security(()),
    responses(HealthErrors, (status = 200, body = HealthResponse, description = "it is well")),
)]
async fn health(State(gallery): State<Arc<dyn GalleryStore>>) -> Result<Json<HealthResponse>, ApiError> {
    Ok(Json(gallery.counts().await?.into()))
}
