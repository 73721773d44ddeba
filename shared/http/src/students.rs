use std::sync::Arc;

use attendance::ports::GalleryStore;
use attendance::{Scope, StudentId};
use attendance_wire::http::{RemoveResponse, StudentsResponse};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use utoipa_axum::routes;

use crate::error::errors;
use crate::{ApiError, Code, Group, Work};

#[derive(Clone)]
pub(crate) struct Students {
    pub(crate) gallery: Arc<dyn GalleryStore>,
    pub(crate) work: Work,
}

/// The routes that read, and those that change.
pub(crate) fn documented() -> [Group<Students>; 2] {
    [
        Group::opened_by(Scope::StudentsRead).routes(routes!(list_students)),
        Group::opened_by(Scope::StudentsWrite).routes(routes!(remove_student)),
    ]
}

errors!(StudentsErrors, [Code::Unauthorized, Code::Internal, Code::Unavailable]);

/// List who is enrolled.
#[utoipa::path(
    get,
    path = "/students",
    tag = "students",
    responses(StudentsErrors, (status = 200, body = StudentsResponse, description = "everybody")),
)]
async fn list_students(State(state): State<Students>) -> Result<Json<StudentsResponse>, ApiError> {
    Ok(Json(state.gallery.students().await?.into()))
}

errors!(RemoveErrors, [Code::Unauthorized, Code::InvalidStudentId, Code::Internal, Code::Unavailable]);

/// Erase a student: the embeddings, crops and pictures are gone when this answers.
#[utoipa::path(
    delete,
    path = "/students/{student_id}",
    tag = "students",
    params(("student_id" = String, Path, description = "the student")),
    responses(RemoveErrors, (status = 200, body = RemoveResponse, description = "gone")),
)]
async fn remove_student(
    State(Students { gallery, work }): State<Students>,
    student: Result<Path<String>, PathRejection>,
) -> Result<Json<RemoveResponse>, ApiError> {
    // A path that is not text is no student id either.
    let student = StudentId::parse(&student.map(|Path(text)| text).unwrap_or_default())?;
    let removed = work.in_full(async move { gallery.remove(&student).await }).await??;
    Ok(Json(RemoveResponse { ok: true, removed }))
}
