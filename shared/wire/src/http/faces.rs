use attendance::{Dispatch, RealtimeOutcome, Receipt, Recognition, Sighting, rounded};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::ErrorBody;
use crate::ReportBody;

/// A photograph of a student.
#[derive(Debug, Clone, ToSchema)]
pub struct EnrollBody {
    /// 1 to 64 ASCII letters, digits, `.`, `_`, `-`, not starting with a dot; not `unknown`.
    #[schema(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")]
    pub student_id: String,
    /// JPEG, PNG or WebP that shows the student alone.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    pub image: Bytes,
}

/// What was enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrollResponse {
    /// Whether anything is stored for this picture.
    pub ok: bool,
    /// Embeddings stored for this picture, now or when it was first sent.
    pub saved: usize,
    /// One sentence for a person.
    pub msg: String,
}

impl From<Receipt> for EnrollResponse {
    fn from(Receipt { student, saved, .. }: Receipt) -> Self {
        let faces = if saved == 1 { "face is" } else { "faces are" };
        Self { ok: saved > 0, saved, msg: format!("{saved} {faces} stored for {student} from this picture") }
    }
}

/// Stored, or no face found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum EnrollAnswer {
    Stored(EnrollResponse),
    NoFace(ErrorBody),
}

/// Whom to look for.
#[derive(Debug, Clone, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PictureQuery {
    /// Whom to look for, ids separated by commas: everybody else is unknown, and distances are those to them. Also a form field;
    /// the query wins.
    #[param(nullable = false)]
    pub roster: Option<String>,
}

/// A picture.
#[derive(Debug, Clone, ToSchema)]
pub struct PictureBody {
    /// JPEG, PNG or WebP.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    pub image: Bytes,
    /// Whom to look for, ids separated by commas: everybody else is unknown, and distances are those to them.
    #[schema(nullable = false)]
    pub roster: Option<String>,
}

/// One face and who it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FaceResult {
    /// `[top, right, bottom, left]` in pixels of the upright picture, origin at the top left.
    #[serde(rename = "box")]
    #[schema(example = json!([120, 260, 220, 160]))]
    pub face_box: [i32; 4],
    /// The student id, or `Unknown`.
    pub label: String,
    /// The Euclidean distance to the nearest embedding of anyone, rounded to 4 decimals; null where nobody is enrolled.
    #[schema(required)]
    pub distance: Option<f64>,
}

impl From<Sighting> for FaceResult {
    fn from(Sighting { face_box, label, distance }: Sighting) -> Self {
        Self { face_box: face_box.into(), label: label.to_string(), distance: distance.map(rounded) }
    }
}

/// Everybody in a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecognizeResponse {
    /// Always true.
    pub ok: bool,
    /// The faces, most confident detection first.
    pub results: Vec<FaceResult>,
}

impl From<Recognition> for RecognizeResponse {
    fn from(recognition: Recognition) -> Self {
        Self { ok: true, results: recognition.sightings.into_iter().map(FaceResult::from).collect() }
    }
}

/// How a frame is dispatched.
#[derive(Debug, Clone, Default, PartialEq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FrameQuery {
    /// The largest distance that this call dispatches; absent or 0: the service's tolerance. It only tightens:
    /// `results` keep their labels, and a known face that is farther is listed and not dispatched.
    #[param(minimum = 0, nullable = false)]
    pub min_conf: Option<f64>,
    /// Whether unknown faces are dispatched, as the student `Unknown`.
    #[param(nullable = false)]
    pub send_unknown: Option<bool>,
    /// Whom to look for, ids separated by commas: everybody else is unknown. Also a form field; the query wins.
    #[param(nullable = false)]
    pub roster: Option<String>,
    /// Passed through into event and push. Also a form field; the query wins.
    #[param(max_length = 128, nullable = false)]
    pub device_id: Option<String>,
    /// Passed through into event and push. Also a form field; the query wins.
    #[param(max_length = 128, nullable = false)]
    pub location_id: Option<String>,
    /// Passed through into event and push. Also a form field; the query wins.
    #[param(max_length = 128, nullable = false)]
    pub class_id: Option<String>,
    /// Passed through into event and push. Also a form field; the query wins.
    #[param(max_length = 128, nullable = false)]
    pub session_id: Option<String>,
}

/// A camera's frame.
#[derive(Debug, Clone, ToSchema)]
pub struct FrameBody {
    /// JPEG, PNG or WebP.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    pub image: Bytes,
    /// Whom to look for, ids separated by commas: everybody else is unknown.
    #[schema(nullable = false)]
    pub roster: Option<String>,
    /// Passed through into event and push.
    #[schema(max_length = 128, nullable = false)]
    pub device_id: Option<String>,
    /// Passed through into event and push.
    #[schema(max_length = 128, nullable = false)]
    pub location_id: Option<String>,
    /// Passed through into event and push.
    #[schema(max_length = 128, nullable = false)]
    pub class_id: Option<String>,
    /// Passed through into event and push.
    #[schema(max_length = 128, nullable = false)]
    pub session_id: Option<String>,
}

/// What became of one face.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DispatchResult {
    /// The student id, or `Unknown`.
    pub label: String,
    #[allow(missing_docs)]
    pub report: ReportBody,
}

impl From<Dispatch> for DispatchResult {
    fn from(Dispatch { label, report }: Dispatch) -> Self {
        Self { label: label.to_string(), report: report.into() }
    }
}

/// Everybody in a frame, and who was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RealtimeResponse {
    /// Always true.
    pub ok: bool,
    /// The faces, most confident detection first.
    pub results: Vec<FaceResult>,
    /// The faces worth telling, in the order of `results`, with what became of each.
    pub dispatch: Vec<DispatchResult>,
    /// Whether events are sent to an Attendance API.
    pub webhook_enabled: bool,
}

impl RealtimeResponse {
    /// The answer for this outcome; `webhook_enabled` tells whether events are sent to an Attendance API.
    #[must_use]
    pub fn new(outcome: RealtimeOutcome, webhook_enabled: bool) -> Self {
        let RealtimeOutcome { recognition, dispatch } = outcome;
        let results = recognition.sightings.into_iter().map(FaceResult::from).collect();
        let dispatch = dispatch.into_iter().map(DispatchResult::from).collect();
        Self { ok: true, results, dispatch, webhook_enabled }
    }
}
