//! Face attendance: the domain and its use cases.
//!
//! Nothing here knows of HTTP, AWS, SQLite or neural networks. The outside is reached through the traits of
//! [`ports`]; `shared/vision`, `shared/embedded` and `shared/webhook` implement them, `shared/http` calls the use cases.
//!
//! One picture's way: [`Enroller`] turns a photograph into stored embeddings, [`BulkEnroller`] does so with those that people
//! put into an inbox; [`Recognizer`] names the faces of a picture against the [`Gallery`]; [`Realtime`] does the same and
//! tells the Attendance API and the subscribers;
//! [`Deliverer`] accepts events and delivers them, and [`Outbox`] shows them to a person. [`compose`] builds them all over
//! the adapters of one deployment.

#![forbid(unsafe_code)]

mod access;
mod bulk;
mod clock;
mod compose;
mod enroll;
mod environment;
mod event;
mod face;
mod fan_out;
mod gallery;
mod gallery_cache;
mod message;
mod outbox;
pub mod ports;
mod realtime;
mod recognize;
mod refusal;
mod settings;
mod student;

pub use access::Scope;
pub use bulk::{BulkEnroller, BulkEntry, BulkError, MAX_PICTURE_BYTES};
pub use clock::{Clock, SystemClock, Timestamp};
pub use compose::{FaceUseCases, Ports, UseCases, compose};
pub use enroll::{EnrollError, Enroller, MultiFace, Receipt};
pub use environment::{Environment, SettingError};
pub use event::{
    Attempt, AttemptOutcome, Context, Event, EventId, EventStatus, InvalidContext, NextStep, Report, ReportStatus,
    Wakeup,
};
pub use face::{Embedding, Face, FaceBox, FrameSize, InvalidEmbedding, ModelId, PhotoDigest, PhotoFormat, Scan};
pub use fan_out::FanOut;
pub use gallery::{Gallery, Identity, Label, Match, Tolerance, rounded};
pub use gallery_cache::GalleryCache;
pub use message::Message;
pub use outbox::{
    Claim, Cooldown, Deliverer, ENDED_KEPT, Entries, EventPage, InvalidSchedule, Outbox, OutboxEntry, RetryPolicy,
    Revision,
};
pub use realtime::{Dispatch, Realtime, RealtimeError, RealtimeOptions, RealtimeOutcome};
pub use recognize::{Recognition, RecognizeError, Recognizer, Sighting};
pub use refusal::{Refusal, RefusalCode};
pub use settings::AttendanceSettings;
pub use student::{InvalidStudentId, Roster, StudentId};
