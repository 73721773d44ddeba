//! Bodies of HTTP requests and answers.

mod error;
mod events;
mod faces;
mod service;
mod students;

pub use error::{Code, ErrorBody};
pub use events::{AttemptItem, EventItem, EventsQuery, EventsResponse, ReplayResponse};
pub use faces::{
    DispatchResult, EnrollAnswer, EnrollBody, EnrollResponse, FaceResult, FrameBody, FrameQuery, PictureBody,
    PictureQuery, RealtimeResponse, RecognizeResponse,
};
pub use service::{ConfigResponse, HealthResponse, MockResponse};
pub use students::{RemoveResponse, StudentItem, StudentsResponse, UploadGrant, UploadRequest};
