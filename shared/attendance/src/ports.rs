//! What the use cases need from the outside, each trait with what every adapter must guarantee.
//!
//! The guarantees are tested by the contract suites in `tests/testkit`, one function a trait, which every adapter and
//! the in-memory fake run.

mod engine;
mod events;
mod gallery;
mod inbox;
mod push;
mod store;

pub use engine::{FaceEngine, Purpose, ScanError};
pub use events::{Acceptance, EventFormat, EventStore, Wakeups, Webhook};
pub use gallery::{
    Change, Enrolled, Enrollment, EnrollmentId, EnrollmentOrigin, GalleryCounts, GalleryStore, GalleryVersion,
};
pub use inbox::{Inbox, InboxKey, InboxObject, ObjectRevision};
pub use push::{Push, Subscribers, Subscription};
pub use store::StoreError;

type Cause = Box<dyn std::error::Error + Send + Sync>;
