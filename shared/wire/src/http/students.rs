use std::collections::BTreeMap;

use attendance::StudentId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A student who is enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StudentItem {
    #[allow(missing_docs)]
    pub student_id: String,
    /// How many embeddings are stored.
    pub embeddings: usize,
}

/// Everybody who is enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StudentsResponse {
    /// Always true.
    pub ok: bool,
    /// By id.
    pub students: Vec<StudentItem>,
}

impl From<Vec<(StudentId, usize)>> for StudentsResponse {
    fn from(students: Vec<(StudentId, usize)>) -> Self {
        let item = |(id, embeddings): (StudentId, usize)| StudentItem { student_id: id.to_string(), embeddings };
        Self { ok: true, students: students.into_iter().map(item).collect() }
    }
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RemoveResponse {
    /// Always true.
    pub ok: bool,
    /// How many embeddings were removed; 0 for a student who was not enrolled.
    pub removed: usize,
}

/// What is to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
pub struct UploadRequest {
    /// Whose picture it is.
    pub student_id: String,
    /// The object's name in the student's folder, which ends in `.jpg`, `.jpeg`, `.png` or `.webp`.
    pub name: String,
    /// In bytes: the signature holds for exactly so many.
    pub size: u64,
}

/// The request that uploads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UploadGrant {
    /// Always true.
    pub ok: bool,
    /// Where the picture is to be sent, within 15 minutes.
    pub url: String,
    /// The HTTP method.
    pub method: String,
    /// To be sent exactly so.
    pub headers: BTreeMap<String, String>,
    /// Where it will lie.
    pub key: String,
}
